"""Training in stages: each layer is pretrained as a restricted Boltzmann machine, then all are fine-tuned together."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import torch
from pytorch_lightning.trainer.states import TrainerFn
from torch import Tensor, nn
from torch.optim import Optimizer

from zoo.data.batches import mean_of
from zoo.data.loader import BatchChunk
from zoo.models.classifier import Classifier
from zoo.rbm.bernoulli_rbm import BernoulliRBM
from zoo.rbm.contrastive_divergence import ContrastiveDivergence, make_rbm_optimizer, set_momentum
from zoo.rbm.monitoring import MONITORED_METRICS, RBMTotals, summarize
from zoo.rbm.step import ContrastiveDivergenceStep
from zoo.training.fused_update import make_update
from zoo.training.manual_backward import is_hooked
from zoo.training.schedules import with_schedule
from zoo.training.steps import Batch, LossAndMetrics, Step
from zoo.utils.autocast import full_precision
from zoo.utils.checks import check_counts, check_fractions, check_not_negative, check_positive
from zoo.utils.errors import UsageError


class GreedyPretraining(Classifier):
    """A classifier whose layers are pretrained one after the other, without labels.

    The stage is a function of the epoch, so training can be interrupted and resumed in any stage. A subclass has the
    arguments ``pretrain_epochs``, ``gibbs_steps``, ``persistent``, ``sample_visible``, ``centred``, ``pretrain_lr``,
    ``initial_momentum``, ``pretrain_momentum``, ``initial_epochs`` and ``weight_cost``, and calls `set_layers`.
    """

    training_arguments = (
        *Classifier.training_arguments,
        *("pretrain_epochs", "gibbs_steps", "persistent", "sample_visible", "centred", "pretrain_lr"),
        *("initial_momentum", "pretrain_momentum", "initial_epochs", "weight_cost"),
    )
    logged_metrics: ClassVar[frozenset[str]] = Classifier.logged_metrics | {"stage", *MONITORED_METRICS}

    layers: nn.ModuleList
    divergences: nn.ModuleList
    val_rbm_totals: RBMTotals

    def set_layers(self, rbms: Sequence[BernoulliRBM]) -> None:
        """Set the layers, from input to output, and the state of their pretraining.

        Raises:
            UsageError: A number is out of range.
        """
        h = self.hparams
        check_counts(pretrain_epochs=h["pretrain_epochs"], initial_epochs=h["initial_epochs"])
        check_positive(pretrain_lr=h["pretrain_lr"])
        check_fractions(initial_momentum=h["initial_momentum"], pretrain_momentum=h["pretrain_momentum"])
        check_not_negative(weight_cost=h["weight_cost"])
        self.layers = nn.ModuleList(rbms)
        # Their buffers and chains are the training state of each layer.
        settings = [h[name] for name in ("gibbs_steps", "persistent", "sample_visible", "centred")]
        self.divergences = nn.ModuleList(ContrastiveDivergence(*rbm.weight.shape, *settings) for rbm in rbms)
        self.val_rbm_totals = RBMTotals()
        # The stages use different optimizers and train different parameters.
        self.automatic_optimization = False
        # Lightning warns that checkpoints are saved after the optimizer step, which is intended.
        warnings.filterwarnings("ignore", message="Using ModelCheckpoint with manual optimization")

    @property
    def rbms(self) -> list[BernoulliRBM]:
        """The layers, from input to output."""
        return [layer for layer in self.layers if isinstance(layer, BernoulliRBM)]

    @property
    def contrastive_divergences(self) -> list[ContrastiveDivergence]:
        """The contrastive divergence of each layer, from input to output."""
        return [module for module in self.divergences if isinstance(module, ContrastiveDivergence)]

    @torch.no_grad()
    def input_of(self, layer: int, images: Tensor) -> Tensor:
        """Return what a layer gets, ``(B, V)``: E[h|v] of the layer below, or the pixels for layer 0."""
        activations = images.flatten(start_dim=1)
        with full_precision(activations):
            for rbm in self.rbms[:layer]:
                activations = rbm.hidden_probabilities(activations)
        return activations

    def hidden_activations(self, images: Tensor) -> list[Tensor]:
        """Return the output of every hidden layer, from input to output, for images ``(B, 1, 28, 28)`` in [0, 1]."""
        return [self.input_of(layer, images) for layer in range(1, len(self.layers) + 1)]

    def visible_states(self, layer: int, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return a layer's visible states in its pretraining, ``(B, V)``.

        Args:
            layer: Its index.
            images: ``(B, 1, 28, 28)`` or ``(B, 784)`` in [0, 1].
            labels: int64 ``(B,)``; None where a metric is measured without them.
        """
        return self.input_of(layer, images)

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

    def pretraining_epochs(self) -> int:
        """Return the number of pretraining epochs of all layers."""
        return int(self.hparams["pretrain_epochs"]) * len(self.layers)

    def unlabelled_epochs(self) -> int:
        """Return the number of epochs at the start that need no labels: those of pretraining."""
        return self.pretraining_epochs()

    def schedule_length(self) -> float:
        """Return the number of fine-tuning epochs; infinite if ``max_epochs`` is not set."""
        epochs = self.trainer.max_epochs  # the schedule is updated once per epoch, so max_steps does not determine it
        return math.inf if epochs is None or epochs < 0 else epochs - self.pretraining_epochs()

    def on_train_start(self) -> None:
        """Raise `UsageError` if training would end before all layers are pretrained."""
        super().on_train_start()
        if self.schedule_length() < 0 and not self.trainer.fast_dev_run:  # type: ignore[attr-defined]
            raise UsageError(
                f"max_epochs is {self.trainer.max_epochs}, but pre-training alone takes {self.pretraining_epochs()} "
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
            while schedule is not None and schedule.last_epoch < self.current_epoch - self.pretraining_epochs():
                schedule.step()

    def step(self, batch: Batch) -> LossAndMetrics:
        """Return the loss of the epoch's stage: contrastive divergence of a layer, or as any `Classifier`."""
        if not self._is_pretraining:
            return super().step(batch)
        stage = self.stage(self.current_epoch)
        visible = self.visible_states(stage, *batch[:2])
        divergence = self.contrastive_divergences[stage]
        return LossAndMetrics(divergence.loss(self.rbms[stage], visible, self.mean_over_processes), {})

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
            lambda batch: self.visible_states(stage, *batch[:2]),
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
            self.val_rbm_totals.update(self.rbms[stage], self.visible_states(stage, images))

    def on_validation_epoch_end(self) -> None:
        """Log the validation metrics."""
        super().on_validation_epoch_end()
        if self._is_pretraining:
            rbm = self.rbms[self.stage(self.current_epoch)]
            metrics = summarize(self.val_rbm_totals, rbm, self._training_inputs)
            monitored = {name: metrics[name.removeprefix("val_")] for name in MONITORED_METRICS}
            self.log_dict(monitored, reduce_fx="max", sync_dist=True)

    def incoming_dimensions(self) -> dict[nn.Parameter, tuple[int, ...]]:
        """Return the weights; those of an RBM are ``(V, H)``, so that a hidden unit's lie in a column."""
        return {**super().incoming_dimensions(), **{rbm.weight: (0,) for rbm in self.rbms}}

    def configure_optimizers(self) -> Any:
        """Return the optimizer of pretraining, SGD with momentum, if needed, and the optimizer of fine-tuning."""
        h = self.hparams
        fine_tuning = with_schedule(self.make_optimizer(), h["lr_schedule"], self.schedule_length, "epoch")
        if not h["pretrain_epochs"]:
            return fine_tuning
        pretraining = make_rbm_optimizer(self.rbms, h["pretrain_lr"], h["weight_cost"], self.may_fuse_steps)
        return {"optimizer": pretraining}, fine_tuning

    def process_state(self) -> dict[str, Tensor]:
        """Return this process's persistent chains of each layer that has some."""
        chains = {f"chains_{layer}": divergence.chains for layer, divergence in enumerate(self.contrastive_divergences)}
        return {name: states for name, states in chains.items() if states is not None}

    def load_process_states(self, states: list[dict[str, Tensor]]) -> None:
        """Distribute the chains of all processes of the interrupted training over the current processes."""
        for layer, divergence in enumerate(self.contrastive_divergences):
            saved = [state.get(f"chains_{layer}") for state in states]
            chains = [value for value in saved if isinstance(value, Tensor)]
            divergence.distribute_chains(chains, self.trainer.global_rank, self.trainer.world_size)

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
        return (self.visible_states(stage, images) for images in self.training_images(limit))
