"""The parser of the Trainer's verbs: every complaint is one sentence, with exit status 2."""

from __future__ import annotations

import difflib
import inspect
import re
from collections.abc import Mapping
from typing import Any, NoReturn

from pytorch_lightning.cli import LightningArgumentParser

from zoo.utils.class_paths import import_class, parameters_of
from zoo.utils.errors import UsageError

# What jsonargparse says around its reason when a class's arguments are wrong.
_NOISE = re.compile(
    r"Does not validate against any|Subtypes:|Errors:$|Expected a <class 'NoneType'>|Given value|"
    r"Parser key \"(model|data)\":$|Expected a path but"
)


class ZooArgumentParser(LightningArgumentParser):
    """LightningCLI's parser with short errors: jsonargparse alone prints its whole usage for one typing error."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raise `UsageError` with the message's substance in one line."""
        if not self.exit_on_error:
            # An inner parser, one of several types that are tried in turn: its caller goes on with the next.
            super().error(message, ex)
        raise find_usage_error(ex) or UsageError(self._explain(message)) from ex

    def _explain(self, message: str) -> str:
        if "arguments are required" in message and "model" in message:
            return "Say what to run: --config configs/NAME.yaml, or --model CLASS with its arguments."
        if "is abstract" in message and 'key "model"' in message:
            return "Name the network: --config configs/NAME.yaml, or --model and a class such as MLP, no base class."
        if unknown := re.search(r"unrecognized arguments: (--[\w.]+)", message):
            known = {flag for action in self._actions for flag in action.option_strings}
            return f"Unknown flag {unknown[1]}{_hint(unknown[1], known)}; `zoo COMMAND --help` lists them all."
        return one_sentence(message)


def find_usage_error(error: BaseException | None) -> UsageError | None:
    """Return the `UsageError` that an exception was raised from, if there is one."""
    while error is not None and not isinstance(error, UsageError):
        error = error.__cause__ or error.__context__
    return error


def one_sentence(message: str) -> str:
    """Reduce jsonargparse's report of several lines to its reason."""
    lines = [line.strip().removeprefix("- ") for line in message.strip().splitlines()]
    lines = [line for line in lines if line and not _NOISE.match(line)]
    owner = next((found[1] for line in lines if (found := re.match(r"Problem with given class_path '(.+)'", line))), "")
    lines = [line for line in dict.fromkeys(lines) if not line.startswith("Problem with given class_path")]
    if any(_is_reason(line) for line in lines):
        lines = [line for line in lines if not line.startswith("Expected a <class")]
    text = " ".join(lines)
    text = re.sub(
        r"Expected an instantiatable class, but ([\w.]+) is abstract", r"\1 is a base class: name another.", text
    )
    if owner:
        needed = rf"{owner.rpartition('.')[2]} needs values for these arguments:"
        text = text.replace("the following arguments are required:", needed)
    text = re.sub(r"<class '(?:[\w.]+\.)?(\w+)'>", r"\1", text)
    text = re.sub(r'Parser key "([\w.]+)":', r"\1:", text)
    text = text.replace("Expected a dot import path string:", "There is no class of the name").replace(
        "Got value:", "Got"
    )
    if option := re.search(r"Option '(\w+)' is not accepted", text):
        text = (
            f"{owner.rpartition('.')[2]} has no argument {option[1]!r}{_hint(option[1], _arguments_of(owner)) or '.'}"
        )
    return text[:500] or message


def _is_reason(line: str) -> bool:
    """Whether a line says more than which type another one of several would have been."""
    return not line.startswith(("Expected a <class", "Parser key"))


def _hint(wrong: str, known: set[str]) -> str:
    close = difflib.get_close_matches(wrong, sorted(known), n=1, cutoff=0.6)
    return f": did you mean {close[0]}?" if close else ""


def _arguments_of(class_path: str) -> set[str]:
    # The class is the config's own, already imported to be checked against.
    return set(parameters_of(import_class(class_path))) if class_path else set()


def check_no_null(class_path: str, arguments: Mapping[str, Any]) -> None:
    """Raise `UsageError` where an argument is null and the class says that it takes something else.

    Args:
        class_path: The config's class.
        arguments: Its arguments.
    """
    known = parameters_of(import_class(class_path))
    for name in (name for name, value in arguments.items() if value is None and name in known):
        accepted = inspect.formatannotation(known[name].annotation).strip("'")
        unsaid = known[name].annotation is inspect.Parameter.empty
        if not unsaid and known[name].default is not None and not re.search("None|Optional|Any", accepted):
            raise UsageError(f"{name} is null, but it must be a value of the type {accepted}.")


def find_values(words: list[str], *flags: str) -> list[tuple[int, str]]:
    """Return the values given to any of ``flags`` as (position of the word that holds the value, value)."""
    found: list[tuple[int, str]] = []
    for position, word in enumerate(words):
        if word in flags and position + 1 < len(words):
            found.append((position + 1, words[position + 1]))
        elif any(word.startswith(f"{flag}=") for flag in flags):
            found.append((position, word.partition("=")[2]))
    return found


def replace_value(words: list[str], position: int, value: object) -> None:
    """Replace a value that `find_values` found, in place."""
    flag, equals, _ = words[position].partition("=")
    words[position] = f"{flag}={value}" if equals and flag.startswith("-") else str(value)
