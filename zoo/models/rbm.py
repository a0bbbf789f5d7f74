"""The restricted Boltzmann machine as a LightningModule, an unsupervised model of the images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch.optim import SGD, Optimizer
from torchmetrics import CatMetric

from zoo.data.batches import images_of, mean_of
from zoo.data.binarization import sample_binary_pixels, sample_pixel_indices
from zoo.models.base import ZooModule
from zoo.models.requests import inputs_of
from zoo.rbm.bernoulli_rbm import BernoulliRBM
from zoo.rbm.contrastive_divergence import ContrastiveDivergence, make_rbm_optimizer, set_momentum
from zoo.rbm.likelihood import Likelihood, measure_likelihood
from zoo.rbm.monitoring import MONITORED_METRICS, SCORED_PIXELS, RBMTotals, summarize
from zoo.rbm.step import ContrastiveDivergenceStep
from zoo.training.fused_update import make_update
from zoo.training.manual_backward import is_hooked
from zoo.training.schedules import check_schedule, with_schedule
from zoo.training.steps import Batch, LossAndMetrics, Step
from zoo.utils.autocast import full_precision
from zoo.utils.checks import check_counts, check_fractions, check_not_negative, check_positive
from zoo.utils.console import print_rank_zero


class RBM(ZooModule):
    """A restricted Boltzmann machine of 784 pixels and binary hidden units, trained by contrastive divergence.

    The loss is mean F(data) − mean F(chains). Its gradient is that of contrastive divergence; its value is not
    meaningful and not logged. Logged once per epoch: ``val_reconstruction_error`` (mean squared error per pixel after
    one deterministic step up and down), ``val_free_energy``, ``free_energy_gap`` (mean free energy of the validation
    images minus that of equally many training images, in nats; it increases with overfitting) and
    ``val_pseudo_log_likelihood`` (in nats per image). Logged in ``test``: the mean log-likelihood of the test images in
    nats, estimated by annealed importance sampling. Where binary pixels are needed, they are sampled from the grey
    values (`zoo.data.binarization.sample_binary_pixels`, seed 0).

    The recipe is that of Hinton, "A practical guide to training restricted Boltzmann machines", 2010. Persistent chains
    are from Tieleman, "Training restricted Boltzmann machines using approximations to the likelihood gradient", ICML
    2008.

    Args:
        num_hidden: Hidden units, at least 1.
        gibbs_steps: k, the number of Gibbs steps in each update, at least 1.
        persistent: Whether the chains persist between updates (PCD-k), one for each image of a batch, or start at the
            data in each update (CD-k).
        sample_pixels: Whether each update sees newly sampled binary pixels or the grey values.
        lr: Learning rate, more than 0.
        lr_schedule: ``constant``, ``cosine``, which decays to 0, or ``one_cycle``, over the whole training.
        initial_momentum: Momentum in the initial epochs, 0 ≤ m < 1.
        momentum: Momentum in the other epochs, 0 ≤ m < 1.
        initial_epochs: Number of initial epochs, 0 or more.
        weight_cost: L2 penalty on the weights, not the biases, 0 or more.
        sparsity_target: Target mean activation of a hidden unit, 0 < t < 1; None disables the sparsity penalty.
        sparsity_cost: Weight of the sparsity penalty, 0 or more.
        centred: Use centered gradients (`zoo.rbm.contrastive_divergence.center_gradients`).
        steps_per_call: As in `Classifier`.

    Raises:
        UsageError: A number is out of range or a name is unknown.
    """

    needs_labels = False
    logged_metrics: ClassVar[frozenset[str]] = frozenset(
        {*MONITORED_METRICS, "val_free_energy", "val_pseudo_log_likelihood"}
    )
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
        """Return the metrics in an epoch's line of output: logged name to label."""
        return {**MONITORED_METRICS, "val_pseudo_log_likelihood": "pseudo-log-likelihood"}

    def on_train_start(self) -> None:
        """Initialize the visible biases from the pixels' means."""
        super().on_train_start()
        if not self.divergence.begun:
            # Broadcast, because means that are rounded differently would make the processes' models differ.
            means = self.trainer.strategy.broadcast(mean_of(self.training_images()))
            self.divergence.initialize(self.rbm, means)

    def enter_epoch(self) -> None:
        """Set the epoch's momentum."""
        h = self.hparams
        optimizer: Any = self.optimizers()
        initial = self.current_epoch < h["initial_epochs"]
        set_momentum(optimizer.optimizer, h["initial_momentum"] if initial else h["momentum"])

    def step(self, batch: Batch) -> LossAndMetrics:
        """Return the contrastive divergence loss of a batch ``(images, …)``."""
        images = inputs_of(batch)
        loss = self.divergence.loss(self.rbm, images.flatten(start_dim=1), self.mean_over_processes)
        return LossAndMetrics(loss, {})

    def make_step(self, optimizer: Optimizer) -> Step:
        """Return a step without the loss, if no parameter is frozen and no hook is set, else one by autograd."""
        if is_hooked(self) or not all(parameter.requires_grad for parameter in self.rbm.parameters()):
            return super().make_step(optimizer)
        return ContrastiveDivergenceStep(
            lambda batch: batch[0].flatten(start_dim=1),
            *(self.rbm, self.divergence, make_update(optimizer), self.mean_over_processes),
        )

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Center the gradients, if ``centred`` is set, after they are averaged over all processes."""
        self.divergence.finish_gradients(self.rbm)

    def validation_step(self, batch: tuple[Tensor, ...], batch_idx: int) -> None:
        """Update the validation metrics with a batch."""
        images = inputs_of(batch)
        visible = images.flatten(start_dim=1)
        binary = sample_binary_pixels(visible)
        self.val_totals.update(self.rbm, visible, binary, sample_pixel_indices(binary, SCORED_PIXELS))

    def on_validation_epoch_end(self) -> None:
        """Log the validation metrics and the free-energy gap."""
        metrics = summarize(self.val_totals, self.rbm, self.training_images)
        named = {name if name == "free_energy_gap" else f"val_{name}": value for name, value in metrics.items()}
        self.log_dict(named, reduce_fx="max", sync_dist=True)

    def test_step(self, batch: tuple[Tensor, ...], batch_idx: int) -> None:
        """Collect the free energies of a batch of the test set, with sampled pixels."""
        images = inputs_of(batch)
        with full_precision(images):
            self.test_free_energies.update(self.rbm.free_energy(sample_binary_pixels(images.flatten(start_dim=1))))

    def on_test_epoch_end(self) -> None:
        """Log the log-likelihood of the test set."""
        energies = self.test_free_energies.compute()
        self.test_free_energies.reset()
        loaders: Any = self.trainer.test_dataloaders
        images = next(images_of(loaders.dataset)).to(self.device, self.parameter_dtype)
        print_rank_zero("Estimating the log-likelihood of the test images, which takes a while on a CPU …")
        # Only process rank 0 estimates the likelihood: all processes would compute the same.
        is_rank_zero = self.trainer.is_global_zero
        likelihood = self.trainer.strategy.broadcast(
            measure_likelihood(self.rbm, self.divergence.visible_mean, energies, images) if is_rank_zero else None
        )
        assert likelihood is not None
        self.log_dict({f"test_{name}": value for name, value in likelihood.metrics().items()})

    def test_summary(self, metrics: Mapping[str, Tensor]) -> str | None:
        """Return a line with the log-likelihood, its interval and, if it is unreliable, the reason."""
        values = {name.removeprefix("test_"): float(value) for name, value in metrics.items()}
        likelihood = Likelihood.from_metrics(values)
        return None if likelihood is None else str(likelihood)

    def validation_summary(self, metrics: Mapping[str, Tensor]) -> str | None:
        """Return a line with the pseudo-log-likelihood and the reconstruction error."""
        if "val_pseudo_log_likelihood" not in metrics:
            return None
        return (
            f"pseudo-log-likelihood {metrics['val_pseudo_log_likelihood']:.2f} nats (pixels sampled with seed 0), "
            f"reconstruction error {metrics['val_reconstruction_error']:.4f}"
        )

    def process_state(self) -> dict[str, Tensor]:
        """Return this process's persistent chains."""
        chains = self.divergence.chains
        return {} if chains is None else {"chains": chains}

    def load_process_states(self, states: list[dict[str, Tensor]]) -> None:
        """Distribute the chains of all processes of the interrupted training over the current processes."""
        chains = [state["chains"] for state in states if isinstance(state.get("chains"), Tensor)]
        self.divergence.distribute_chains(chains, self.trainer.global_rank, self.trainer.world_size)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Return the optimizer and, unless the rate is constant, its schedule over all training steps."""
        h = self.hparams
        optimizer: SGD = make_rbm_optimizer([self.rbm], h["lr"], h["weight_cost"], self.may_fuse_steps)
        return with_schedule(optimizer, h["lr_schedule"], self.schedule_length)
