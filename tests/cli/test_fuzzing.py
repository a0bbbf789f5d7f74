"""Random changes of configs and command lines end in a success or a sentence, in bounded time, and touch nothing."""

from __future__ import annotations

import random
import resource
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.cli.mutations import mutated_command, mutated_config
from tests.helpers import snapshot
from zoo.cli import main
from zoo.utils.errors import UsageError

SECONDS = 2.0
"""Of processor time for one case."""
BYTES = 2 * 2**30
"""Of memory beyond what the process had."""
SMALL, LARGE = 40, 500


@pytest.fixture(autouse=True)
def without_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """End every command where its work would begin."""

    def end(*_: Any, **__: Any) -> Any:
        raise UsageError("The work began.")

    for name in (
        "pytorch_lightning.cli.LightningCLI._run_subcommand",
        "zoo.demo.serving.listen",
        "zoo.cli.verbs.bench.measure_epochs",
        "zoo.figures.writing.FigureWriter.write",
        "zoo.figures.training.fit",
        "zoo.inference.comparison.compare",
        "zoo.inference.ensemble.Committee.predict",
        "zoo.inference.export.export",
        "zoo.pretrained.publishing.publish",
        "zoo.pretrained.verification.verify",
        "zoo.models.rbm.RBM.load_from_checkpoint",
        "zoo.cli.verbs.trainer.fit",
    ):
        monkeypatch.setattr(name, end)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The parent of the current folder. Both hold files of the user."""
    for place in (tmp_path / "outside", tmp_path / "work", tmp_path / "work" / "pictures"):
        place.mkdir()
        (place / "kept").write_text("of the user")
    monkeypatch.chdir(tmp_path / "work")
    Image.new("L", (28, 28), 255).save("picture.png")
    return tmp_path


def command_of_config(draw: random.Random) -> list[str]:
    Path("case.yaml").write_text(mutated_config(draw), encoding="utf-8")
    return ["fit", "--config", "case.yaml"]


@pytest.mark.parametrize("make", [command_of_config, mutated_command])
@pytest.mark.parametrize("cases", [SMALL, pytest.param(LARGE, marks=pytest.mark.slow)])
def test_changed_configs_and_command_lines_end_in_a_success_or_a_sentence(
    cases: int, make: Callable[[random.Random], list[str]], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["fit", "--config", "softmax", "--trainer.accelerator", "cpu"])  # the imports
    faults = []
    for seed in range(cases):
        arguments = make(random.Random(seed))
        Path("case.yaml").touch()
        before, memory, started = snapshot(folder), _peak_memory(), time.process_time()
        capsys.readouterr()
        fault = ""
        try:
            status: Any = main(arguments)
        except SystemExit as end:
            status = end.code
        except Exception as error:
            place = traceback.extract_tb(error.__traceback__)[-1]
            status, fault = None, f"{type(error).__name__} in {place.name}, line {place.lineno}: {error}"
        errors = capsys.readouterr().err
        after = snapshot(folder)
        if not fault and status not in (0, 1, 2):
            fault = f"status {status}"
        if status == 2 and not errors.splitlines()[-1:][0].startswith("zoo: "):
            fault = f"no sentence: {errors}"
        if (used := time.process_time() - started) > SECONDS:
            fault = f"{used:.1f} s"
        if (used := _peak_memory() - memory) > BYTES:
            fault = f"{used:,.0f} bytes"
        if after != before:
            fault = f"changed: {sorted(before.items() ^ after.items())}"
        if fault:
            faults.append(f"seed {seed}: {arguments}: {fault[:300]}")
    assert not faults, "\n".join(faults)


def _peak_memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
