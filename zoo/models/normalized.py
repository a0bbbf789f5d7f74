"""The base of modules that may contain batch norm: what it needs of the batches, and its statistics after training."""

from __future__ import annotations

from abc import ABC
from typing import Any

from pytorch_lightning.trainer.states import TrainerFn
from torch import nn

from zoo.data.loader import BatchLoader
from zoo.models.counting import CountingModule
from zoo.training.batch_norm import batch_norms, refit_batch_norm
from zoo.utils.errors import UsageError
from zoo.utils.wording import counted


class NormalizedModule(CountingModule, ABC):
    """Refits its batch norm before each validation and at the end of each epoch, if ``refit_batch_norm`` is set.

    Training does not depend on the running averages, so that the weights are the same with and without it. What is
    validated, saved and tested is the refitted network.
    """

    _refitted_at = -1

    def on_train_start(self) -> None:
        """Refuse what batch norm cannot do.

        Raises:
            UsageError: A batch would be a single image, or there is nothing to refit.
        """
        super().on_train_start()
        self._refitted_at = -1
        parts = list(self.parts())
        if self.hparams.get("refit_batch_norm") and not batch_norms(parts):
            raise UsageError(
                f"refit_batch_norm is true, but this {type(self).__name__} has no batch norm: leave it out."
            )
        loader: Any = self.trainer.train_dataloader
        if not isinstance(loader, BatchLoader) or not any(type(each) is nn.BatchNorm1d for each in parts):
            return
        size, images = loader.batch_size or 1, len(loader.sampler)  # type: ignore[arg-type]
        cut_short = self.trainer.num_training_batches < len(loader)
        if size == 1 or (images % size == 1 and not cut_short):
            fitting = [each for each in range(2, images + 1) if images % each != 1]
            remedy = (
                f"set data.batch_size to {min(fitting, key=lambda each: abs(each - size))}"
                if images > 1
                else "train on more images"
            )
            raise UsageError(
                f"The last batch of {counted(images, 'image')} would be a single one, which has no variance for batch "
                f"norm: {remedy}."
            )

    def on_validation_start(self) -> None:
        """Refit batch norm, so that the network is validated as it is saved."""
        self._refit()

    def on_train_epoch_end(self) -> None:
        """Refit batch norm where there was no validation since the last step, and log the epoch's means."""
        self._refit()
        super().on_train_epoch_end()

    def _refit(self) -> None:
        is_training = self.trainer.state.fn == TrainerFn.FITTING and not self.trainer.sanity_checking
        if not (self.hparams.get("refit_batch_norm") and is_training) or self._refitted_at == self.global_step:
            return
        self._refitted_at = self.global_step
        # Every process takes all images, so that the statistics do not depend on the number of processes.
        images = (batch.unflatten(1, self.input_shape) for batch in self.training_images(shuffled=True))
        refit_batch_norm(self, self.parts(), self, images)
