"""Training in stages: each layer is pretrained as a restricted Boltzmann machine, then all are fine-tuned together."""

from __future__ import annotations

import math
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from pytorch_lightning.trainer.states import TrainerFn
from torch import Tensor, nn
from torch.optim import Optimizer

from zoo.data.batches import mean_of
from zoo.data.loader import BatchChunk
from zoo.models.classifier import Classifier
from zoo.rbm.bernoulli_rbm import BernoulliRBM
from zoo.rbm.contrastive_divergence import ContrastiveDivergence, set_momentum
from zoo.rbm.monitoring import MONITORED_METRICS, RBMTotals, summarize
from zoo.rbm.step import ContrastiveDivergenceStep
from zoo.training.fused_update import make_update
from zoo.training.manual_backward import is_hooked
from zoo.training.steps import Batch, LossAndMetrics, Step
from zoo.utils.errors import UsageError


class GreedyPretraining(Classifier, ABC):
    """A classifier whose layers are pretrained one after the other, without labels.

    The stage is a function of the epoch, so training can be interrupted and resumed in any stage. A subclass has the
    arguments ``pretrain_epochs``, ``initial_epochs``, ``initial_momentum``, ``pretrain_momentum`` and ``pretrain_lr``,
    and an optimizer of pretraining before that of fine-tuning where there is a pretraining.
    """

    logged_metrics: ClassVar[frozenset[str]] = Classifier.logged_metrics | {"stage", *MONITORED_METRICS}

    layers: nn.ModuleList
    val_rbm_totals: RBMTotals

    @property
    @abstractmethod
    def rbms(self) -> list[BernoulliRBM]:
        """The layers, from input to output."""

    @property
    @abstractmethod
    def contrastive_divergences(self) -> list[ContrastiveDivergence]:
        """The contrastive divergence of each layer, from input to output."""

    @abstractmethod
    def input_of(self, layer: int, images: Tensor) -> Tensor:
        """Return a layer's pretraining input, ``(B, V)``."""

    def stage(self, epoch: int) -> int:
        """Return the index of the layer that an epoch pretrains, or the number of layers if it fine-tunes."""
        epochs = self.hparams["pretrain_epochs"]
        return min(epoch // epochs, len(self.layers)) if epochs else len(self.layers)

    def stage_name(self, epoch: int) -> str:
        """Return the name of the stage of an epoch, counted from 0."""
        if not self.hparams["pretrain_epochs"]:
            return ""
        stage = self.stage(epoch)
        if stage == len(self.layers):
            return "fine-tuning"
        visible, hidden = self.rbms[stage].weight.shape
        return f"RBM {stage + 1} of {len(self.layers)}, {visible}-{hidden}"

    def epoch_metrics(self, epoch: int) -> Mapping[str, str]:
        """Return the metrics in an epoch's line of output: logged name to label."""
        return MONITORED_METRICS if self.stage(epoch) < len(self.layers) else super().epoch_metrics(epoch)

    def running_loss(self) -> float | None:
        """Return the epoch's mean cross-entropy so far on this device; None during pretraining."""
        return None if self._is_pretraining else super().running_loss()

    def unlabelled_epochs(self) -> int:
        """Return the number of pretraining epochs, which need no labels."""
        return int(self.hparams["pretrain_epochs"]) * len(self.layers)

    def schedule_length(self) -> float:
        """Return the number of fine-tuning epochs; infinite if ``max_epochs`` is not set."""
        epochs = self.trainer.max_epochs  # the schedule is updated once per epoch, so max_steps does not determine it
        return math.inf if epochs is None or epochs < 0 else epochs - self.unlabelled_epochs()

    def on_train_start(self) -> None:
        """Raise `UsageError` if training would end before all layers are pretrained."""
        super().on_train_start()
        if self.schedule_length() < 0 and not self.trainer.fast_dev_run:  # type: ignore[attr-defined]
            raise UsageError(
                f"max_epochs is {self.trainer.max_epochs}, but pre-training alone takes {self.unlabelled_epochs()} "
                "epochs: raise trainer.max_epochs, or lower model.pretrain_epochs."
            )

    def enter_epoch(self) -> None:
        """Set the epoch's learning rates and momentum; initialize the layer in the first epoch of its stage."""
        stage = self.stage(self.current_epoch)
        self.log("stage", float(stage + 1), on_step=False, on_epoch=True, batch_size=1)
        if not self._is_pretraining:
            self._update_schedule()
            return
        rbm, h = self.rbms[stage], self.hparams
        if not self.contrastive_divergences[stage].begun:
            # Broadcast, because means that are rounded differently would make the processes' models differ.
            means = self.trainer.strategy.broadcast(mean_of(self._training_inputs()))
            self.contrastive_divergences[stage].initialize(rbm, means)
        epoch = self.current_epoch - stage * h["pretrain_epochs"]
        initial = epoch < h["initial_epochs"]
        optimizer = self._stage_optimizer()
        set_momentum(optimizer.optimizer, h["initial_momentum"] if initial else h["pretrain_momentum"])
        remaining = (h["pretrain_epochs"] - epoch) / max(1, h["pretrain_epochs"] - h["initial_epochs"])
        for group in optimizer.param_groups:
            group["lr"] = h["pretrain_lr"] * min(1.0, remaining)

    def _update_schedule(self) -> None:
        """Advance the fine-tuning schedule to the current epoch."""
        schedule: Any = self.lr_schedulers()
        with warnings.catch_warnings():
            # torch counts the optimizer steps of this process only, and a resumed training made some in another.
            warnings.filterwarnings("ignore", message="Detected call of `lr_scheduler.step")
            while schedule is not None and schedule.last_epoch < self.current_epoch - self.unlabelled_epochs():
                schedule.step()

    def step(self, batch: Batch) -> LossAndMetrics:
        """Return the loss of the epoch's stage: contrastive divergence of a layer, or as any `Classifier`."""
        if not self._is_pretraining:
            return super().step(batch)
        stage = self.stage(self.current_epoch)
        images, *_ = batch
        divergence = self.contrastive_divergences[stage]
        return LossAndMetrics(
            divergence.loss(self.rbms[stage], self.input_of(stage, images), self.mean_over_processes), {}
        )

    def count(self, measured: Mapping[str, Tensor]) -> None:
        """Count the images of fine-tuning steps."""
        if not self._is_pretraining:
            super().count(measured)

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Center the gradients of pretraining, if ``centred`` is set, after they are averaged over all processes."""
        if self._is_pretraining:
            stage = self.stage(self.current_epoch)
            self.contrastive_divergences[stage].finish_gradients(self.rbms[stage])

    def make_step(self, optimizer: Optimizer) -> Step:
        """Return a step of the epoch's stage."""
        stage = self.stage(self.current_epoch)
        if not self._is_pretraining or is_hooked(self) or not all(p.requires_grad for p in self.parameters()):
            return super().make_step(optimizer)
        return ContrastiveDivergenceStep(
            lambda batch: self.input_of(stage, batch[0]),
            *(self.rbms[stage], self.contrastive_divergences[stage], make_update(optimizer), self.mean_over_processes),
        )

    def step_optimizer(self) -> Optimizer:
        """Return the optimizer of the epoch's stage."""
        optimizer: Optimizer = self._stage_optimizer().optimizer
        return optimizer

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """Make a step of the epoch's stage and return its loss, or the steps of a chunk."""
        loss = super().training_step(batch, batch_idx)
        if not isinstance(batch, BatchChunk):
            optimizer = self._stage_optimizer()
            self.backward_by_hand(loss, optimizer)
            optimizer.step()
            optimizer.zero_grad()
        return loss

    def on_train_epoch_end(self) -> None:
        """Log the epoch's training metrics, if it is a fine-tuning epoch."""
        if not self._is_pretraining:
            super().on_train_epoch_end()

    def validation_step(self, batch: tuple[Tensor, ...], batch_idx: int) -> None:
        """Update the validation metrics with a batch, also those of the layer that is being pretrained."""
        super().validation_step(batch, batch_idx)
        if self._is_pretraining:
            images, *_ = batch
            stage = self.stage(self.current_epoch)
            self.val_rbm_totals.update(self.rbms[stage], self.input_of(stage, images))

    def on_validation_epoch_end(self) -> None:
        """Log the validation metrics."""
        super().on_validation_epoch_end()
        if self._is_pretraining:
            rbm = self.rbms[self.stage(self.current_epoch)]
            metrics = summarize(self.val_rbm_totals, rbm, self._training_inputs)
            monitored = {name: metrics[name.removeprefix("val_")] for name in MONITORED_METRICS}
            self.log_dict(monitored, reduce_fx="max", sync_dist=True)

    @property
    def _is_pretraining(self) -> bool:
        if self._trainer is None:  # in a loop of one's own
            return False
        is_fitting = self.trainer.state.fn == TrainerFn.FITTING and not self.trainer.sanity_checking
        return is_fitting and self.stage(self.current_epoch) < len(self.layers)

    def _stage_optimizer(self) -> Any:
        optimizers = self.optimizers()
        optimizers = optimizers if isinstance(optimizers, list) else [optimizers]
        return optimizers[0 if self._is_pretraining else -1]

    def _training_inputs(self, limit: int | None = None) -> Iterator[Tensor]:
        """Yield the pretraining inputs of the stage's layer in batches ``(B, V)``."""
        stage = self.stage(self.current_epoch)
        return (self.input_of(stage, images) for images in self.training_images(limit))
