"""Keeping the network that a training ends with, and remembering the best one across an interruption."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import ModelCheckpoint
from torch import Tensor


class LastStepCheckpoint(ModelCheckpoint):
    """Lightning's `ModelCheckpoint`, with two differences.

    When it keeps the newest checkpoints it also keeps the last step's: with ``every_n_train_steps`` or
    ``every_n_epochs`` Lightning alone ends with the last multiple, and everything after it is lost.

    When it keeps the best by ``val_acc``, say, a training that goes on in a new folder still knows the best of before;
    Lightning forgets them. They are looked for in the folder of the checkpoint that it goes on from and nowhere else,
    whatever the file says, and are never removed.
    """

    _trainer: Trainer | None = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Remember who knows where the training goes on."""
        super().setup(trainer, pl_module, stage)
        self._trainer = trainer

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save the last step, unless it has just been saved."""
        if self.monitor == "step" and not self._should_skip_saving_checkpoint(trainer):
            candidates = self._monitor_candidates(trainer)
            self._save_topk_checkpoint(trainer, candidates)
            self._save_last_checkpoint(trainer, candidates)
        super().on_train_end(trainer, pl_module)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over the best checkpoints of before, as far as their files are there."""
        recorded = state_dict.get("best_k_models")
        resumed = self._trainer.ckpt_path if self._trainer else None
        if self.monitor in (None, "step") or resumed is None or not isinstance(recorded, dict):
            return
        folder = Path(resumed).absolute().parent
        scores = {
            str(folder / Path(name).name): score
            for name, score in recorded.items()
            if isinstance(name, str) and isinstance(score, Tensor) and (folder / Path(name).name).is_file()
        }
        if not scores:
            return
        ascending = sorted(scores, key=lambda name: float(scores[name]))
        worst, best = (ascending[-1], ascending[0]) if self.mode == "min" else (ascending[0], ascending[-1])
        self.best_k_models = scores
        self.best_model_path, self.best_model_score = best, scores[best]
        self.kth_best_model_path, self.kth_value = worst, scores[worst]
