"""The base class of all members: a network from images to logits, trained by cross-entropy."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.optim import Optimizer

from zoo.metrics.classification import ClassificationTotals
from zoo.models.calibrated import check_not_calibrated
from zoo.models.normalized import NormalizedModule
from zoo.training.fused_update import make_update
from zoo.training.manual_backward import Chain, ManualStep, is_hooked
from zoo.training.max_norm import MaxNorm
from zoo.training.onednn import by_onednn
from zoo.training.optimizers import check_optimizer, make_optimizer
from zoo.training.schedules import check_schedule, with_schedule
from zoo.training.steps import Batch, LossAndMetrics, Step
from zoo.training.virtual_adversarial import VirtualAdversarialTraining
from zoo.utils.checks import check_counts, check_fractions, check_not_negative, check_positive
from zoo.utils.compiled import compile_parts
from zoo.utils.errors import UsageError


class Classifier(NormalizedModule, ABC):
    """A LightningModule that classifies images by cross-entropy; subclasses say what the network is.

    A subclass takes its architecture's arguments, passes the rest on as ``**training``, and defines
    ``forward(images)``: float32 ``(B, 1, 28, 28)`` in [0, 1] to logits ``(B, C)``, C = 10 for digits. All arguments are
    primitives and are saved in checkpoints. Logged once per epoch: ``train_loss``, ``train_acc``, ``val_loss``,
    ``val_acc``, ``test_loss``, ``test_acc`` (mean cross-entropy in nats, without the other terms of the loss, and the
    fraction that is right), and ``test_errors``, a whole number of images.

    Args:
        optimizer: ``adam``, ``adamw``, ``sgd``, ``rmsprop`` or ``adagrad``; see `zoo.training.optimizers`.
        lr: Learning rate, more than 0.
        momentum: For ``sgd`` and ``rmsprop``, 0 ≤ m < 1; the others ignore it.
        weight_decay: The optimizer's own, 0 or more.
        l2: λ of the lecture's regularization: the loss that is minimized is the cross-entropy + λ·Σw² over all
            weights and no biases, 0 or more.
        max_norm: Bound of the Euclidean length of a unit's incoming weights, without the bias; more than 0. It is kept
            after each step. None sets no bound. See `zoo.training.max_norm`.
        label_smoothing: ε of the labels that are trained on, 0 ≤ ε < 1: the true class has the probability
            1 − ε + ε/C, and each other class ε/C. Szegedy et al., "Rethinking the inception architecture", CVPR 2016.
            The logged losses are those of the labels as they are.
        lr_schedule: ``constant``, ``cosine`` down to 0, or ``one_cycle``, up to ``lr`` and then down, over the whole
            training; see `zoo.training.schedules`.
        vat_weight: λ of virtual adversarial training: the loss that is minimized is the cross-entropy + λ·KL(p(x) ‖
            p(x + r)). 0 or more; 0 turns it off, and the paper takes 1. See `zoo.training.virtual_adversarial`.
        vat_epsilon: Its ε, the Euclidean length of the perturbation r. More than 0.
        vat_power_iterations: Its steps of the power method. 0 or more; 0 makes r random.
        refit_batch_norm: Take means over all training images for the running averages of batch norm, at the end of each
            epoch. They are those of the images without augmentation and the weights as they are. See
            `zoo.training.batch_norm`.
        num_classes: C, the number of classes, at least 1.
        steps_per_call: Optimizer steps in one call of Lightning's loop, which is faster; 1 is Lightning's ordinary loop
            and gives the same weights. None takes 500 on a CPU and 200 on a GPU where that is possible: on one device,
            in single, double or bfloat16-mixed precision, and with no callback or setting that needs every step.
        init_from: A trained member's name, or a checkpoint of this class, whose weights are the initial weights, except
            those of an output layer with another number of classes. ``zoo fit`` and `zoo.create_model` load them once
            (`zoo.pretrained.loading.initialize_from`), and no checkpoint stores this argument.
        compile: Whether a Trainer compiles the layers by ``torch.compile`` before a training. That takes a minute and a
            C++ compiler, and pays for large networks in long trainings. Checkpoints are as without, and do not store
            this argument. Each step is then one call of Lightning's loop.

    Raises:
        UsageError: A name is unknown or a number out of range.
    """

    not_inherited: ClassVar[tuple[str, ...]] = ()
    """What a checkpoint says of its own training, which one that begins at its weights does not take over."""

    training_arguments: ClassVar[tuple[str, ...]] = (
        *("optimizer", "lr", "momentum", "weight_decay", "l2", "max_norm", "label_smoothing", "lr_schedule"),
        *("vat_weight", "vat_epsilon", "vat_power_iterations", "refit_batch_norm", "steps_per_call"),
    )

    def __init__(
        self,
        optimizer: str = "adam",
        lr: float = 0.001,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        l2: float = 0.0,
        max_norm: float | None = None,
        label_smoothing: float = 0.0,
        lr_schedule: str = "constant",
        vat_weight: float = 0.0,
        vat_epsilon: float = 2.1,
        vat_power_iterations: int = 1,
        refit_batch_norm: bool = False,
        num_classes: int = 10,
        steps_per_call: int | None = None,
        init_from: str | None = None,
        compile: bool = False,
    ) -> None:
        super().__init__()
        check_optimizer(optimizer)
        check_schedule(lr_schedule)
        check_positive(lr=lr)
        check_fractions(momentum=momentum, label_smoothing=label_smoothing)
        check_not_negative(weight_decay=weight_decay, l2=l2)
        check_positive(**({} if max_norm is None else {"max_norm": max_norm}))
        check_counts(least=1, num_classes=num_classes, steps_per_call=1 if steps_per_call is None else steps_per_call)
        self.vat = VirtualAdversarialTraining(vat_weight, vat_epsilon, power_iterations=vat_power_iterations)
        self.save_hyperparameters(ignore=["init_from", "compile"])
        self.init_from = init_from
        self._compiles = compile

    @abstractmethod
    def forward(self, images: Tensor) -> Tensor:
        """Map images ``(B, 1, 28, 28)`` in [0, 1] to logits ``(B, 10)``."""

    @property
    def output_layer(self) -> nn.Linear:
        """The layer whose inputs are the features: the last linear one."""
        return self._named_output_layer()[1]

    def forward_features(self, images: Tensor) -> Tensor:
        """Map images ``(B, 1, 28, 28)`` in [0, 1] to what the output layer sees of them, ``(B, F)``."""
        found: list[Tensor] = []
        hook = self.output_layer.register_forward_pre_hook(lambda _, inputs: found.append(inputs[0]))
        try:
            self(images)
        finally:
            hook.remove()
        return found[0]

    def reset_classifier(self, num_classes: int) -> None:
        """Begin anew at the output layer, for another number of classes; the weights below stay, trained or frozen.

        All layers are new objects: an optimizer or a hook that was made before knows nothing of them.

        Args:
            num_classes: At least 1.

        Raises:
            UsageError: The number is out of range, the class takes no notice of it, or the network is calibrated.
        """
        check_not_calibrated(self)
        other = type(self)(**{**self.hparams, "num_classes": num_classes})
        if other.eval()(torch.zeros(1, *self.input_shape)).shape[1] != num_classes:
            raise UsageError(f"{type(self).__name__} takes no notice of num_classes, so its output layer stays.")
        state, kept = self.state_dict(), self.feature_names()
        other.load_state_dict({**other.state_dict(), **{name: state[name] for name in kept}})
        for name, parameter in self.named_parameters():
            if name in kept:
                other.get_parameter(name).requires_grad_(parameter.requires_grad)
        self._adopt(other.to(self.device, self.parameter_dtype).train(self.training))

    def feature_names(self) -> list[str]:
        """Return the names of the weights and buffers that are no part of the output layer."""
        output, _ = self._named_output_layer()
        return [name for name in self.state_dict() if not name.startswith(f"{output}.")]

    def setup(self, stage: str) -> None:
        """Refuse data with another number of classes, and compile the network if that is wanted.

        Raises:
            UsageError: The number is another one.
        """
        super().setup(stage)
        names = getattr(getattr(self.trainer, "datamodule", None), "class_names", None)
        num_classes = self.hparams["num_classes"]
        if names is not None and len(names) != num_classes:
            raise UsageError(
                f"The data has {len(names)} classes, but this {type(self).__name__} tells {num_classes} apart: "
                f"set model.num_classes {len(names)}."
            )
        if self._compiles and stage == "fit":
            compile_parts(self)

    def step(self, batch: Batch) -> LossAndMetrics:
        """Return the loss of a batch ``(images, labels, …)``, a scalar in nats, and what `count` needs."""
        images, labels, *_ = batch
        with by_onednn(self):
            logits = self(images)
            cross_entropy = F.cross_entropy(logits, labels)
            loss = self.smoothed_loss(logits, labels, cross_entropy)
            loss = loss + self.l2_penalty() if self.hparams["l2"] else loss
            if self.vat.weight:
                loss = loss + self.vat.penalty(self.parts(), self, images, logits)
        measured = {"cross_entropy": cross_entropy.detach(), "logits": logits.detach(), "labels": labels}
        return LossAndMetrics(loss, measured)

    def count(self, measured: Mapping[str, Tensor]) -> None:
        """Count the images of K steps, their errors and their cross-entropies ``(K,)``."""
        wrong = measured["logits"].flatten(end_dim=1).argmax(dim=1) != measured["labels"].flatten()
        self.train_totals.update(measured["cross_entropy"], wrong)

    def make_step(self, optimizer: Optimizer) -> Step:
        """Return a step without autograd where the network is a chain of layers on a CPU, else one by autograd."""
        chain = self._chain()
        if chain is None:
            return super().make_step(optimizer)
        weights = [weight for weight in self.incoming_dimensions() if weight.requires_grad]
        return ManualStep(chain, self.hparams["l2"], weights, make_update(optimizer))

    def _chain(self) -> Chain | None:
        """The network as a chain of layers, if it is one, trained in single or double precision on a CPU."""
        known = ("step", "smoothed_loss", "l2_penalty")
        is_own = any(getattr(type(self), name) is not getattr(Classifier, name) for name in known)
        if is_own or self.vat.weight or self.hparams["label_smoothing"]:
            return None
        layers = self.layers_in_order()
        if layers is None or self.device.type != "cpu" or torch.is_autocast_enabled("cpu") or is_hooked(self):
            return None
        chain = Chain.of(layers)
        trained = {parameter for parameter in self.parameters() if parameter.requires_grad}
        return chain if chain is not None and trained == set(chain.parameters) else None

    def layers_in_order(self) -> Iterable[nn.Module] | None:
        """Return the layers of a network that is nothing else than one after the other, from the bottom up."""
        return None

    def validation_step(self, batch: tuple[Tensor, ...], batch_idx: int) -> None:
        """Count a batch of the validation set."""
        self._count(self.val_totals, batch)

    def test_step(self, batch: tuple[Tensor, ...], batch_idx: int) -> None:
        """Count a batch of the test set."""
        self._count(self.test_totals, batch)

    def predict_step(self, batch: Any, batch_idx: int) -> Tensor:
        """Return the probabilities ``(B, 10)`` of a batch ``(images, …)``, or of images alone."""
        return torch.softmax(super().predict_step(batch, batch_idx), dim=1)

    def epoch_metrics(self, epoch: int) -> Mapping[str, str]:
        """What the line of an epoch says."""
        return {"train_loss": "train_loss", "val_loss": "val_loss", "val_acc": "val_acc"}

    def running_loss(self) -> float | None:
        """The mean cross-entropy so far in this epoch on this device, for the progress bar."""
        return float(self.train_totals.loss_sum / self.train_totals.examples.clamp(min=1))

    def smoothed_loss(self, logits: Tensor, labels: Tensor, cross_entropy: Tensor) -> Tensor:
        """Return the mean cross-entropy ``()`` with smoothed labels, which is ``cross_entropy`` if nothing is smoothed.

        Args:
            logits: ``(B, C)``.
            labels: int64 ``(B,)``.
            cross_entropy: The mean cross-entropy with the labels as they are.
        """
        smoothing = self.hparams["label_smoothing"]
        return F.cross_entropy(logits, labels, label_smoothing=smoothing) if smoothing else cross_entropy

    def l2_penalty(self) -> Tensor:
        """Return λ·Σw² over the weights that are trained, and no biases."""
        squares = [w.square().sum() for w in self.incoming_dimensions() if w.requires_grad]
        penalty: Tensor = self.hparams["l2"] * torch.stack(squares).sum()
        return penalty

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Make the optimizer and, unless the rate is constant, its schedule over all steps of the training."""
        return with_schedule(self.make_optimizer(), self.hparams["lr_schedule"], self.schedule_length)

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return the parameters that the loss trains, in groups that may have a learning rate ``lr`` of their own."""
        return [{"params": [parameter for parameter in self.parameters() if parameter.requires_grad]}]

    def make_optimizer(self) -> Optimizer:
        """Make the optimizer that the arguments name, over `parameter_groups`."""
        h = self.hparams
        groups, rates = self.parameter_groups(), (h["lr"], h["momentum"], h["weight_decay"])
        optimizer = make_optimizer(h["optimizer"], groups, *rates, fused=self.may_fuse_steps, device=self.device.type)
        if h["max_norm"] is not None:
            optimizer.register_step_post_hook(MaxNorm(h["max_norm"], self.incoming_dimensions()))
        return optimizer

    def incoming_dimensions(self) -> dict[nn.Parameter, tuple[int, ...]]:
        """Return each tensor of weights, and the dimensions along which the incoming weights of one unit lie."""
        return {each: tuple(range(1, each.dim())) for each in self.parameters() if each.dim() > 1}

    def _named_output_layer(self) -> tuple[str, nn.Linear]:
        linear = [(name, layer) for name, layer in self.named_modules() if isinstance(layer, nn.Linear)]
        if not linear:
            raise UsageError(f"{type(self).__name__} has no linear layer, so there are no features below one.")
        return linear[-1]

    def _adopt(self, other: Classifier) -> None:
        """Take another network's parts in the place of one's own."""
        for name, part in other.named_children():
            setattr(self, name, part)
        self.hparams["num_classes"] = other.hparams["num_classes"]

    def _count(self, totals: ClassificationTotals, batch: tuple[Tensor, ...]) -> None:
        images, labels, *_ = batch
        logits = self(images)
        totals.update(F.cross_entropy(logits, labels), logits.argmax(dim=1) != labels)
