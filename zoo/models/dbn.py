"""Deep belief net: greedy layer-wise pretraining without labels, then supervised fine-tuning."""

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
from zoo.rbm.monitoring import MONITORED_METRICS, RBMTotals, summarize
from zoo.training.schedules import with_schedule
from zoo.utils.autocast import full_precision
from zoo.utils.checks import check_counts, check_fractions, check_layer_sizes, check_not_negative, check_positive
from zoo.utils.errors import UsageError


class DBN(Classifier):
    """A deep belief net: restricted Boltzmann machines, stacked and fine-tuned as a sigmoid network, 784-…-10.

    Training has several stages, each a number of epochs. First, each layer in turn, from input to output, is trained as
    an RBM by contrastive divergence on the layer below's E[h|v], while the other layers are frozen. Then all layers
    and a new softmax output layer are trained by backpropagation, as any `Classifier`. The stage is a function of the
    epoch, so training can be interrupted and resumed in any stage. The ``stage``, counted from 1, is logged in every
    epoch; during pretraining also ``val_reconstruction_error`` and ``free_energy_gap`` of the layer being trained (see
    `zoo.models.RBM`).

    Hinton, Osindero and Teh, "A fast learning algorithm for deep belief nets", Neural Computation 2006 (with another
    fine-tuning algorithm); with backpropagation: Hinton and Salakhutdinov, "Reducing the dimensionality of data with
    neural networks", Science 2006; with dropout: Srivastava et al., JMLR 2014.

    Args:
        hidden_sizes: Units in each hidden layer, from input to output; at least one layer.
        pretrain_epochs: Pretraining epochs for each layer; 0 disables pretraining.
        gibbs_steps: k, the number of Gibbs steps in each pretraining update, at least 1.
        persistent: Pretrain with persistent chains, as in `zoo.models.RBM`.
        sample_visible: Pretrain on states sampled from each layer's input instead of on the probabilities.
        centred: Pretrain with centered gradients.
        pretrain_lr: Learning rate of contrastive divergence, more than 0; it decays linearly towards 0 after the
            initial epochs.
        initial_momentum: Momentum in the initial epochs of each layer, 0 ≤ m < 1.
        pretrain_momentum: Momentum in the other pretraining epochs, 0 ≤ m < 1.
        initial_epochs: Number of initial epochs of each layer, 0 or more.
        weight_cost: L2 penalty on the weights, not the biases, during pretraining, 0 or more.
        weight_init: Weight initialization of the hidden layers, a name in `zoo.layers.initializers`; None means
            N(0, 0.01²), the initialization of RBMs.
        hidden_lr_factor: Learning rate of the hidden layers in fine-tuning, relative to ``lr``, which is that of the
            output layer; more than 0.
        input_dropout: Probability of dropping a pixel in fine-tuning, 0 ≤ p < 1.
        dropout: Probability of dropping a hidden unit's output in fine-tuning, 0 ≤ p < 1.
        **training: Arguments of the fine-tuning, as in `Classifier`; a ``cosine`` schedule is updated once per epoch.

    Raises:
        UsageError: A number is out of range or a name is unknown.
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
        # Their buffers and chains are the training state of each layer.
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

    def forward(self, images: Tensor) -> Tensor:
        """Map images ``(B, 1, 28, 28)`` in [0, 1] to logits ``(B, 10)``."""
        activations = images.flatten(start_dim=1)
        dropout = self.hparams["input_dropout"]
        for rbm in self.rbms:
            activations = rbm.hidden_probabilities(nn.functional.dropout(activations, dropout, self.training))
            dropout = self.hparams["dropout"]
        logits: Tensor = self.output(nn.functional.dropout(activations, dropout, self.training))
        return logits

    @torch.no_grad()
    def input_of(self, layer: int, images: Tensor) -> Tensor:
        """Return a layer's pretraining input, ``(B, V)``: E[h|v] of the layer below, or the pixels for layer 0."""
        activations = images.flatten(start_dim=1)
        with full_precision(activations):
            for rbm in self.rbms[:layer]:
                activations = rbm.hidden_probabilities(activations)
        return activations

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
        self.log("stage", float(stage + 1), on_step=False, on_epoch=True)
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
        optimizer: Any = self._optimizers()[0]
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

    def training_step(self, batch: tuple[Tensor, ...], batch_idx: int) -> Tensor:
        """Make an optimizer step of the epoch's stage, and return the loss."""
        optimizer = self._optimizers()[0 if self._is_pretraining else -1]
        if self._is_pretraining:
            images, *_ = batch
            stage = self.stage(self.current_epoch)
            rbm, divergence = self.rbms[stage], self.contrastive_divergences[stage]
            loss = divergence.loss(rbm, self.input_of(stage, images), self.mean_over_processes)
            self.backward_by_hand(loss, optimizer)
            divergence.finish_gradients(rbm)
        else:
            loss = super().training_step(batch, batch_idx)
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

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return the fine-tuning parameter groups: hidden layers, with their own learning rate, and output layer."""
        hidden = [parameter for rbm in self.rbms for parameter in (rbm.weight, rbm.hidden_bias)]
        return [
            {"params": hidden, "lr": self.hparams["lr"] * self.hparams["hidden_lr_factor"]},
            {"params": list(self.output.parameters())},
        ]

    def configure_optimizers(self) -> Any:
        """Return the optimizer of pretraining, SGD with momentum, if needed, and the optimizer of fine-tuning."""
        h = self.hparams
        fine_tuning = with_schedule(self.make_optimizer(), h["lr_schedule"], self.schedule_length, "epoch")
        if not h["pretrain_epochs"]:
            return fine_tuning
        pretraining = make_rbm_optimizer(self.rbms, h["pretrain_lr"], h["weight_cost"], self.may_fuse_steps)
        return {"optimizer": pretraining}, fine_tuning

    @property
    def _is_pretraining(self) -> bool:
        is_fitting = self.trainer.state.fn == TrainerFn.FITTING and not self.trainer.sanity_checking
        return is_fitting and self.stage(self.current_epoch) < len(self.layers)

    def _optimizers(self) -> list[Any]:
        optimizers = self.optimizers()
        return optimizers if isinstance(optimizers, list) else [optimizers]

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

    def _training_inputs(self, limit: int | None = None) -> Iterator[Tensor]:
        """Yield the pretraining inputs of the stage's layer in batches ``(B, V)``."""
        stage = self.stage(self.current_epoch)
        return (self.input_of(stage, images) for images in self.training_images(limit))
