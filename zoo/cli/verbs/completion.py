"""``zoo completion SHELL``: print a script by which a shell completes the commands, made by shtab."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Iterator
from typing import Any

from zoo.cli import VERBS
from zoo.cli.arguments import ShortErrorParser, parser_of
from zoo.cli.trainer_flags import OF_THE_TRAINER, OF_THE_VERB
from zoo.pretrained.registry import list_models, packaged_configs, read_demonstrations
from zoo.utils.errors import UsageError
from zoo.utils.wording import install_extra

SHELLS = ("bash", "zsh")
NETWORKS, CONFIGS = "_zoo_networks", "_zoo_configs"
"""Functions of the shells that complete a network and a config: a name, or a file."""


def run(verb: str, arguments: list[str]) -> int:
    """Print the script and return the exit status."""
    parser = ShortErrorParser(
        prog="zoo completion",
        description="Print a script that completes commands, flags and names with the tab key. The script runs no "
        "Python. It needs the extra `completion`.",
        epilog='for this shell: eval "$(zoo completion bash)"; for all: zoo completion bash > FILE, and source it',
    )
    parser.add_argument("shell", choices=SHELLS)
    options = parser.parse_args(arguments)
    try:
        import shtab
    except ImportError as error:
        raise UsageError(f"`zoo completion` needs shtab: {install_extra('completion')}.") from error
    whole = _whole_parser()
    _set_completions(whole, shtab.FILE)
    preamble: Any = {options.shell: _preamble(options.shell)}
    print(shtab.complete(whole, shell=options.shell, preamble=preamble))
    return 0


def _whole_parser() -> argparse.ArgumentParser:
    """Return one parser with a subcommand for each verb."""
    whole = argparse.ArgumentParser(prog="zoo")
    whole.add_argument("--version", action="store_true", help="print the version")
    verbs = whole.add_subparsers()
    for verb, (module, purpose) in VERBS.items():
        if module == VERBS["fit"][0]:
            _add_trainer_flags(verbs.add_parser(verb, help=purpose), verb)
        else:
            own = parser_of(importlib.import_module(module).run)
            own.prog = f"zoo {verb}"
            # Without its help, which shtab would take for the verb's and which may be long.
            verbs.add_parser(verb, help=purpose, parents=[own], add_help=False)
    return whole


def _add_trainer_flags(parser: argparse.ArgumentParser, verb: str) -> None:
    parser.add_argument("--config", metavar="CONFIG", help="a member, or a YAML file")
    parser.add_argument("--seed_everything", help="the seed of everything that is random")
    parser.add_argument("--print_config", action="store_true", help="print the whole config")
    parser.add_argument("--model", metavar="CLASS", help="the class of the network")
    trainer = {f"trainer.{name}": text for name, text in OF_THE_TRAINER.items()} if verb == "fit" else {}
    for flag, text in {**OF_THE_VERB[verb], **trainer}.items():
        name, _, metavar = flag.partition(" ")
        kind = "NAME" if name == "ckpt_path" else metavar
        parser.add_argument(f"--{name}", metavar=kind, help=text.replace("%", "%%"))


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for sub_parser in action.choices.values():
                yield from _actions(sub_parser)


def _set_completions(parser: argparse.ArgumentParser, files: Any) -> None:
    """Say what completes each argument, in the attribute that shtab reads."""
    for action in _actions(parser):
        if action.choices is not None or action.nargs == 0:
            continue
        if action.metavar in ("NAME", "CONFIG"):
            function = NETWORKS if action.metavar == "NAME" else CONFIGS
            action.complete = dict.fromkeys(SHELLS, function)  # type: ignore[attr-defined]
        else:
            action.complete = files  # type: ignore[attr-defined]


def _preamble(shell: str) -> str:
    networks = [*list_models(pretrained=True), *read_demonstrations()]
    names = {NETWORKS: networks, CONFIGS: packaged_configs()}
    if shell == "bash":
        body = '{name}() {{ compgen -W "{words}" -- "$1"; compgen -f -- "$1"; }}'
    else:
        body = "{name}() {{ _alternative 'names:name:({words})' 'files:file:_files' }}"
    return "\n".join(body.format(name=name, words=" ".join(words)) for name, words in names.items())
