"""Configs that ask for much work, or are no configs, end in a sentence at once, wherever YAML is read."""

from __future__ import annotations

import os
import time
import tracemalloc
from pathlib import Path

import pytest
import yaml

from tests.helpers import error_output
from zoo.utils.errors import UsageError
from zoo.utils.yaml_text import MAX_DEPTH, check_yaml, load_yaml, read_yaml


def laughs(levels: int = 12, times: int = 10) -> str:
    """Return a YAML of few bytes that says a list of ``times ** levels`` values."""
    lines = [f"a0: &a0 [{', '.join('1' * times)}]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * times)}]" for n in range(1, levels)]
    return "{" + ", ".join(lines) + "}"


HOSTILE = {
    "laughs": (laughs(), "counted as often as aliases repeat them"),
    "merged laughs": (laughs().replace("[*", "[{<<: *a0}, *"), "counted as often as aliases repeat them"),
    "itself": ("a: &a [1, *a]", "'a' contains itself"),
    "itself by a key": ("a: &a {b: {c: *a}}", "'a' contains itself"),
    "many": ("a: [" + "1, " * 30_000 + "]", "more than 20,000 values"),
    "deep": ("a: " + "[" * 10_000, "in one another|nesting depth"),
    "deep by lines": ("\n".join(" " * depth + "a:" for depth in range(500)), "in one another"),
    "long": ("a: " + "1" * 100_000, "more than 20,000 characters"),
    "digits": ("a: " + "1" * 5_000, "cannot be read"),
    "sixties": ("a: " + "1:" * 9_000 + "1", ""),
    "date": ("a: 2026-99-99", "month must be in 1..12"),
    "no time": ("a: !!timestamp soon", "cannot be read"),
    "no truth": ("a: !!bool perhaps", "cannot be read"),
    "object": ("a: !!python/object/apply:os.system [ls]", "could not determine a constructor"),
    "control": ("a: \0", "has a control character"),
    "tabs": ("a:\n\tb: 1", "cannot start any token"),
    "list as key": ("? [a]\n: b", "unhashable key"),
    "two": ("---\na: 1\n---\nb: 2", "another document"),
    "no anchor": ("a: *b", "undefined alias"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_text_is_read_or_refused_at_once(name: str) -> None:
    text, reason = HOSTILE[name]
    Path("hostile.yaml").write_text(text)
    tracemalloc.start()
    started = time.process_time()
    try:
        if reason:
            with pytest.raises(
                UsageError, match=f"^The config hostile.yaml cannot be read as YAML: .*{reason}"
            ) as error:
                read_yaml(Path("hostile.yaml"))
            assert "\n" not in str(error.value)
            assert ("indentation" in str(error.value)) == ("in line" in str(error.value))
        else:
            read_yaml(Path("hostile.yaml"))
        assert time.process_time() - started < 2
        assert tracemalloc.get_traced_memory()[1] < 50_000_000
    finally:
        tracemalloc.stop()


def test_honest_text_is_read_as_by_pyyaml() -> None:
    for path in Path(__file__).parents[2].glob("configs/**/*.yaml"):
        text = path.read_text(encoding="utf-8")
        assert load_yaml(text) == yaml.safe_load(text) == read_yaml(path)
    text = "base: &base {lr: 0.1, sizes: [1, 2]}\nsmall: {<<: *base, lr: 0.2}\nsame: [*base, *base]"
    assert load_yaml(text) == yaml.safe_load(text)
    Path("marked.yaml").write_bytes(b"\xef\xbb\xbfa: 1\n")
    assert read_yaml(Path("marked.yaml")) == {"a": 1}
    check_yaml("[" * MAX_DEPTH + "]" * MAX_DEPTH)
    with pytest.raises(yaml.YAMLError):
        check_yaml("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1))


COMMANDS = [
    ["--config", "hostile.yaml"],
    ["-chostile.yaml"],
    ["--config", "softmax", "--config=hostile.yaml"],
    ["--model", "hostile.yaml"],
    ["--config", "softmax", "--data", "hostile.yaml"],
    ["--config", "softmax", "--trainer", "hostile.yaml"],
    ["--config", "softmax", "--trainer.callbacks", "hostile.yaml"],
    ["--config", "softmax", "--trainer.callbacks+", "hostile.yaml"],
    ["--config", "nested.yaml"],
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_place_that_takes_a_config_is_bounded(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    Path("nested.yaml").write_text("model: hostile.yaml\n")
    for write, reason in (
        (lambda: Path("hostile.yaml").write_text(laughs()), "counted as often as aliases repeat them"),
        (lambda: Path("hostile.yaml").write_text("a: 2026-99-99"), "month must be in 1..12|There is no class|a"),
        (lambda: os.truncate("hostile.yaml", 2**30), "it has more than 256 KiB"),
        (lambda: Path("hostile.yaml").write_bytes(b"a: \xff"), "is no UTF-8"),
    ):
        write()
        message = error_output(["fit", *command], capsys)
        assert any(part in message for part in reason.split("|")), message


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda name: os.symlink("/dev/zero", name)])
def test_what_is_no_file_is_never_opened_as_a_config(make: object, capsys: pytest.CaptureFixture[str]) -> None:
    assert callable(make)
    make("hostile.yaml")
    for command in COMMANDS[:-1]:
        message = error_output(["fit", *command], capsys)
        assert "hostile" in message
        assert len(message) < 600


@pytest.mark.parametrize(
    "flag",
    [
        "--model.lr",
        "--trainer.callbacks",
        *(pytest.param(flag, marks=pytest.mark.slow) for flag in ("--model", "--data.seed", "--seed_everything")),
    ],
)
@pytest.mark.parametrize("name", ["laughs", "itself", "deep", "digits", "date", "no time"])
def test_values_of_flags_are_bounded_as_well(name: str, flag: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = HOSTILE[name][0]
    started = time.process_time()
    message = error_output(["fit", "--config", "softmax", flag, text.removeprefix("a: ")], capsys)
    assert time.process_time() - started < 3
    assert len(message) < 800


@pytest.mark.parametrize("text", ["model:\n  lr: 1\n   l2: 0\n", "model:\n\tlr: 1\n", "a: b: c\n"])
def test_a_config_with_wrong_indentation_is_refused_with_a_hint(text: str) -> None:
    Path("wrong.yaml").write_text(text)
    with pytest.raises(UsageError, match=r"in line \d.*; look at the indentation of that line and of those before\.$"):
        read_yaml(Path("wrong.yaml"))
