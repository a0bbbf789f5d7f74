"""A note when a network has learned nothing."""

from __future__ import annotations

import math

from pytorch_lightning import Callback, LightningModule, Trainer

from zoo.utils.console import print_rank_zero

STEPS = 100
"""Steps before which nothing is said."""
MARGIN = 0.05
"""How much more accurate than 1 of the number of classes a network is that has learned something. The most frequent
digit is 11 % of the images."""


class GuessingNote(Callback):
    """Say after a training if the network answers as by guessing: its accuracy and its loss on validation data tell.

    Too high learning rates do so, and deep networks with sigmoids or with unsuitable initial values.
    """

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Compare the last validation with guessing."""
        accuracy, loss = (trainer.callback_metrics.get(name) for name in ("val_acc", "val_loss"))
        classes = pl_module.hparams.get("num_classes")
        if accuracy is None or loss is None or classes is None or trainer.global_step < STEPS or trainer.interrupted:
            return
        # ln(classes) is the loss of a network that gives all classes the same probability.
        if accuracy <= 1 / classes + MARGIN and loss > 0.95 * math.log(classes):
            lr = pl_module.hparams.get("lr")
            others = [name for name in ("weight_init", "activation") if name in pl_module.hparams]
            advice = " or ".join([f"another model.lr than {lr}", *(f"another model.{name}" for name in others)])
            print_rank_zero(f"zoo: This network answers as by guessing (val_acc {accuracy:.4f}): try {advice}.")
