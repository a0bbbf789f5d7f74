"""The restricted Boltzmann machine as a LightningModule: a model of the images, not of their labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch.optim import SGD, Optimizer
from torchmetrics import CatMetric

from zoo.data.batches import images_of, mean_of
from zoo.data.binarization import chosen_pixels, sampled_pixels
from zoo.models.base import ZooModule
from zoo.rbm.bernoulli_rbm import BernoulliRBM
from zoo.rbm.contrastive_divergence import ContrastiveDivergence, make_rbm_optimizer, set_momentum
from zoo.rbm.likelihood import Likelihood, measure_likelihood
from zoo.rbm.monitoring import SCORED_PIXELS, WATCHED, RBMTotals, summarize
from zoo.training.layerwise_adam import Update
from zoo.training.manual_backward import is_hooked
from zoo.training.multi_step import Steps
from zoo.training.schedules import check_schedule, with_schedule
from zoo.utils.autocast import full_precision
from zoo.utils.checks import check_counts, check_fractions, check_not_negative, check_positive


class RBM(ZooModule):
    """A restricted Boltzmann machine of 784 pixels and binary hidden units, trained by contrastive divergence.

    The loss is mean F(data) − mean F(chains), whose gradient is contrastive divergence's; its value means nothing, so
    it is not logged. Logged once per epoch instead: ``val_reconstruction_error`` (mean squared error of a pixel after
    a noiseless step up and down), ``val_free_energy``, ``free_energy_gap`` (mean free energy of the validation images
    less that of as many training images, in nats: it grows when the model overfits) and
    ``val_pseudo_log_likelihood`` (in nats per image). In ``test``: the mean log-likelihood of the test images in nats,
    by annealed importance sampling. Where pixels must be binary they are sampled from their grey values
    (`zoo.data.binarization.sampled_pixels`, seed 0).

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
        centred: Use the centred gradient (`zoo.rbm.contrastive_divergence.centre_gradients`).
        steps_per_call: As in `Classifier`.

    Raises:
        UsageError: A number is out of range or a name unknown.
    """

    training_arguments = (
        *("gibbs_steps", "persistent", "sample_pixels", "lr", "lr_schedule", "initial_momentum", "momentum"),
        *("initial_epochs", "weight_cost", "sparsity_target", "sparsity_cost", "centred", "steps_per_call"),
    )

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
        steps_per_call: int | None = None,
    ) -> None:
        super().__init__()
        check_schedule(lr_schedule)
        check_counts(least=1, num_hidden=num_hidden, steps_per_call=1 if steps_per_call is None else steps_per_call)
        check_counts(initial_epochs=initial_epochs)
        check_positive(lr=lr)
        check_fractions(initial_momentum=initial_momentum, momentum=momentum)
        check_not_negative(weight_cost=weight_cost)
        self.save_hyperparameters()
        self.rbm = BernoulliRBM(784, num_hidden)
        self.divergence = ContrastiveDivergence(
            784, num_hidden, gibbs_steps, persistent, sample_pixels, centred, sparsity_target, sparsity_cost
        )
        self.val_totals = RBMTotals()
        self.test_free_energies = CatMetric()

    def forward(self, images: Tensor) -> Tensor:
        """Map images ``(B, 1, 28, 28)`` in [0, 1] to the hidden units' probabilities ``(B, num_hidden)``."""
        return self.rbm.hidden_probabilities(images.flatten(start_dim=1))

    def epoch_metrics(self, epoch: int) -> Mapping[str, str]:
        """What the line of an epoch says."""
        return {**WATCHED, "val_pseudo_log_likelihood": "pseudo-log-likelihood"}

    def on_train_start(self) -> None:
        """Begin at the pixels' base rates."""
        super().on_train_start()
        if not self.divergence.begun:
            # From one process to all: another processor may round another way.
            means = self.trainer.strategy.broadcast(mean_of(self.training_images()))
            self.divergence.begin(self.rbm, means)

    def enter_epoch(self) -> None:
        """Set the epoch's momentum."""
        h = self.hparams
        optimizer: Any = self.optimizers()
        initial = self.current_epoch < h["initial_epochs"]
        set_momentum(optimizer.optimizer, h["initial_momentum"] if initial else h["momentum"])

    def step(self, batch: tuple[Tensor, ...]) -> Tensor:
        """Return the contrastive loss of a batch ``(images, …)``."""
        images, *_ = batch
        return self.divergence.loss(self.rbm, images.flatten(start_dim=1), self.mean_over_processes)

    def steps(self) -> Steps:
        """Without the loss, whose value means nothing, unless something is frozen or waits for a gradient."""
        plain = all(each.requires_grad for each in self.rbm.parameters()) and not is_hooked(self)
        return _ContrastiveSteps(self) if plain else self.autograd_steps()

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Centre the gradients, if that is asked for; they are those of all processes by now."""
        self.divergence.finish_gradients(self.rbm)

    def validation_step(self, batch: tuple[Tensor, ...], batch_idx: int) -> None:
        """Add a batch of the validation set."""
        images, *_ = batch
        visible = images.flatten(start_dim=1)
        binary = sampled_pixels(visible)
        self.val_totals.update(self.rbm, visible, binary, chosen_pixels(binary, SCORED_PIXELS))

    def on_validation_epoch_end(self) -> None:
        """Log the validation set's figures, and how its free energy lies above that of as many training images."""
        figures = summarize(self.val_totals, self.rbm, self.training_images)
        named = {name if name == "free_energy_gap" else f"val_{name}": value for name, value in figures.items()}
        self.log_dict(named, reduce_fx="max", sync_dist=True)

    def test_step(self, batch: tuple[Tensor, ...], batch_idx: int) -> None:
        """Add the free energies of a batch of the test set, its pixels sampled."""
        images, *_ = batch
        with full_precision(images):
            self.test_free_energies.update(self.rbm.free_energy(sampled_pixels(images.flatten(start_dim=1))))

    def on_test_epoch_end(self) -> None:
        """Log the test set's likelihood."""
        energies = self.test_free_energies.compute()
        self.test_free_energies.reset()
        loaders: Any = self.trainer.test_dataloaders
        images = next(images_of(loaders.dataset)).to(self.device, self.parameter_dtype)
        # By one process: several would measure the same.
        alone = self.trainer.is_global_zero
        found = self.trainer.strategy.broadcast(
            measure_likelihood(self.rbm, self.divergence.visible_mean, energies, images) if alone else None
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
            f"pseudo-log-likelihood {figures['val_pseudo_log_likelihood']:.2f} nats (pixels sampled with seed 0), "
            f"reconstruction error {figures['val_reconstruction_error']:.4f}"
        )

    def process_state(self) -> dict[str, Tensor]:
        """Return this process's chains."""
        chains = self.divergence.chains
        return {} if chains is None else {"chains": chains}

    def load_process_states(self, states: list[dict[str, Tensor]]) -> None:
        """Share all chains among the processes that there are now."""
        chains = [state["chains"] for state in states if isinstance(state.get("chains"), Tensor)]
        self.divergence.share_chains(chains, self.trainer.global_rank, self.trainer.world_size)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Make the optimizer and, for ``cosine``, its schedule over all steps of the training."""
        h = self.hparams
        optimizer: SGD = make_rbm_optimizer([self.rbm], h["lr"], h["weight_cost"], self.may_fuse_steps)
        return with_schedule(optimizer, h["lr_schedule"], self.schedule_length)


class _ContrastiveSteps(Steps):
    def __init__(self, module: RBM) -> None:
        self.module = module
        self.sizes: list[Tensor] = []

    def step(self, batch: tuple[Tensor, ...], update: Update) -> None:
        images, *_ = batch
        module = self.module
        module.divergence.set_gradients(module.rbm, images.flatten(start_dim=1), module.mean_over_processes)
        module.divergence.finish_gradients(module.rbm)
        update.step()
        gradient = module.rbm.hidden_bias.grad
        assert gradient is not None
        self.sizes.append(gradient.norm())

    def finish(self) -> Tensor:
        sizes, self.sizes = torch.stack(self.sizes), []
        return sizes
