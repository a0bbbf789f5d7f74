"""Progress output: a line at the start of training, a progress bar during an epoch and a line after it."""

from __future__ import annotations

import os
import sys
import time
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.callbacks import EarlyStopping, TQDMProgressBar
from pytorch_lightning.callbacks.progress.tqdm_progress import Tqdm

from zoo.data.loader import BatchChunk
from zoo.models.base import ZooModule
from zoo.runs.checkpoint import Checkpoint
from zoo.utils.console import is_interactive
from zoo.utils.environment import device_name
from zoo.utils.files import display_path
from zoo.utils.printable import printable


class EpochProgressBar(TQDMProgressBar):
    """A progress bar with the running loss, in a terminal or notebook only, and a printed line per epoch.

    The line contains the mean training loss, as in the programs of the lecture, the validation metrics and the duration
    of the epoch in seconds.
    """

    def __init__(self) -> None:
        super().__init__(refresh_rate=20, leave=False)
        self._started = 0.0
        self._finished_epoch: tuple[int, float] | None = None
        self._validated = False  # in the epoch under way

    def init_train_tqdm(self) -> Tqdm:
        """Return the training progress bar, disabled unless the output is interactive."""
        disable = self.is_disabled or not is_interactive()
        size: dict[str, Any] = {"dynamic_ncols": True} if _knows_size() else {"ncols": 80, "nrows": 24}
        # Chunks have different lengths: by itself, tqdm would wait for one as long as the first.
        return Tqdm(desc="Training", disable=disable, leave=False, miniters=1, smoothing=0, **size)

    def init_validation_tqdm(self) -> Tqdm:
        """Return a disabled bar, because evaluation takes only a moment."""
        return Tqdm(disable=True)

    init_test_tqdm = init_validation_tqdm
    init_predict_tqdm = init_validation_tqdm

    def get_metrics(
        self, trainer: Trainer, pl_module: LightningModule
    ) -> dict[str, int | str | float | dict[str, float]]:
        """Return the running loss of the epoch, which is shown next to the bar."""
        loss = pl_module.running_loss() if isinstance(pl_module, ZooModule) else None
        return {} if loss is None else {"loss": f"{loss:.4f}"}

    def on_train_start(self, *args: Any) -> None:
        """Start timing here too: `on_train_epoch_start` is not called for an epoch that is resumed in the middle."""
        self._started = time.perf_counter()
        super().on_train_start(*args)

    def on_train_epoch_start(self, trainer: Trainer, *_: Any) -> None:
        """Print the line of the previous epoch, whose metrics are complete only now, and start timing."""
        self._print_epoch(trainer)
        self._validated = False
        self._started = time.perf_counter()
        super().on_train_epoch_start(trainer, *_)
        # The lines count epochs from 1, Lightning's bar from 0.
        names = [_epoch_name(trainer, trainer.current_epoch + 1), _stage_name(trainer, trainer.current_epoch)]
        self.train_progress_bar.set_description(", ".join(filter(None, names)))

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Advance the bar, after a chunk of batches by all of its steps."""
        if not isinstance(batch, BatchChunk):
            super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
        elif not self.train_progress_bar.disable:
            self.train_progress_bar.set_postfix(self.get_metrics(trainer, pl_module), refresh=False)
            done = trainer.fit_loop.epoch_loop.batch_progress.current.ready
            self.train_progress_bar.update(done - self.train_progress_bar.n)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note that the validation metrics are of this epoch."""
        super().on_validation_end(trainer, pl_module)
        self._validated = True

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop timing."""
        super().on_train_epoch_end(trainer, pl_module)
        self._finished_epoch = (trainer.current_epoch + 1, time.perf_counter() - self._started)

    def on_train_end(self, *args: Any) -> None:
        """Print the line of the last epoch."""
        super().on_train_end(*args)
        self._print_epoch(args[0])
        for callback in args[0].early_stopping_callbacks:
            reason = callback.stopping_reason_message if isinstance(callback, EarlyStopping) else None
            if reason and args[0].is_global_zero:
                Tqdm.write(f"Stopped early: {reason.partition(' Signaling')[0]}", file=sys.stdout)

    def on_exception(self, *_: Any) -> None:
        """Remove the bar of a training that breaks off, so that what is printed next has a line of its own."""
        if self._train_progress_bar is not None:
            self._train_progress_bar.close()

    def _print_epoch(self, trainer: Trainer) -> None:
        if self._finished_epoch is None or not trainer.is_global_zero:
            return
        epoch, seconds = self._finished_epoch
        self._finished_epoch = None
        metrics = trainer.callback_metrics
        parts = [_epoch_name(trainer, epoch)]
        module = trainer.lightning_module
        if stage := _stage_name(trainer, epoch - 1):
            parts.append(stage)
        labels = module.epoch_metrics(epoch - 1) if isinstance(module, ZooModule) else {}
        for name, label in labels.items():
            # Lightning keeps the metrics of an earlier validation.
            if name in metrics and (self._validated or name.startswith("train_")):
                parts.append(f"{label} {metrics[name]:.4f}")
        Tqdm.write("   ".join([*parts, f"{seconds:.1f} s"]), file=sys.stdout)


def _knows_size() -> bool:
    """Return whether a bar would be visible: some terminals say that they have no columns."""
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns > 0
    except (AttributeError, OSError, ValueError):  # no terminal
        return True


def _epoch_name(trainer: Trainer, epoch: int) -> str:
    """Return the number of an epoch, counted from 1, and the number of epochs if it is known."""
    total = f"/{trainer.max_epochs}" if trainer.max_epochs and trainer.max_epochs > 0 else ""
    return f"Epoch {epoch:>{len(total) - 1 if total else 3}}{total}"


def _stage_name(trainer: Trainer, epoch: int) -> str:
    module = trainer.lightning_module
    return module.stage_name(epoch) if isinstance(module, ZooModule) else ""


class StartMessage(Callback):
    """Print the run's name, number of parameters, device and seed, and the checkpoint that training resumes from.

    Args:
        name: The name of the run.
        seed: The argument of `seed_everything`.
        checkpoint: The checkpoint to resume from; None for a new training.
    """

    def __init__(self, name: str, seed: int | bool, checkpoint: Checkpoint | None) -> None:
        self.name = name
        self.seed = seed
        self.checkpoint = checkpoint

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Print the message; by now all processes have started and have set their numbers of threads."""
        if stage != "fit" or not trainer.is_global_zero:
            return
        parameters = sum(p.numel() for p in pl_module.parameters() if p.requires_grad)
        device = device_name(trainer.strategy.root_device)
        if trainer.world_size > 1:
            device = f"{trainer.world_size} × {device}"
        seed = "no seed" if self.seed is False else f"seed {self.seed}"
        print(f"{printable(self.name)}: {parameters:,} parameters, training on {device}, {seed}", flush=True)
        if self.checkpoint is not None:
            epoch, step = self.checkpoint.content["epoch"] + 1, self.checkpoint.content["global_step"]
            print(f"Going on from {display_path(self.checkpoint.path)} (epoch {epoch}, step {step:,})", flush=True)
