"""A note when other programs slow a training on processors down."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Any, NamedTuple

import torch
from pytorch_lightning import Callback, LightningModule, Trainer

from zoo.utils.console import print_rank_zero

SECONDS = 2.0
"""How long a training is watched, from its first step."""
ENOUGH = 0.5
"""How many processors fewer than threads a training does well with. Something else always runs for a moment."""


class BusyMachineNote(Callback):
    """Say once if other programs leave the threads of a training fewer processors than there are threads.

    The threads of torch wait for each other at every operation. One that has no processor keeps all of them waiting, so
    that two threads may take ten times as long as one. Other programs are seen on Linux only.
    """

    def __init__(self) -> None:
        self._timer: threading.Timer | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin to watch, in a training of one process on processors that uses several threads."""
        threads = torch.get_num_threads()
        before = processor_seconds()
        if trainer.strategy.root_device.type != "cpu" or trainer.world_size > 1 or threads == 1 or before is None:
            return
        # A timer, and no hook: the first step may take long, and a hook at every step would take time of its own.
        self._timer = threading.Timer(SECONDS, _tell, (before, time.monotonic(), threads))
        self._timer.daemon = True
        self._timer.start()

    def on_train_end(self, *_: Any) -> None:
        """Stop watching."""
        if self._timer is not None:
            self._timer.cancel()

    def on_exception(self, *_: Any) -> None:
        """Stop watching."""
        self.on_train_end()


class ProcessorSeconds(NamedTuple):
    """Time that the processors have spent, summed over those that this process may use."""

    busy: float
    """Seconds in which they worked, for whatever program."""
    own: float
    """Seconds in which they worked for this process."""


def processor_seconds(statistics: Path = Path("/proc/stat")) -> ProcessorSeconds | None:
    """Return what the processors have done so far, or None where the system does not say it.

    Args:
        statistics: The system's file.
    """
    try:
        lines = statistics.read_text().splitlines()
        allowed = {f"cpu{number}" for number in os.sched_getaffinity(0)}
        counts = [[int(count) for count in line.split()[1:9]] for line in lines if line.split()[0] in allowed]
        ticks = os.sysconf("SC_CLK_TCK")
    except (OSError, AttributeError, ValueError, IndexError):
        return None
    # user, nice, system, idle, iowait, irq, softirq, steal: what the host takes away counts as well
    busy = sum(sum(count) - count[3] - count[4] for count in counts if len(count) == 8)
    return ProcessorSeconds(busy / ticks, time.process_time()) if counts else None


def sentence(others: float, processors: int, threads: int) -> str | None:
    """Return what to say, or None if the threads have processors enough.

    Args:
        others: How many processors other programs use.
        processors: How many there are.
        threads: How many threads the training has.
    """
    if processors - others >= threads - ENOUGH:
        return None
    return (
        f"This machine is busy: other programs use {others:.1f} of its {processors} processors, so the {threads} "
        "threads of this training wait for each other. Stop it with Ctrl-C, and begin the command with "
        "OMP_NUM_THREADS=1: it may be ten times as fast."
    )


def _tell(before: ProcessorSeconds, started: float, threads: int) -> None:
    now = processor_seconds()
    if now is None:
        return
    others = (now.busy - before.busy - (now.own - before.own)) / (time.monotonic() - started)
    if text := sentence(others, len(os.sched_getaffinity(0)), threads):
        print_rank_zero(f"zoo: {text}")
