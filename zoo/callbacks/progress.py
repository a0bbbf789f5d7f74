"""Progress a person can follow: a bar while an epoch runs, and a line when it is over."""

from __future__ import annotations

import sys
import time
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.callbacks import TQDMProgressBar
from pytorch_lightning.callbacks.progress.tqdm_progress import Tqdm

from zoo.data.loader import BatchChunk
from zoo.models.base import ZooModule
from zoo.runs.checkpoint import Checkpoint
from zoo.utils.console import is_watched
from zoo.utils.environment import device_name
from zoo.utils.files import as_typed


class EpochLines(TQDMProgressBar):
    """A bar with the epoch's running cost where there is a terminal, and one line per epoch everywhere.

    A line says the epoch's mean cost as the lecture's programs do, what was validated, and the seconds it took.
    """

    def __init__(self) -> None:
        super().__init__(refresh_rate=20, leave=False)
        self._started = 0.0
        self._finished_epoch: tuple[int, float] | None = None

    def init_train_tqdm(self) -> Tqdm:
        """Return the epoch's bar, silent where the output is no terminal."""
        silent = self.is_disabled or not is_watched()
        return Tqdm(desc="Training", disable=silent, leave=False, dynamic_ncols=True, smoothing=0)

    def init_validation_tqdm(self) -> Tqdm:
        """Evaluation takes a moment: no bar."""
        return Tqdm(disable=True)

    init_test_tqdm = init_validation_tqdm
    init_predict_tqdm = init_validation_tqdm

    def get_metrics(
        self, trainer: Trainer, pl_module: LightningModule
    ) -> dict[str, int | str | float | dict[str, float]]:
        """Return what stands behind the bar: the cost so far in this epoch."""
        cost = pl_module.running_loss() if isinstance(pl_module, ZooModule) else None
        return {} if cost is None else {"cost": f"{cost:.4f}"}

    def on_train_start(self, *args: Any) -> None:
        """Start the clock also for an epoch that is resumed in the middle, where nothing announces it."""
        self._started = time.perf_counter()
        super().on_train_start(*args)

    def on_train_epoch_start(self, trainer: Trainer, *_: Any) -> None:
        """Start the clock; the figures of the epoch before are complete only now."""
        self._print_line(trainer)
        self._started = time.perf_counter()
        super().on_train_epoch_start(trainer, *_)
        # As the lines count them, from 1; Lightning's bar alone counts from 0.
        names = [_epoch_name(trainer, trainer.current_epoch + 1), _stage(trainer, trainer.current_epoch)]
        self.train_progress_bar.set_description(", ".join(filter(None, names)))

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Move the bar; after a block by all of its steps."""
        if not isinstance(batch, BatchChunk):
            super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
        elif not self.train_progress_bar.disable:
            self.train_progress_bar.set_postfix(self.get_metrics(trainer, pl_module), refresh=False)
            done = trainer.fit_loop.epoch_loop.batch_progress.current.ready
            self.train_progress_bar.update(done - self.train_progress_bar.n)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop the clock."""
        super().on_train_epoch_end(trainer, pl_module)
        self._finished_epoch = (trainer.current_epoch + 1, time.perf_counter() - self._started)

    def on_train_end(self, *args: Any) -> None:
        """Print the last epoch's line."""
        super().on_train_end(*args)
        self._print_line(args[0])

    def _print_line(self, trainer: Trainer) -> None:
        if self._finished_epoch is None or not trainer.is_global_zero:
            return
        epoch, seconds = self._finished_epoch
        self._finished_epoch = None
        figures = trainer.callback_metrics
        parts = [_epoch_name(trainer, epoch)]
        module = trainer.lightning_module
        if stage := _stage(trainer, epoch - 1):
            parts.append(stage)
        named = module.epoch_metrics(epoch - 1) if isinstance(module, ZooModule) else {}
        for name, label in named.items():
            if name in figures:
                parts.append(f"{label} {figures[name]:.4f}")
        Tqdm.write("   ".join([*parts, f"{seconds:.1f} s"]), file=sys.stdout)


def _epoch_name(trainer: Trainer, epoch: int) -> str:
    """An epoch's number, from 1, and of how many."""
    of = f"/{trainer.max_epochs}" if trainer.max_epochs and trainer.max_epochs > 0 else ""
    return f"Epoch {epoch:>{len(of) - 1 if of else 3}}{of}"


def _stage(trainer: Trainer, epoch: int) -> str:
    module = trainer.lightning_module
    return module.stage_name(epoch) if isinstance(module, ZooModule) else ""


class Announcement(Callback):
    """Say in a line what is about to be trained, how large it is, on what, from which seed, and where it goes on.

    Args:
        name: What the run is called.
        seed: What `seed_everything` was given.
        checkpoint: Where the training goes on; None when it begins.
    """

    def __init__(self, name: str, seed: int | bool, checkpoint: Checkpoint | None) -> None:
        self.name = name
        self.seed = seed
        self.checkpoint = checkpoint

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Say it once the processes are there, and have divided the processor's cores among them."""
        if stage != "fit" or not trainer.is_global_zero:
            return
        parameters = sum(p.numel() for p in pl_module.parameters() if p.requires_grad)
        where = device_name(trainer.strategy.root_device)
        if trainer.world_size > 1:
            where = f"{trainer.world_size} × {where}"
        print(f"{self.name}: {parameters:,} parameters, training on {where}, seed {self.seed}", flush=True)
        if self.checkpoint is not None:
            epoch, step = self.checkpoint.content["epoch"] + 1, self.checkpoint.content["global_step"]
            print(f"Going on from {as_typed(self.checkpoint.path)} (epoch {epoch}, step {step:,})", flush=True)
