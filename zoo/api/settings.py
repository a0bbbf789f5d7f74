"""Settings as keyword arguments, translated into flags of the command line."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import numpy as np

from zoo.cli.recipes import ParsedCLI
from zoo.cli.verbs.trainer import run_cli
from zoo.utils.errors import UsageError, unknown_name
from zoo.utils.wording import with_article

PARTS = ("model", "data", "trainer", "checkpoint")
"""The parts of a config whose settings can be named without the part."""
_IN_PYTHON = {"seed_everything": "seed", "ckpt_path": "resume", "epochs": "max_epochs", "verbose": "progress"}
"""What settings of the command line, or of other libraries, are called in `zoo.fit`."""


def as_flags(config: str, settings: Mapping[str, Any]) -> list[str]:
    """Return settings as flags of ``zoo fit``.

    Args:
        config: The name of a config that ships, or the path of a config.
        settings: Values by name. A name is that of an argument (``lr``), also after its part (``model.lr``). The name
            of a part (``model``, ``data``, ``trainer``, ``checkpoint``) has a dictionary of its arguments.

    Raises:
        UsageError: The config is missing or not valid, there is no such argument or several, or a value is none that a
            config can have.
    """
    if not settings:
        return []
    cli = run_cli(ParsedCLI, "fit", ["--config", config])
    known = cli.setting_names()
    return [f"--{_full_name(name, known)}={_text(name, value)}" for name, value in _flat(settings)]


def _flat(settings: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in settings.items():
        if name in PARTS:
            if not isinstance(value, Mapping):
                raise UsageError(f"{name} is {value!r}, but it has several settings: give a dictionary of them.")
            yield from ((f"{name}.{inner}", each) for inner, each in value.items())
        else:
            yield name, value


def _full_name(name: str, known: Collection[str]) -> str:
    """Return the name of a setting with the part that it belongs to."""
    if other := _IN_PYTHON.get(name):
        raise UsageError(f"There is no setting {name!r} here: did you mean {other}?")
    if name in known or name.partition(".")[0] in PARTS:
        if name not in known and not any(name.startswith(f"{each}.") for each in known):
            raise unknown_name("setting", name, known)
        return name
    found = [full for full in known if full.partition(".")[2] == name]
    if not found:
        raise unknown_name("setting", name, [full.partition(".")[2] or full for full in known])
    if len(found) > 1:
        part = found[0].partition(".")[0]
        raise UsageError(f"{name} is {' and '.join(found)}: say which, as in {part}={{{name!r}: …}}.")
    return found[0]


def _text(name: str, value: Any) -> str:
    def plain(part: Any) -> Any:
        if isinstance(part, os.PathLike):
            return os.fspath(part)
        if isinstance(part, np.generic):
            return part.item()
        kind = type(part)
        raise UsageError(
            f"{name} has {with_article(kind.__name__)}, but a setting is a number, a text, True, False, None, or a "
            "list or dictionary of them: give an object as a config does, "
            f'{{"class_path": "{kind.__module__}.{kind.__qualname__}", "init_args": {{…}}}}.'
        )

    if isinstance(value, str | os.PathLike):
        return os.fspath(value)
    try:
        return json.dumps(value, default=plain)
    except UsageError:
        raise
    except (TypeError, ValueError) as error:
        raise UsageError(f"{name} is {value!r}, which a config cannot have: {error}.") from error
