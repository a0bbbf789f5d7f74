"""The deep belief net: layers pre-trained one by one without labels, then fine-tuned together with them."""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from pytorch_lightning.trainer.states import TrainerFn
from torch import Tensor, nn

from zoo.data.batches import mean_of
from zoo.layers.initializers import initialize_tensor
from zoo.models.classifier import Classifier
from zoo.rbm.bernoulli_rbm import BernoulliRBM
from zoo.rbm.contrastive_divergence import ContrastiveDivergence, make_rbm_optimizer, set_momentum
from zoo.rbm.monitoring import WATCHED, RBMTotals, summarize
from zoo.training.schedules import with_schedule
from zoo.utils.autocast import full_precision
from zoo.utils.checks import check_counts, check_fractions, check_layer_sizes, check_not_negative, check_positive
from zoo.utils.errors import UsageError


class DBN(Classifier):
    """A stack of restricted Boltzmann machines that becomes a net of sigmoid units, 784-…-10.

    One training has several stages, each a number of epochs: every layer is trained as an RBM by contrastive
    divergence on E[h|v] of the layer below, from the bottom up, while the others stand still; then all layers
    and a new softmax on top are trained by back-propagation, as any `Classifier`. The stage is a function of the epoch,
    so a training can be interrupted and resumed in any of them. While it pre-trains, ``val_reconstruction_error`` and
    ``free_energy_gap`` of the layer are logged (see `zoo.models.RBM`), and always the ``stage``, from 1.

    Hinton, Osindero and Teh, "A fast learning algorithm for deep belief nets", Neural Computation 2006, who fine-tuned
    by another algorithm; by back-propagation: Hinton and Salakhutdinov, "Reducing the dimensionality of data with
    neural networks", Science 2006; with dropout: Srivastava et al., JMLR 2014.

    Args:
        hidden_sizes: Units in each layer, from the bottom up; at least one layer.
        pretrain_epochs: Epochs of pre-training for each layer; 0 leaves all layers at their initial values.
        gibbs_steps: k, the steps of Gibbs sampling in each update of the pre-training, at least 1.
        persistent: Pre-train with persistent chains, as `zoo.models.RBM` does.
        sample_visible: Pre-train on states sampled from each layer's input, not on the probabilities.
        centred: Pre-train with centred gradients.
        pretrain_lr: Learning rate of contrastive divergence, more than 0; it falls linearly towards 0 after
            the initial epochs.
        initial_momentum: In the first epochs of each layer, 0 ≤ m < 1.
        pretrain_momentum: Afterwards, 0 ≤ m < 1.
        initial_epochs: How many epochs of each layer have the initial momentum, 0 or more.
        weight_cost: L2 on the weights and not on the biases while pre-training, 0 or more.
        weight_init: Initial values of the hidden layers' weights, a name in `zoo.layers.initializers`; None means
            N(0, 0.01²), as RBMs begin.
        hidden_lr_factor: The hidden layers' learning rate in fine-tuning, relative to ``lr``, which is the output
            layer's; more than 0.
        input_dropout: Probability of dropping a pixel in fine-tuning, 0 ≤ p < 1.
        dropout: Probability of dropping a hidden unit's output in fine-tuning, 0 ≤ p < 1.
        **training: How it is fine-tuned, as in `Classifier`; a ``cosine`` schedule moves once per epoch.

    Raises:
        UsageError: A number is out of range or a name unknown.
    """

    training_arguments = (
        *Classifier.training_arguments,
        *("pretrain_epochs", "gibbs_steps", "persistent", "sample_visible", "centred", "pretrain_lr"),
        *("initial_momentum", "pretrain_momentum", "initial_epochs", "weight_cost", "weight_init", "hidden_lr_factor"),
        *("input_dropout", "dropout"),
    )

    def __init__(
        self,
        hidden_sizes: Sequence[int] = (500, 500, 2000),
        pretrain_epochs: int = 3,
        gibbs_steps: int = 1,
        persistent: bool = False,
        sample_visible: bool = False,
        centred: bool = False,
        pretrain_lr: float = 0.1,
        initial_momentum: float = 0.5,
        pretrain_momentum: float = 0.9,
        initial_epochs: int = 5,
        weight_cost: float = 0.0002,
        weight_init: str | None = None,
        hidden_lr_factor: float = 1.0,
        input_dropout: float = 0.0,
        dropout: float = 0.0,
        **training: Any,
    ) -> None:
        super().__init__(**training)
        check_layer_sizes(hidden_sizes, least=1)
        check_counts(pretrain_epochs=pretrain_epochs, initial_epochs=initial_epochs)
        check_positive(pretrain_lr=pretrain_lr, hidden_lr_factor=hidden_lr_factor)
        check_fractions(
            initial_momentum=initial_momentum,
            pretrain_momentum=pretrain_momentum,
            input_dropout=input_dropout,
            dropout=dropout,
        )
        check_not_negative(weight_cost=weight_cost)
        shapes = list(itertools.pairwise([784, *hidden_sizes]))
        self.layers = nn.ModuleList(BernoulliRBM(*shape) for shape in shapes)
        # Together they hold what each layer's training must remember.
        self.divergences = nn.ModuleList(
            ContrastiveDivergence(*shape, gibbs_steps, persistent, sample_visible, centred) for shape in shapes
        )
        if weight_init is not None:
            for rbm in self.rbms:
                initialize_tensor(rbm.weight.T, weight_init)
        self.output = nn.Linear(hidden_sizes[-1], self.hparams["num_classes"])
        nn.init.xavier_uniform_(self.output.weight)
        nn.init.zeros_(self.output.bias)
        self.val_rbm_totals = RBMTotals()
        # The stages have optimizers of different kinds, and gradients of different parameters.
        self.automatic_optimization = False
        # Lightning wonders whether a checkpoint after the step is meant: it is.
        warnings.filterwarnings("ignore", message="Using ModelCheckpoint with manual optimization")

    @property
    def rbms(self) -> list[BernoulliRBM]:
        """The layers, from the bottom up."""
        return [layer for layer in self.layers if isinstance(layer, BernoulliRBM)]

    @property
    def contrasts(self) -> list[ContrastiveDivergence]:
        """How each layer is trained, from the bottom up."""
        return [each for each in self.divergences if isinstance(each, ContrastiveDivergence)]

    def forward(self, images: Tensor) -> Tensor:
        """Map images ``(B, 1, 28, 28)`` in [0, 1] to logits ``(B, 10)``."""
        activity = images.flatten(start_dim=1)
        dropout = self.hparams["input_dropout"]
        for rbm in self.rbms:
            activity = rbm.hidden_probabilities(nn.functional.dropout(activity, dropout, self.training))
            dropout = self.hparams["dropout"]
        logits: Tensor = self.output(nn.functional.dropout(activity, dropout, self.training))
        return logits

    @torch.no_grad()
    def input_of(self, layer: int, images: Tensor) -> Tensor:
        """Return what a layer is pre-trained on: E[h|v] of the one below, or the pixels for layer 0, ``(B, V)``."""
        activity = images.flatten(start_dim=1)
        with full_precision(activity):
            for rbm in self.rbms[:layer]:
                activity = rbm.hidden_probabilities(activity)
        return activity

    def stage(self, epoch: int) -> int:
        """Return which layer an epoch pre-trains, from 0, or the number of layers when it fine-tunes all."""
        epochs = self.hparams["pretrain_epochs"]
        return min(epoch // epochs, len(self.layers)) if epochs else len(self.layers)

    def stage_name(self, epoch: int) -> str:
        """What is trained in an epoch, from 0."""
        if not self.hparams["pretrain_epochs"]:
            return ""
        stage = self.stage(epoch)
        if stage == len(self.layers):
            return "fine-tuning"
        visible, hidden = self.rbms[stage].weight.shape
        return f"RBM {stage + 1} of {len(self.layers)}, {visible}-{hidden}"

    def epoch_metrics(self, epoch: int) -> Mapping[str, str]:
        """What the line of an epoch says."""
        return WATCHED if self.stage(epoch) < len(self.layers) else super().epoch_metrics(epoch)

    def running_loss(self) -> float | None:
        """The mean cross-entropy so far in this epoch on this device; None while it pre-trains."""
        return None if self._pretrains else super().running_loss()

    def unlabelled_epochs(self) -> int:
        """How many epochs pre-train, and need no labels."""
        return int(self.hparams["pretrain_epochs"]) * len(self.layers)

    def schedule_length(self) -> float:
        """How many epochs fine-tune."""
        epochs = self.trainer.max_epochs  # a schedule moves once per epoch, so max_steps alone is no end
        return math.inf if epochs is None or epochs < 0 else epochs - self.unlabelled_epochs()

    def on_train_start(self) -> None:
        """Refuse a training that would end before all layers are pre-trained."""
        super().on_train_start()
        if self.schedule_length() < 0 and not self.trainer.fast_dev_run:  # type: ignore[attr-defined]
            raise UsageError(
                f"max_epochs is {self.trainer.max_epochs}, but pre-training alone takes {self.unlabelled_epochs()} "
                "epochs: raise trainer.max_epochs, or lower model.pretrain_epochs."
            )

    def enter_epoch(self) -> None:
        """Begin a stage with its first epoch, and set the epoch's learning rates and momentum."""
        stage = self.stage(self.current_epoch)
        self.log("stage", float(stage + 1), on_step=False, on_epoch=True)
        if not self._pretrains:
            self._move_schedule()
            return
        rbm, h = self.rbms[stage], self.hparams
        if not self.contrasts[stage].begun:
            # From one process to all: another processor may round another way.
            means = self.trainer.strategy.broadcast(mean_of(self._training_inputs()))
            self.contrasts[stage].begin(rbm, means)
        epoch = self.current_epoch - stage * h["pretrain_epochs"]
        initial = epoch < h["initial_epochs"]
        optimizer: Any = self._optimizers()[0]
        set_momentum(optimizer.optimizer, h["initial_momentum"] if initial else h["pretrain_momentum"])
        left = (h["pretrain_epochs"] - epoch) / max(1, h["pretrain_epochs"] - h["initial_epochs"])
        for group in optimizer.param_groups:
            group["lr"] = h["pretrain_lr"] * min(1.0, left)

    def _move_schedule(self) -> None:
        """Let the schedule of the fine-tuning come to the current epoch."""
        schedule: Any = self.lr_schedulers()
        with warnings.catch_warnings():
            # torch looks for steps of this process; a training that goes on had its own in another.
            warnings.filterwarnings("ignore", message="Detected call of `lr_scheduler.step")
            while schedule is not None and schedule.last_epoch < self.current_epoch - self.unlabelled_epochs():
                schedule.step()

    def training_step(self, batch: tuple[Tensor, ...], batch_idx: int) -> Tensor:
        """Make a step of the stage that the epoch belongs to, and return its cost."""
        optimizer = self._optimizers()[0 if self._pretrains else -1]
        if self._pretrains:
            images, *_ = batch
            stage = self.stage(self.current_epoch)
            rbm, contrast = self.rbms[stage], self.contrasts[stage]
            loss = contrast.loss(rbm, self.input_of(stage, images), self.mean_over_processes)
            self.backward_by_hand(loss, optimizer)
            contrast.finish_gradients(rbm)
        else:
            loss = super().training_step(batch, batch_idx)
            self.backward_by_hand(loss, optimizer)
        optimizer.step()
        optimizer.zero_grad()
        return loss

    def on_train_epoch_end(self) -> None:
        """Log the epoch's means, when it fine-tuned."""
        if not self._pretrains:
            super().on_train_epoch_end()

    def validation_step(self, batch: tuple[Tensor, ...], batch_idx: int) -> None:
        """Count a batch of the validation set, and look at the layer that is being pre-trained."""
        super().validation_step(batch, batch_idx)
        if self._pretrains:
            images, *_ = batch
            stage = self.stage(self.current_epoch)
            self.val_rbm_totals.update(self.rbms[stage], self.input_of(stage, images))

    def on_validation_epoch_end(self) -> None:
        """Log the validation set's figures."""
        super().on_validation_epoch_end()
        if self._pretrains:
            rbm = self.rbms[self.stage(self.current_epoch)]
            found = summarize(self.val_rbm_totals, rbm, self._training_inputs)
            watched = {name: found[name.removeprefix("val_")] for name in WATCHED}
            self.log_dict(watched, reduce_fx="max", sync_dist=True)

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return what fine-tuning trains: the hidden layers with a learning rate of their own, and the output layer."""
        hidden = [parameter for rbm in self.rbms for parameter in (rbm.weight, rbm.hidden_bias)]
        return [
            {"params": hidden, "lr": self.hparams["lr"] * self.hparams["hidden_lr_factor"]},
            {"params": list(self.output.parameters())},
        ]

    def configure_optimizers(self) -> Any:
        """Make gradient descent with momentum for the pre-training, if there is one, and what fine-tunes."""
        h = self.hparams
        fine_tuning = with_schedule(self.make_optimizer(), h["lr_schedule"], self.schedule_length, "epoch")
        if not h["pretrain_epochs"]:
            return fine_tuning
        pre_training = make_rbm_optimizer(self.rbms, h["pretrain_lr"], h["weight_cost"], self.may_fuse_steps)
        return {"optimizer": pre_training}, fine_tuning

    @property
    def _pretrains(self) -> bool:
        trains = self.trainer.state.fn == TrainerFn.FITTING and not self.trainer.sanity_checking
        return trains and self.stage(self.current_epoch) < len(self.layers)

    def _optimizers(self) -> list[Any]:
        optimizers = self.optimizers()
        return optimizers if isinstance(optimizers, list) else [optimizers]

    def process_state(self) -> dict[str, Tensor]:
        """Return this process's chains of every layer that has any."""
        chains = {f"chains_{layer}": each.chains for layer, each in enumerate(self.contrasts)}
        return {name: states for name, states in chains.items() if states is not None}

    def load_process_states(self, states: list[dict[str, Tensor]]) -> None:
        """Share all chains among the processes that there are now."""
        for layer, each in enumerate(self.contrasts):
            found = [state.get(f"chains_{layer}") for state in states]
            chains = [states for states in found if isinstance(states, Tensor)]
            each.share_chains(chains, self.trainer.global_rank, self.trainer.world_size)

    def _training_inputs(self, limit: int | None = None) -> Iterator[Tensor]:
        """What the stage's layer is trained on, ``(B, V)`` at a time."""
        stage = self.stage(self.current_epoch)
        return (self.input_of(stage, images) for images in self.training_images(limit))
