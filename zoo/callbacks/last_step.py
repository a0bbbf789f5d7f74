"""Keeping the network that a training ends with."""

from __future__ import annotations

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import ModelCheckpoint


class LastStepCheckpoint(ModelCheckpoint):
    """Lightning's `ModelCheckpoint`, which also keeps the last step of a training when it keeps the newest ones.

    With ``every_n_train_steps`` or ``every_n_epochs`` Lightning alone ends with the last multiple, and everything after
    it is lost. When something else is monitored, ``val_acc`` for example, that decides, as ever.
    """

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save the last step, unless it has just been saved."""
        if self.monitor == "step" and not self._should_skip_saving_checkpoint(trainer):
            candidates = self._monitor_candidates(trainer)
            self._save_topk_checkpoint(trainer, candidates)
            self._save_last_checkpoint(trainer, candidates)
        super().on_train_end(trainer, pl_module)
