"""A checkpoint whose training state does not fit is refused in one sentence, before anything of it is taken up."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.archives import SMALL
from tests.helpers import error_output
from zoo.cli import main

FILE = "changed.ckpt"
RESUME = ["fit", *SMALL, "--trainer.max_epochs", "2", "--ckpt_path", FILE]
TEST = ["test", *SMALL, "--ckpt_path", FILE]
PLACES: dict[str, tuple[Any, ...]] = {
    "counts": ("loops", "fit_loop", "epoch_loop.batch_progress", "current"),
    "progress": ("loops", "fit_loop", "epoch_loop.automatic_optimization.optim_progress", "optimizer"),
    "loop": ("loops", "fit_loop"),
    "loops": ("loops",),
    "optimizer": ("optimizer_states", 0),
    "moments": ("optimizer_states", 0, "state", 0),
    "group": ("optimizer_states", 0, "param_groups", 0),
    "schedule": ("lr_schedulers", 0),
    "process": ("callbacks", "ExactResume", "processes", 0),
    "metric": ("callbacks", "ExactResume", "processes", 0, "metrics", "train_metrics.acc"),
    "position": ("callbacks", "ExactResume", "position"),
    "resume": ("callbacks", "ExactResume"),
    "record": ("callbacks", "RunRecord"),
    "config": ("callbacks", "RunRecord", "config"),
    "callbacks": ("callbacks",),
    "data": ("MNISTDataModule",),
    "file": (),
}


def at(content: Any, place: tuple[Any, ...]) -> Any:
    for key in place:
        content = content[key]
    return content


def generator_state(position: Any) -> list[Any]:
    return ["MT19937", [1] * 624, position, 0, 0.0]


EDITS: list[tuple[str, str, Any]] = [
    ("counts", "ready", "three"),
    ("counts", "ready", -1),
    ("counts", "completed", 2.5),
    ("counts", "started", True),
    ("counts", "extra", 1),
    ("progress", "step", None),
    ("loop", "epoch_progress", {}),
    ("loop", "epoch_loop.batch_progress", []),
    ("loop", "unknown", {}),
    ("loop", "state_dict", {"combined_loader": [{"epoch": "x", "batches": 1}]}),
    ("loop", "state_dict", {"combined_loader": [3]}),
    ("loops", "fit_loop", 3),
    ("loops", "test_loop", None),
    ("optimizer", "state", []),
    ("optimizer", "param_groups", []),
    ("optimizer", "param_groups", [3]),
    ("moments", "exp_avg", "text"),
    ("moments", "exp_avg", torch.zeros(3)),
    ("moments", "step", None),
    ("group", "lr", "0.1"),
    ("group", "params", [5, 4, 3, 2, 1, 0]),
    ("schedule", "last_epoch", "three"),
    ("schedule", "base_lrs", []),
    ("schedule", "step", 3),
    ("process", "torch", torch.zeros(5056)),
    ("process", "torch", torch.zeros(5056, dtype=torch.uint8)),
    ("process", "torch", torch.zeros(3, dtype=torch.uint8)),
    ("process", "python", (3, (1, 2), None)),
    ("process", "python", (3, (1,) * 624 + (900,), None)),
    ("process", "python", (3, (1,) * 624 + (5,), "x")),
    ("process", "numpy", generator_state(900)),
    ("process", "numpy", generator_state(-1)),
    ("process", "numpy", generator_state("x")),
    ("process", "numpy", ["MT19937", [2**40] * 624, 1, 0, 0.0]),
    ("position", "batches", 10**9),
    ("position", "epoch", 7),
    ("position", "ended", 1),
    ("position", "validation", "maybe"),
    ("process", "loader", {"epoch": None}),
    ("process", "loader", 3),
    ("process", "metrics", {}),
    ("process", "metrics", {"unknown": 3}),
    ("process", "module", 3),
    ("resume", "state_counts", torch.zeros(2)),
    ("resume", "state_counts", [torch.zeros(2)]),
    ("resume", "state_counts", 3),
    ("record", "time_elapsed", 3),
    ("record", "time_elapsed", {"train": "long"}),
    ("record", "config", 3),
    ("config", "model", 3),
    ("config", "trainer", 3),
    ("callbacks", "ExactResume", 3),
    ("callbacks", "ExactResume", {"processes": []}),
    ("callbacks", "RunRecord", []),
    ("data", "class_names", 3),
    ("data", "class_names", [1] * 10),
    ("file", "MNISTDataModule", 3),
    ("file", "optimizer_states", []),
    ("file", "lr_schedulers", []),
    ("file", "lr_schedulers", [{}, {}]),
    ("file", "pytorch-lightning_version", "new"),
    ("file", "global_step", -1),
    ("file", "epoch", True),
]
"""Where, what and how a checkpoint is changed. Every third edit is tried by default, all of them with ``-m slow``."""


@pytest.fixture
def content(small_run: Path) -> dict[str, Any]:
    found: dict[str, Any] = torch.load(small_run, weights_only=True)
    return found


@pytest.mark.parametrize(
    ("place", "key", "value"),
    [pytest.param(*edit, marks=[] if number % 3 == 0 else [pytest.mark.slow]) for number, edit in enumerate(EDITS)],
)
def test_a_state_that_does_not_fit_is_refused(
    place: str, key: str, value: Any, content: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    at(content, PLACES[place])[key] = value
    torch.save(content, FILE)
    message = error_output(RESUME, capsys)
    assert "damaged" in message, message
    assert "another copy" in message, message


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content["optimizer_states"][0]["state"].pop(0),
        lambda content: content["optimizer_states"][0]["state"].clear(),
        lambda content: content["optimizer_states"].append(content["optimizer_states"][0]),
        lambda content: content["loops"]["fit_loop"].pop("epoch_progress"),
        lambda content: content["loops"].pop("fit_loop"),
        lambda content: content["callbacks"]["ExactResume"]["processes"][0].pop("numpy"),
    ],
)
def test_a_state_that_lacks_a_part_is_refused(
    change: Callable[[Any], Any], content: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    change(content)
    torch.save(content, FILE)
    assert "damaged" in error_output(RESUME, capsys)


@pytest.mark.parametrize(
    ("key", "value"),
    [("loops", 3), ("loops", {}), ("callbacks", 3), ("MNISTDataModule", 3), ("pytorch-lightning_version", "x")],
)
def test_an_evaluation_refuses_it_as_well(
    key: str, value: Any, content: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save({**content, key: value}, FILE)
    assert "changed.ckpt is damaged" in error_output(TEST, capsys)


def places_in(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the place of every part of a value, but of the first only where a list is long."""
    if place:
        yield place
    items = value.items() if isinstance(value, dict) else enumerate(value[:2]) if isinstance(value, list) else ()
    for key, item in items:
        yield from places_in(item, (*place, key))


@pytest.mark.parametrize("count", [6, pytest.param(400, marks=[pytest.mark.slow, pytest.mark.timeout(1200)])])
def test_no_changed_part_ends_in_a_traceback(
    count: int, content: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    generator = random.Random(count)
    places = [place for place in places_in(content) if place[0] not in ("state_dict", "hyper_parameters")]
    for _ in range(count):
        changed = copy.deepcopy(content)
        *path, key = generator.choice(places)
        part = at(changed, tuple(path))
        if generator.random() < 0.2:
            del part[key]
        else:
            part[key] = generator.choice([None, -1, 2**70, 1.5, "text", [], [1], {}, {"a": 1}, torch.zeros(2), True])
        torch.save(changed, FILE)
        status = main(RESUME)
        written = capsys.readouterr()
        assert status in (0, 2), (path, key)
        assert "Traceback" not in written.err, (path, key, written.err)
        assert status == 0 or written.err.strip().count("\n") <= 1, (path, key, written.err)
