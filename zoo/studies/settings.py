"""The settings that a study changes: what ``--set NAME=VALUES`` means.

``VALUES`` is a list of choices (``0.1,0.3``, ``[256,256],[512]``) or a range to sample from: ``uniform:LOW:HIGH``,
``log:LOW:HIGH`` (log-uniform), ``int:LOW:HIGH`` and ``int:LOW:HIGH:log`` (whole numbers, both bounds included).
"""

from __future__ import annotations

import difflib
import itertools
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import yaml

from zoo.utils.errors import UsageError

Value = bool | int | float | str | None
"""A setting's value. A list is a string, written as on the command line: ``"[256,256]"``."""
MAX_CELLS = 100_000
"""Trainings in a grid."""
_MAX_WHOLE = 2**53  # Optuna computes with floats, which hold whole numbers up to here exactly
_FORMS = {"log": "log:1e-4:1e-2", "uniform": "uniform:0.1:0.5", "int": "int:64:512"}
_EXAMPLE = f"--set model.lr={_FORMS['log']}"
_NAME = re.compile(r"[A-Za-z_]\w*(\.\w+)*")
_KIND = re.compile(r"\s*([A-Za-z_]\w*)\s*:")
_WHOLE = re.compile(r"[-+]?(0|[1-9]\d{0,15})")
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")
_WORDS = {"true": True, "True": True, "false": False, "False": False, "null": None}


@dataclass(frozen=True)
class Choices:
    """A list of values.

    Args:
        values: One or more, no two of them equal.
    """

    values: tuple[Value, ...]

    def __str__(self) -> str:
        return ",".join(map(_quoted, self.values))


@dataclass(frozen=True)
class Range:
    """Numbers between two bounds, which are included.

    Args:
        low: The least number.
        high: The greatest number, more than ``low``.
        log: Whether the logarithm is distributed uniformly, and not the number.
        whole: Whether only whole numbers are meant.
    """

    low: float
    high: float
    log: bool = False
    whole: bool = False

    def __str__(self) -> str:
        kind = "int" if self.whole else "log" if self.log else "uniform"
        return f"{kind}:{self.low}:{self.high}" + (":log" if self.whole and self.log else "")


@dataclass(frozen=True)
class SearchSpace:
    """The settings that a study changes, with the values that each can have.

    Args:
        settings: Choices or a range for each setting, by its name on the command line (``model.lr``).
    """

    settings: Mapping[str, Choices | Range]

    @property
    def is_grid(self) -> bool:
        """Whether all settings are lists of choices, so that every combination can be trained."""
        return all(isinstance(each, Choices) for each in self.settings.values())

    def cells(self) -> list[dict[str, Value]]:
        """Return every combination of choices. The last setting changes fastest.

        Raises:
            UsageError: A setting is a range, or there are more than `MAX_CELLS` combinations.
        """
        lists = [each.values for each in self.settings.values() if isinstance(each, Choices)]
        if len(lists) < len(self.settings):
            raise UsageError("A range has no end of values: give --trials to sample some, or list choices.")
        if (count := math.prod(map(len, lists))) > MAX_CELLS:
            raise UsageError(f"--set lists {count:,} combinations, but at most {MAX_CELLS:,} are possible: list fewer.")
        return [dict(zip(self.settings, values, strict=True)) for values in itertools.product(*lists)]

    def to_json(self) -> dict[str, str]:
        """Return the values of each setting as on the command line. Equal spaces give equal texts."""
        return {name: str(values) for name, values in self.settings.items()}

    @classmethod
    def from_json(cls, texts: Mapping[str, str]) -> SearchSpace:
        """Return the space that `to_json` has described.

        Raises:
            UsageError: As for `parse_settings`.
        """
        return parse_settings([f"{name}={text}" for name, text in texts.items()])


def parse_settings(texts: Sequence[str]) -> SearchSpace:
    """Parse the values of ``--set``.

    Args:
        texts: One text for each setting, ``NAME=VALUES``.

    Raises:
        UsageError: A text has no name, no values, values that cannot be read or an impossible range, or two texts have
            the same name.
    """
    settings: dict[str, Choices | Range] = {}
    for text in texts:
        name, equals, values = text.partition("=")
        # `--model.init_args.lr` and `--model.lr` are the same flag.
        name = re.sub(r"^(model|data)\.init_args\.", r"\1.", name.strip())
        if not equals or not _NAME.fullmatch(name):
            raise UsageError(f"{_shown(text)} is not NAME=VALUES, as in --set model.lr=0.001,0.01 or {_EXAMPLE}.")
        if not values.strip():
            raise UsageError(f"--set {name}= has no values: give some, as in {name}=0.1,0.2 or {_EXAMPLE}.")
        if name in settings:
            raise UsageError(f"--set has {name} twice: give all its values at once.")
        settings[name] = _range(text, values) if _KIND.match(values) else _choices(text, values)
    return SearchSpace(settings)


def as_flags(settings: Mapping[str, Value]) -> list[str]:
    """Return settings as arguments of ``zoo fit``, ``--model.lr=0.001``."""
    return [f"--{name}={_plain(value)}" for name, value in settings.items()]


def _range(text: str, values: str) -> Range:
    kind, *bounds = (part.strip() for part in values.split(":"))
    if kind not in _FORMS:
        close = ["log"] if "log" in kind.lower() else difflib.get_close_matches(kind.lower(), _FORMS, cutoff=0.65)
        hint = f"did you mean {close[0]}?" if close else f"the kinds are {' and '.join(_FORMS.values())}."
        raise UsageError(f"{_shown(text)} is no range (put a choice that has a colon in quotes): {hint}")
    whole, log = kind == "int", kind == "log"
    if whole and bounds[2:] == ["log"]:
        log = bool(bounds.pop())
    if len(bounds) != 2 or not all(map(_NUMBER.fullmatch, bounds)):
        raise UsageError(f"{_shown(text)} is no range: write two numbers after the kind, as in {_FORMS[kind]}.")
    if whole and not all(_WHOLE.fullmatch(bound) and abs(int(bound)) <= _MAX_WHOLE for bound in bounds):
        raise UsageError(f"{_shown(text)} needs whole numbers up to 2⁵³ as its bounds, as in {_FORMS[kind]}.")
    low, high = (int(bound) if whole else float(bound) for bound in bounds)
    if not math.isfinite(high - low):
        raise UsageError(f"{_shown(text)} is too wide a range: choose bounds that are closer together.")
    if low >= high:
        raise UsageError(f"{_shown(text)} is an empty range: write the smaller bound first.")
    if log and low <= 0:
        raise UsageError(f"{_shown(text)} includes {low}, which has no logarithm: start above 0, or leave log out.")
    return Range(low, high, log, whole)


def _choices(text: str, values: str) -> Choices:
    source = f"[{values}]"
    try:
        node = yaml.compose(source)
    except (yaml.YAMLError, RecursionError, ValueError):
        node = None
    if not isinstance(node, yaml.SequenceNode) or not node.value or values.rstrip().endswith(","):
        raise UsageError(
            f"{_shown(text)} cannot be read: separate the choices by commas, as in 0.1,0.3 or [256,256],[512]."
        )
    choices = [_value(each, source[each.start_mark.index : each.end_mark.index]) for each in node.value]
    known: set[Value] = set()
    for choice in choices:
        if isinstance(choice, float) and not math.isfinite(choice):
            raise UsageError(f"{_shown(text)} has a number that is too large: choose a smaller one.")
        if choice in known:
            raise UsageError(f"{_shown(text)} has {_plain(choice)} twice: list each value once.")
        known.add(choice)
    return Choices(tuple(choices))


def _value(node: yaml.Node, written: str) -> Value:
    """Return the value of a choice: what YAML takes it for, but exponents without a point are numbers, and no is no."""
    if not isinstance(node, yaml.ScalarNode):
        return written.strip()
    if node.style in ("'", '"'):
        return str(node.value)
    if node.value in _WORDS:
        return _WORDS[node.value]
    if _WHOLE.fullmatch(node.value):
        return int(node.value)
    return float(node.value) if _NUMBER.fullmatch(node.value) else str(node.value)


def _plain(value: Value) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _quoted(value: Value) -> str:
    """Return a choice as it is written in a list of choices."""
    plain = _plain(value)
    if not isinstance(value, str) or (plain and not _KIND.match(plain) and _reads_as_itself(plain)):
        return plain
    return json.dumps(value)


def _reads_as_itself(text: str) -> bool:
    try:
        return _choices("", text).values == (text,)
    except UsageError:
        return False


def _shown(text: str) -> str:
    return f"--set {text if text.isprintable() else repr(text)}"[:120]
