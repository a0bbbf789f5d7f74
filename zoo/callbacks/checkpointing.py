"""Checkpoint callbacks: of the last and the best steps, and of the step at which an error occurred."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.callbacks import Checkpoint, ModelCheckpoint, WeightAveraging
from pytorch_lightning.trainer.states import TrainerFn
from torch import Tensor

from zoo.training.lightning_loop import is_last_epoch
from zoo.utils.errors import Stopped

CHECKPOINT_DEFAULTS = {
    # Keep the last two epochs. The last is the trained network, the other a backup if its file is damaged.
    "monitor": "step",
    "save_top_k": 2,
    "save_last": "link",
    "save_on_train_epoch_end": True,
}
"""What ``zoo fit`` keeps unless a config says otherwise."""


def better_mode(metric: str) -> str:
    """Return ``"min"`` for a metric of which less is better, which is a loss or an error, and ``"max"`` for others."""
    return "min" if metric.endswith(("loss", "error")) else "max"


class LastStepCheckpoint(ModelCheckpoint):
    """Lightning's `ModelCheckpoint` with three differences.

    Where no ``mode`` is given, the best value is that which is better in what is monitored (see `better_mode`).
    Lightning takes the smallest, of an accuracy too.

    With ``monitor="step"`` it also saves the last step. With ``every_n_train_steps`` or ``every_n_epochs``, Lightning
    saves the last multiple and loses the steps after it.

    With another ``monitor``, for example ``val_acc``, a training that is resumed in a new folder restores the best
    checkpoints found so far. Lightning forgets them. The files are looked up in the folder of the resumed checkpoint
    only, whatever paths its state contains, and they are never removed.

    Args:
        monitor: The metric whose best values decide what is kept; ``"step"`` keeps the last checkpoints.
        mode: Whether the smallest value is the best or the largest; None means what is usual for the metric.
        **settings: As `ModelCheckpoint` has them.
    """

    _trainer: Trainer | None = None
    _first_step = 0

    def __init__(self, monitor: str | None = None, mode: Literal["min", "max"] | None = None, **settings: Any) -> None:
        super().__init__(monitor=monitor, mode=mode or better_mode(monitor or "step"), **settings)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Keep the Trainer, whose ``ckpt_path`` is needed in `load_state_dict`."""
        super().setup(trainer, pl_module, stage)
        self._trainer = trainer

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note where this run begins."""
        super().on_train_start(trainer, pl_module)
        self._first_step = trainer.global_step

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save the last step unless it is saved already, or no step was made.

        At the end of the training would be too late: there an average of the weights takes the place of those that a
        longer training goes on with.
        """
        super().on_train_epoch_end(trainer, pl_module)
        is_last = trainer.global_step > self._first_step and is_last_epoch(trainer)
        if self.monitor == "step" and is_last and not self._should_skip_saving_checkpoint(trainer):
            candidates = self._monitor_candidates(trainer)
            self._save_topk_checkpoint(trainer, candidates)
            self._save_last_checkpoint(trainer, candidates)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the best checkpoints whose files exist."""
        recorded = state_dict.get("best_k_models")
        resumed = self._trainer.ckpt_path if self._trainer else None
        if self.monitor in (None, "step") or resumed is None or not isinstance(recorded, dict):
            return
        folder = Path(resumed).absolute().parent
        scores = {
            str(folder / Path(name).name): score
            for name, score in recorded.items()
            if isinstance(name, str)
            and isinstance(score, Tensor)
            and score.numel() == 1
            and (folder / Path(name).name).is_file()
        }
        if not scores:
            return
        ascending = sorted(scores, key=lambda name: float(scores[name]))
        worst, best = (ascending[-1], ascending[0]) if self.mode == "min" else (ascending[0], ascending[-1])
        self.best_k_models = scores
        self.best_model_path, self.best_model_score = best, scores[best]
        self.kth_best_model_path, self.kth_value = worst, scores[worst]


class ExceptionCheckpoint(Checkpoint):
    """Saves the state of a training when an error ends it, as Lightning's `OnExceptionCheckpoint` does.

    Lightning's makes every training resume from the newest such file without being asked, replaces the file of another
    training, and removes it after the next evaluation. This one only saves.

    It saves nothing when the user interrupts the training a second time, nor in a validation while an average of the
    weights has changed places with them.

    Args:
        dirpath: The folder of the file.
        filename: Its name without the extension.
    """

    chunk_aware = False
    """Whether several steps may be made between two of its calls."""

    def __init__(self, dirpath: str | Path, filename: str) -> None:
        self.dirpath = dirpath
        self.filename = filename

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Save the state, unless `zoo.callbacks.graceful_stop.GracefulStop` has, or no step was made."""
        if trainer.state.fn != TrainerFn.FITTING or not trainer.global_step:
            return
        callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
        are_swapped = trainer.validating and any(isinstance(each, WeightAveraging) for each in callbacks)
        if are_swapped or isinstance(exception, Stopped | KeyboardInterrupt):
            return
        path = Path(self.dirpath) / f"{self.filename}.ckpt"
        version = 0
        while path.exists():
            version += 1
            path = path.with_name(f"{self.filename}-v{version}.ckpt")
        trainer.save_checkpoint(path, weights_only=False)
