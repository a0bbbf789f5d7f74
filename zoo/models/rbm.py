"""The restricted Boltzmann machine as a LightningModule: a model of the images, not of their labels."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch.optim import SGD, Optimizer
from torchmetrics import CatMetric

from zoo.data.batches import images_of
from zoo.data.binarisation import sampled_pixels
from zoo.errors import UsageError
from zoo.layers.bernoulli_rbm import BernoulliRBM
from zoo.layers.contrastive_divergence import (
    WATCHED,
    RBMTotals,
    begin_at_base_rates,
    centre_gradients,
    make_optimizer,
    mean_of,
    set_momentum,
    sparsity_loss,
    summarise,
)
from zoo.likelihood import Likelihood, measure_likelihood
from zoo.models.module import ZooModule
from zoo.schedules import check_schedule, with_schedule

HIDDEN_MEAN_DECAY = 0.9
"""Of a hidden unit's mean activity, how much is kept at each step (the guide's section 11 has 0.9 to 0.99)."""


class RBM(ZooModule):
    """A restricted Boltzmann machine of 784 pixels and binary hidden units, trained by contrastive divergence.

    The loss is mean F(data) − mean F(chains), whose gradient is contrastive divergence's; its value means nothing, so
    it is not logged. Logged once per epoch instead: ``val_reconstruction_error`` (mean squared error of a pixel after
    a noiseless step up and down), ``val_free_energy``, ``free_energy_gap`` (mean free energy of the validation images
    less that of as many training images, in nats: it grows when the model overfits) and
    ``val_pseudo_log_likelihood`` (in nats per image). In ``test``: the mean log-likelihood of the test images in nats,
    by annealed importance sampling. Where pixels must be binary they are sampled from their grey values
    (`zoo.data.binarisation.sampled_pixels`, seed 0).

    The recipe is that of Hinton, "A practical guide to training restricted Boltzmann machines", 2010; persistent chains
    are Tieleman's, "Training restricted Boltzmann machines using approximations to the likelihood gradient", ICML 2008.

    Args:
        num_hidden: Hidden units, at least 1.
        gibbs_steps: k, the steps of Gibbs sampling in each update, at least 1.
        persistent: Whether the chains go on from update to update (PCD-k), as many as images in a step, or begin at the
            data each time (CD-k).
        sample_pixels: Whether each update sees pixels sampled anew from their grey values, or the grey values.
        lr: Learning rate, more than 0.
        lr_schedule: ``constant``, or ``cosine`` down to 0 over the whole training.
        initial_momentum: In the first epochs, 0 ≤ m < 1.
        momentum: Afterwards, 0 ≤ m < 1.
        initial_epochs: How many epochs have the initial momentum, 0 or more.
        weight_cost: L2 on the weights and not on the biases, 0 or more.
        sparsity_target: The wanted mean activity of a hidden unit, 0 < t < 1; None means any.
        sparsity_cost: How much that counts, 0 or more.
        centred: Use the centred gradient (`zoo.layers.contrastive_divergence.centre_gradients`).

    Raises:
        UsageError: A number is out of range or a name unknown.
    """

    def __init__(
        self,
        num_hidden: int = 500,
        gibbs_steps: int = 1,
        persistent: bool = True,
        sample_pixels: bool = True,
        lr: float = 0.05,
        lr_schedule: str = "constant",
        initial_momentum: float = 0.5,
        momentum: float = 0.9,
        initial_epochs: int = 5,
        weight_cost: float = 0.0001,
        sparsity_target: float | None = None,
        sparsity_cost: float = 0.01,
        centred: bool = False,
    ) -> None:
        super().__init__()
        check_schedule(lr_schedule)
        for name, count, least in (
            ("num_hidden", num_hidden, 1),
            ("gibbs_steps", gibbs_steps, 1),
            ("initial_epochs", initial_epochs, 0),
        ):
            if not least <= count <= 1_000_000:
                raise UsageError(f"{name} is {count}, but it must be {least} to 1000000.")
        if not 0 < lr < math.inf:
            raise UsageError(f"lr is {lr}, but a learning rate is a number that is more than 0.")
        for name, value in {"initial_momentum": initial_momentum, "momentum": momentum}.items():
            if not 0 <= value < 1:
                raise UsageError(f"{name} is {value}, but it must be 0 or more and less than 1.")
        for name, value in {"weight_cost": weight_cost, "sparsity_cost": sparsity_cost}.items():
            if not 0 <= value < math.inf:
                raise UsageError(f"{name} is {value}, but it must be a number that is 0 or more.")
        if sparsity_target is not None and not 0 < sparsity_target < 1:
            raise UsageError(
                f"sparsity_target is {sparsity_target}, but a mean activity is more than 0 and less than 1."
            )
        self.save_hyperparameters()
        self.rbm = BernoulliRBM(784, num_hidden)
        self.visible_mean: Tensor
        self.hidden_mean: Tensor
        self.register_buffer("visible_mean", torch.full((784,), 0.5))
        self.register_buffer("hidden_mean", torch.full((num_hidden,), 0.5))
        self.val_totals = RBMTotals()
        self.test_free_energies = CatMetric()
        # No buffer: DistributedDataParallel would give every process the chains of the first at each step.
        self._chains: Tensor | None = None

    def forward(self, images: Tensor) -> Tensor:
        """Map images ``(B, 1, 28, 28)`` in [0, 1] to the hidden units' probabilities ``(B, num_hidden)``."""
        return self.rbm.hidden_probabilities(images.flatten(start_dim=1))

    def epoch_figures(self, epoch: int) -> Mapping[str, str]:
        """What the line of an epoch says."""
        return {**WATCHED, "val_pseudo_log_likelihood": "pseudo-log-likelihood"}

    def on_train_start(self) -> None:
        """Begin at the pixels' base rates."""
        super().on_train_start()
        if self.trainer.global_step == 0 and not self.rbm.visible_bias.any():
            # From one process to all: another processor may round another way.
            means = self.trainer.strategy.broadcast(mean_of(self._training_images())).to(self.device)
            self.visible_mean.copy_(means)
            begin_at_base_rates(self.rbm, means)

    def on_train_epoch_start(self) -> None:
        """Set the epoch's momentum."""
        h = self.hparams
        optimizer: Any = self.optimizers()
        initial = self.current_epoch < h["initial_epochs"]
        set_momentum(optimizer.optimizer, h["initial_momentum"] if initial else h["momentum"])

    def training_step(self, batch: tuple[Tensor, ...], batch_idx: int) -> Tensor:
        """Return the contrastive loss of a batch ``(images, …)``."""
        h = self.hparams
        images, *_ = batch
        visible = images.flatten(start_dim=1)
        if h["sample_pixels"]:
            visible = torch.bernoulli(visible)
        inputs = self.rbm.hidden_inputs(visible)
        if h["persistent"]:
            chains = torch.bernoulli(images.flatten(start_dim=1)) if self._chains is None else self._chains
            self._chains = model = self.rbm.gibbs(chains, h["gibbs_steps"])
        else:
            # The reconstruction stands at its probabilities, which have less noise (the guide's section 3.2).
            model = self.rbm.gibbs(visible, h["gibbs_steps"], sample_visible=False, hidden_inputs=inputs.detach())
        loss = self.rbm.contrastive_loss(visible, model, inputs)
        if h["centred"] or h["sparsity_target"] is not None:
            mean = self.trainer.strategy.reduce(torch.sigmoid(inputs.detach()).mean(dim=0), reduce_op="mean")
            self.hidden_mean.lerp_(mean, 1 - HIDDEN_MEAN_DECAY)
        if h["sparsity_target"] is not None:
            loss = loss + sparsity_loss(inputs, self.hidden_mean, h["sparsity_target"], h["sparsity_cost"])
        return loss

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Centre the gradients, if that is asked for; they are those of all processes by now."""
        if self.hparams["centred"]:
            centre_gradients(self.rbm, self.visible_mean, self.hidden_mean)

    def validation_step(self, batch: tuple[Tensor, ...], batch_idx: int) -> None:
        """Add a batch of the validation set."""
        images, *_ = batch
        visible = images.flatten(start_dim=1)
        self.val_totals.update(self.rbm, visible, sampled_pixels(visible))

    def on_validation_epoch_end(self) -> None:
        """Log the validation set's figures, and how its free energy lies above that of as many training images."""
        figures = summarise(self.val_totals, self.rbm, self._training_images)
        named = {name if name == "free_energy_gap" else f"val_{name}": value for name, value in figures.items()}
        self.log_dict(named, reduce_fx="max", sync_dist=True)

    def test_step(self, batch: tuple[Tensor, ...], batch_idx: int) -> None:
        """Add the free energies of a batch of the test set, its pixels sampled."""
        images, *_ = batch
        self.test_free_energies.update(self.rbm.free_energy(sampled_pixels(images.flatten(start_dim=1))))

    def on_test_epoch_end(self) -> None:
        """Log the test set's likelihood."""
        energies = self.test_free_energies.compute()
        self.test_free_energies.reset()
        loaders: Any = self.trainer.test_dataloaders
        images = next(images_of(loaders.dataset))
        # By one process: several would measure the same.
        alone = self.trainer.is_global_zero
        found = self.trainer.strategy.broadcast(
            measure_likelihood(self.rbm, self.visible_mean, energies, images) if alone else None
        )
        assert found is not None
        self.log_dict({f"test_{name}": value for name, value in found.figures().items()})

    def test_summary(self, figures: Mapping[str, Tensor]) -> str | None:
        """Say the log-likelihood with its interval, or why it cannot be trusted."""
        found = Likelihood.from_figures({name.removeprefix("test_"): float(value) for name, value in figures.items()})
        return None if found is None else str(found)

    def validation_summary(self, figures: Mapping[str, Tensor]) -> str | None:
        """Say the pseudo-log-likelihood and the reconstruction error."""
        if "val_pseudo_log_likelihood" not in figures:
            return None
        return (
            f"pseudo-log-likelihood {figures['val_pseudo_log_likelihood']:.2f} nats, "
            f"reconstruction error {figures['val_reconstruction_error']:.4f}"
        )

    def process_state(self) -> dict[str, Tensor]:
        """Return this process's chains."""
        return {} if self._chains is None else {"chains": self._chains}

    def load_process_states(self, states: list[dict[str, Tensor]]) -> None:
        """Share all chains among the processes that there are now, in the same order when they are as many."""
        chains = [state["chains"] for state in states if isinstance(state.get("chains"), Tensor)]
        if not self.hparams["persistent"] or not chains:
            return
        if any(each.dim() != 2 or each.shape[1] != 784 for each in chains):
            raise UsageError("The checkpoint's chains are damaged: take another copy of it, or the one before.")
        shares = torch.cat(chains).tensor_split(self.trainer.world_size)
        self._chains = shares[self.trainer.global_rank].to(self.device)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Make the optimiser and, for ``cosine``, its schedule over all steps of the training."""
        optimizer: SGD = make_optimizer([self.rbm], self.hparams["lr"], self.hparams["weight_cost"])
        return with_schedule(optimizer, self.hparams["lr_schedule"], self.schedule_length)

    def _training_images(self, limit: int | None = None) -> Iterator[Tensor]:
        """The training images, ``(B, 784)`` at a time; none while nothing is trained."""
        loader: Any = self.trainer.train_dataloader
        return iter(()) if loader is None else images_of(loader.dataset, limit)
