"""One ``zoo fit`` process, which trains a trial."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from zoo.rbm.likelihood import Likelihood
from zoo.studies.plan import Proposal
from zoo.studies.settings import as_flags
from zoo.studies.trial import Trial
from zoo.utils.processes import end_with_parent

METRICS = "metrics.jsonl"
"""The file in an attempt's folder to which the training writes its metrics (`zoo.callbacks.metrics_file`)."""
INTERRUPTIONS = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
"""Signals by which a training is interrupted, and has not failed."""
_LAUNCHERS = ("SLURM_", "TORCHELASTIC_", "LSB_", "JSM_", "PL_")
_MPI = ("PMI_", "PMIX_", "OMPI_")
_MPI_RANKS = frozenset({"PMI_RANK", "PMIX_RANK", "OMPI_COMM_WORLD_RANK"})
_RANKS = frozenset(
    {"RANK", "LOCAL_RANK", "GROUP_RANK", "NODE_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"}
)


@dataclass(frozen=True)
class Recipe:
    """What all trials of a study have in common.

    Args:
        name: The name of the runs.
        config: The text of the config.
        command: The program that takes the arguments of ``zoo fit``.
        threads: The number of threads of each training.
    """

    name: str
    config: str
    command: Sequence[str]
    threads: int


class Training:
    """A ``zoo fit`` process.

    Args:
        recipe: What all trials of the study have in common.
        proposal: What this one trains.
        attempt: The folder of the run, which exists.
        checkpoint: The checkpoint to go on from; None for the beginning.

    Raises:
        OSError: The process cannot be started, or its files cannot be written.
    """

    def __init__(self, recipe: Recipe, proposal: Proposal, attempt: Path, checkpoint: Path | None = None) -> None:
        self.attempt = attempt
        config = attempt / f"{recipe.name}.yaml"
        config.write_text(recipe.config, encoding="utf-8")
        arguments = ["--config", str(config), *as_flags(proposal.settings)]
        arguments += ["--seed_everything", str(proposal.seed), "--trainer.default_root_dir", str(attempt)]
        arguments += ["--ckpt_path", str(checkpoint)] if checkpoint else []
        with (attempt / "output.txt").open("ab") as output, (attempt / "errors.txt").open("ab") as errors:
            self._process = subprocess.Popen(
                [*recipe.command, *arguments],
                env=environment(recipe.threads, attempt / METRICS),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                preexec_fn=end_with_parent,
            )

    def status(self) -> int | None:
        """Return the exit status, negative for a signal; None while the process runs."""
        return self._process.poll()

    def interrupt(self) -> None:
        """Ask the process to save its state and end."""
        self._process.terminate()

    def kill(self) -> None:
        """End the process at once."""
        self._process.kill()
        self._process.wait()

    def wait(self, seconds: float) -> None:
        """Wait until the process has ended, and kill it when it takes longer than this."""
        try:
            self._process.wait(timeout=max(0.0, seconds))
        except subprocess.TimeoutExpired:
            self.kill()

    def was_interrupted(self) -> bool:
        """Return whether a signal ended the process that says nothing about the training."""
        status = self._process.returncode
        return status is not None and (-status in INTERRUPTIONS or status - 128 in INTERRUPTIONS)

    def failure(self) -> str:
        """Return a sentence that says why the process failed; empty if it did not."""
        status = self._process.returncode
        if not status:
            return ""
        if status == -signal.SIGKILL:
            return "The training was killed, maybe because the memory was full: take fewer --jobs."
        if status < 0:
            return f"The training was ended by {signal.Signals(-status).name}."
        lines = (self.attempt / "errors.txt").read_text(encoding="utf-8", errors="replace").splitlines()
        told = [line.removeprefix("zoo: ") for line in lines if line.startswith("zoo: ")] or [
            line.strip() for line in lines if line.strip()
        ]
        # The files of a trial that failed are not kept.
        return told[-1].partition("; the last good checkpoint")[0] if told else f"The exit status is {status}."

    def epochs(self) -> list[dict[str, Any]]:
        """Return the validation metrics after each epoch so far, with the ``epoch``, counted from 0."""
        found = {line["epoch"]: line for line in read_metrics(self.attempt) if "epoch" in line}
        return [found[epoch] for epoch in sorted(found)]

    def trial(self, number: int, proposal: Proposal, pruned_after: int | None = None) -> Trial:
        """Return the result of a training that has ended.

        Args:
            number: The number of the trial.
            proposal: What it has trained.
            pruned_after: The number of validated epochs after which it was stopped early; None if it was not.
        """
        message = "" if pruned_after is not None else self.failure()
        epochs = self.epochs()[:pruned_after]
        found: dict[str, Any] = {}
        for line in read_metrics(self.attempt):
            found |= line
        trial = Trial(
            *(number, proposal.seed, dict(proposal.settings), "failed" if message else "pruned"),
            val_losses=tuple(line["val_loss"] for line in epochs if "val_loss" in line),
            seconds=found.get("seconds", 0.0),
            machine=found.get("machine", {}),
            versions=found.get("versions", {}),
            message=message,
        )
        if trial.message or pruned_after is not None:
            return trial
        tested = found.get("tested_epoch")
        last = next((line for line in epochs if line["epoch"] == tested), epochs[-1] if epochs else {})
        errors = found.get("test_errors")
        return replace(
            trial,
            state="finished",
            val_loss=last.get("val_loss"),
            val_accuracy=last.get("val_acc"),
            test_loss=found.get("test_loss"),
            test_accuracy=found.get("test_acc"),
            test_errors=None if errors is None else int(errors),
            test_images=found.get("test_images"),
            likelihood={
                each.name: found[f"test_{each.name}"] for each in fields(Likelihood) if f"test_{each.name}" in found
            },
        )


def environment(threads: int, metrics: Path) -> dict[str, str]:
    """Return the environment variables of a training.

    A training is a process of its own, also where the study was started by SLURM, MPI or torchrun. It does not take its
    rank from theirs. Where MPI did not start the study, its variables are the user's settings, without which MPI may
    not start at all (as the superuser, for example): Lightning starts it wherever mpi4py is installed.
    """
    launchers = _LAUNCHERS if _MPI_RANKS.isdisjoint(os.environ) else (*_LAUNCHERS, *_MPI)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(launchers) and name not in _RANKS}
    count = str(threads)
    return {**kept, "OMP_NUM_THREADS": count, "MKL_NUM_THREADS": count, "ZOO_METRICS_FILE": str(metrics)}


def read_metrics(attempt: Path) -> list[dict[str, Any]]:
    """Return the lines of an attempt's metrics. A line that is not complete is left out."""
    lines = []
    with contextlib.suppress(FileNotFoundError):
        for line in (attempt / METRICS).read_bytes().splitlines():
            with contextlib.suppress(ValueError):
                lines.append(json.loads(line))
    return [line for line in lines if isinstance(line, dict)]


def remove_checkpoints(trial: Path) -> None:
    """Remove the checkpoints of a trial, and folders that held nothing else."""
    for path in sorted(trial.glob("attempt-*/**/*.ckpt")):
        with contextlib.suppress(OSError):
            path.unlink()
    for folder in [*trial.glob("attempt-*/*/version_*/checkpoints"), *trial.glob("attempt-*/earlier")]:
        with contextlib.suppress(OSError):
            folder.rmdir()


def link_or_copy(source: Path, target: Path) -> None:
    """Give a file a second name, or copy it where the file system has no hard links.

    Raises:
        OSError: The file is gone, or the second one cannot be written.
    """
    try:
        os.link(source, target)
    except FileExistsError:
        return
    except FileNotFoundError:
        raise
    except OSError:
        shutil.copyfile(source, target)
