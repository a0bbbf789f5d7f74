"""A checkpoint callback that saves the last step and restores the best checkpoints when training is resumed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import ModelCheckpoint
from torch import Tensor

CHECKPOINT_DEFAULTS = {
    # Keep the last two epochs. The last is the trained network, the other a backup if its file is damaged.
    "monitor": "step",
    "mode": "max",
    "save_top_k": 2,
    "save_last": "link",
    "save_on_train_epoch_end": True,
}
"""What ``zoo fit`` keeps unless a config says otherwise."""


class LastStepCheckpoint(ModelCheckpoint):
    """Lightning's `ModelCheckpoint` with two differences.

    With ``monitor="step"`` it also saves the last step. With ``every_n_train_steps`` or ``every_n_epochs``, Lightning
    saves the last multiple and loses the steps after it.

    With another ``monitor``, for example ``val_acc``, a training that is resumed in a new folder restores the best
    checkpoints found so far. Lightning forgets them. The files are looked up in the folder of the resumed checkpoint
    only, whatever paths its state contains, and they are never removed.
    """

    _trainer: Trainer | None = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Keep the Trainer, whose ``ckpt_path`` is needed in `load_state_dict`."""
        super().setup(trainer, pl_module, stage)
        self._trainer = trainer

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save the last step unless it is saved already."""
        if self.monitor == "step" and not self._should_skip_saving_checkpoint(trainer):
            candidates = self._monitor_candidates(trainer)
            self._save_topk_checkpoint(trainer, candidates)
            self._save_last_checkpoint(trainer, candidates)
        super().on_train_end(trainer, pl_module)

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
