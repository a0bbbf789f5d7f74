"""Bagging: an ensemble of networks of one class, trained in parallel, whose predictions are averaged."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap
from torch.nn.modules.batchnorm import _BatchNorm
from torchmetrics.classification import MulticlassCalibrationError

from zoo.data.base import ImageDataModule
from zoo.data.batches import ImageBatches
from zoo.metrics.calibration import CALIBRATION_BINS
from zoo.metrics.ensemble import EnsembleTotals, log_mean_probability
from zoo.models.bootstraps import BootstrapSampler, draw_bootstraps, fingerprint, out_of_bag_counts
from zoo.models.classifier import Classifier
from zoo.models.lookup import check_no_training_arguments, find_classifier, make_member
from zoo.training.steps import Batch, LossAndMetrics
from zoo.utils.console import print_rank_zero
from zoo.utils.errors import UsageError

MAX_MEMBERS = 1000


class BaggedEnsemble(Classifier):
    """An ensemble of K networks of one class, each trained on its own bootstrap sample of the training set.

    The ensemble's probabilities are the mean of the members' probabilities. The members' parameters are stacked: each
    tensor has a leading dimension of K, and one forward and one backward pass train all members. Dropout masks and
    batch norm statistics are independent for each member. Breiman, "Bagging predictors", Machine Learning 1996;
    without bootstraps: Lakshminarayanan, Pritzel and Blundell, "Simple and scalable predictive uncertainty estimation
    using deep ensembles", NeurIPS 2017.

    A member's bootstrap is n images drawn with replacement from n. It is drawn once and used in all epochs: at each
    position of the training set the member sees the image that it drew there. ``train_loss`` and ``train_acc`` are
    means over the members; validation and test metrics are the ensemble's. ``test`` also logs each member's accuracy
    (``test_acc_member_0`` …), their mean, the accuracy of the majority vote, the members' disagreement, the calibration
    error and, with bootstraps, ``oob_acc``: the out-of-bag accuracy, where each training image is classified by the
    members that did not draw it.

    Args:
        member: The members' class: a feed-forward `Classifier` by its name or path, either of the zoo or already
            imported (``zoo fit`` imports the class that a config names).
        member_args: Its arguments, as primitives; its training arguments are ignored.
        num_members: K, 1 to 1000.
        bootstrap: Whether each member is trained on a bootstrap. If False, all members see the same images in the same
            order, and differ by their initial weights and dropout masks.
        bootstrap_seed: Seed of the bootstraps; None means the seed given to ``seed_everything``, or 0.
        **training: Training arguments of all members, as in `Classifier`. Gradient clipping by norm applies to all
            members together.

    Raises:
        UsageError: The class is unknown, its arguments do not fit it, or a number is out of range.
    """

    not_inherited = ("drawn",)
    training_arguments = (*Classifier.training_arguments, "bootstrap_seed")

    def __init__(
        self,
        member: str = "MLP",
        member_args: dict[str, Any] | None = None,
        num_members: int = 5,
        bootstrap: bool = True,
        bootstrap_seed: int | None = None,
        **training: Any,
    ) -> None:
        super().__init__(**training)
        if not 1 <= num_members <= MAX_MEMBERS:
            raise UsageError(f"num_members is {num_members}, but an ensemble has 1 to {MAX_MEMBERS}.")
        if bootstrap_seed is not None and not 0 <= bootstrap_seed < 2**32:
            raise UsageError(f"bootstrap_seed is {bootstrap_seed}, but a seed is 0 to {2**32 - 1}.")
        self._member_class = find_classifier(member, exclude=BaggedEnsemble)
        class_name = self._member_class.__name__
        members = [self._make_member() for _ in range(num_members)]
        if not members[0].automatic_optimization:
            raise UsageError(f"{class_name} is trained in stages of its own, which cannot be stacked.")
        if any(isinstance(module, nn.RNNBase) for module in members[0].modules()):
            raise UsageError(f"{class_name} is recurrent, and only feed-forward networks can be stacked.")
        for module in (module for network in members for module in network.modules()):
            if isinstance(module, _BatchNorm):
                module.num_batches_tracked = None  # cannot be stacked; only cumulative averages need it
        parameters, buffers = stack_module_state(members)
        self.stacked_parameters = nn.ParameterDict(
            # requires_grad is copied, because parameters that are frozen in a member must be frozen here.
            {_key(name): nn.Parameter(value.detach(), value.requires_grad) for name, value in parameters.items()}
        )
        self.stacked_buffers = nn.Module()
        for name, value in buffers.items():
            self.stacked_buffers.register_buffer(_key(name), value)
        # In a tuple, so that it is not registered: only its forward method is used, not its parameters.
        self._template = (members[0],)
        self._names = (list(parameters), list(buffers))
        self.drawn: Tensor
        # The bootstraps' seed and the fingerprint of the training images; −1 before training.
        self.register_buffer("drawn", torch.full((2,), -1, dtype=torch.int64))
        self._sampler: BootstrapSampler | None = None
        self.test_member_totals = EnsembleTotals(num_members)
        self.test_calibration = MulticlassCalibrationError(
            num_classes=self.hparams["num_classes"], n_bins=CALIBRATION_BINS, norm="l1"
        )

    def forward(self, images: Tensor) -> Tensor:
        """Map images ``(B, 1, 28, 28)`` in [0, 1] to logits ``(B, 10)``: the log of the members' mean probabilities."""
        return log_mean_probability(self.member_logits(images))

    def member_logits(self, images: Tensor) -> Tensor:
        """Return the members' logits ``(K, B, 10)``.

        Args:
            images: ``(B, 1, 28, 28)`` for all members, or ``(K, B, 1, 28, 28)``, a batch for each member.
        """
        template = self._template[0].train(self.training)

        def forward_member(parameters: dict[str, Tensor], buffers: dict[str, Tensor], images: Tensor) -> Any:
            return functional_call(template, (parameters, buffers), (images,))

        images_dim = 0 if images.dim() == 5 else None
        logits: Tensor = vmap(forward_member, in_dims=(0, 0, images_dim), randomness="different")(
            {name: self.stacked_parameters[_key(name)] for name in self._names[0]},
            {name: self.stacked_buffers.get_buffer(_key(name)) for name in self._names[1]},
            images,
        )
        return logits

    def members(self) -> list[Classifier]:
        """Return the members as K separate networks with copies of their parameters, in the ensemble's mode."""
        members = []
        for number in range(self.hparams["num_members"]):
            member = self._make_member().to(self.device, self.parameter_dtype)
            state = {name: self.stacked_parameters[_key(name)][number].detach() for name in self._names[0]}
            state |= {name: self.stacked_buffers.get_buffer(_key(name))[number] for name in self._names[1]}
            member.load_state_dict({**member.state_dict(), **state})
            members.append(member.train(self.training))
        return members

    def forward_features(self, images: Tensor) -> Tensor:
        """Return the concatenated features of all members, ``(B, K·F)``, for images ``(B, 1, 28, 28)``.

        No gradient flows to the ensemble's parameters.
        """
        return torch.cat([member.forward_features(images) for member in self.members()], dim=1)

    def parts(self) -> Iterable[nn.Module]:
        """Return the modules of one member, in the ensemble's mode; all members have the same ones."""
        return self._template[0].train(self.training).modules()  # it is not registered, so nothing else sets its mode

    def feature_names(self) -> list[str]:
        """Return the names of the weights and buffers below the members' output layers."""
        below = {_key(name) for name in self._template[0].feature_names()}
        return [name for name in self.state_dict() if name.partition(".")[2] in below]

    def on_train_start(self) -> None:
        """Draw the bootstraps.

        Raises:
            UsageError: Batches have no indices of images, batch norm is synchronized, or a member's setting is ignored.
        """
        check_no_training_arguments(self._member_class, self.hparams["member_args"] or {})
        super().on_train_start()
        synchronized = getattr(self.trainer.strategy, "_layer_sync", None) is not None
        if self._names[1] and synchronized and self.trainer.world_size > 1:
            raise UsageError("Batch norm in an ensemble takes each device's share: set trainer.sync_batchnorm false.")
        if not self.hparams["bootstrap"]:
            return
        dataset = getattr(self.trainer.train_dataloader, "dataset", None)
        if not isinstance(dataset, ImageBatches) or not dataset.with_indices:
            raise UsageError("Bootstraps need to know which image is which: set data.with_indices true.")
        self._draw_bootstraps(dataset)

    def on_train_end(self) -> None:
        """Forget where the bootstraps are on the device."""
        super().on_train_end()
        self._sampler = None

    def step(self, batch: Batch) -> LossAndMetrics:
        """Return the sum of the members' losses: each member's gradient is that of training it alone."""
        images, labels, *rest = batch
        if self.hparams["bootstrap"]:
            assert self._sampler is not None
            loader: Any = self.trainer.train_dataloader
            member_images, labels = self._sampler.member_batches(loader.dataset, rest[0])
            images = member_images.to(images.dtype)
        return self.member_losses(images, labels)

    def member_losses(self, images: Tensor, labels: Tensor) -> LossAndMetrics:
        """Return the sum of the members' losses, and what `count` needs.

        Args:
            images: One batch for all members or one for each, as in `member_logits`.
            labels: ``(B,)`` or ``(K, B)``.
        """
        members = self.hparams["num_members"]
        labels = labels.expand(members, -1).flatten()
        member_logits = self.member_logits(images)
        logits = member_logits.flatten(end_dim=1)
        # All members have equally many images, so the mean over all is the mean of the members' means.
        mean_loss = F.cross_entropy(logits, labels)
        loss = members * self.smoothed_loss(logits, labels, mean_loss)
        # Not the logits, whose memory would grow with the members and the steps in a call.
        measured = {"cross_entropy": mean_loss.detach(), "wrong": logits.detach().argmax(dim=1) != labels}
        if self.hparams["l2"]:
            loss = loss + self.l2_penalty()
        if self.vat.weight:
            images = images.expand(*member_logits.shape[:-1], *images.shape[-3:])
            loss = loss + members * self.vat.penalty(self.parts(), self.member_logits, images, member_logits)
        return LossAndMetrics(loss, measured)

    def count(self, measured: Mapping[str, Tensor]) -> None:
        """Count the images of K steps, once for each member."""
        self.train_totals.update(measured["cross_entropy"], measured["wrong"].flatten())

    def incoming_dimensions(self) -> dict[nn.Parameter, tuple[int, ...]]:
        """Return each tensor of weights of all members, and the dimensions of the incoming weights of one unit."""
        return {each: tuple(range(2, each.dim())) for each in self.stacked_parameters.values() if each.dim() > 2}

    def test_step(self, batch: tuple[Tensor, ...], batch_idx: int) -> None:
        """Update the test metrics of the ensemble and of each member with a batch."""
        images, labels, *_ = batch
        member_logits = self.member_logits(images)
        logits = log_mean_probability(member_logits)
        self.test_totals.update(F.cross_entropy(logits, labels), logits.argmax(dim=1) != labels)
        self.test_member_totals.update(member_logits.softmax(dim=2), labels)
        self.test_calibration.update(logits.softmax(dim=1), labels)

    def on_test_epoch_end(self) -> None:
        """Log the test metrics and the out-of-bag accuracy."""
        super().on_test_epoch_end()
        metrics = self.test_member_totals.compute()
        accuracies = metrics["member_acc"].reshape(-1)  # torchmetrics makes a scalar of one value
        logged = {f"test_acc_member_{number}": value for number, value in enumerate(accuracies)}
        logged |= {"test_acc_mean_member": accuracies.mean(), "test_acc_vote": metrics["vote_acc"]}
        logged["test_disagreement"] = metrics["disagreement"]
        logged["test_calibration_error"] = self.test_calibration.compute()
        logged |= self._out_of_bag()
        self.test_member_totals.reset()
        self.test_calibration.reset()
        self.log_dict({name: value.float() for name, value in logged.items()}, reduce_fx="max", sync_dist=True)

    def test_summary(self, metrics: Mapping[str, Tensor]) -> str | None:
        """Return a line with the accuracies of the ensemble and of its members."""
        summary = super().test_summary(metrics)
        if summary is None or "test_acc_mean_member" not in metrics:
            return summary
        parts, members = [summary], self.hparams["num_members"]
        if members > 1:
            parts.append(f"its {members} members {metrics['test_acc_mean_member']:.4f} on average")
            parts.append(f"their vote {metrics['test_acc_vote']:.4f}")
            parts.append(f"disagreement {metrics['test_disagreement']:.4f}")
        if "oob_acc" in metrics:
            parts.append(f"out-of-bag {metrics['oob_acc']:.4f}")
        return "; ".join(parts)

    def _adopt(self, other: Classifier) -> None:
        assert isinstance(other, BaggedEnsemble)
        super()._adopt(other)
        self._template, self._names = other._template, other._names

    def _make_member(self) -> Classifier:
        return make_member(self._member_class, self.hparams["member_args"] or {}, self.hparams["num_classes"])

    def _draw_bootstraps(self, dataset: ImageBatches) -> None:
        seed = self.hparams["bootstrap_seed"]
        seed = int(os.environ.get("PL_GLOBAL_SEED", 0)) if seed is None else seed
        drawn = torch.tensor([seed, fingerprint(dataset)], device=self.device)
        if self.drawn[0] >= 0 and not torch.equal(self.drawn, drawn):
            raise UsageError("The bootstraps were drawn with another seed or from other images: train anew.")
        self.drawn.copy_(drawn)
        self._sampler = BootstrapSampler(self._bootstraps(dataset), dataset.rows, self.device)

    def _bootstraps(self, dataset: ImageBatches) -> Tensor:
        return draw_bootstraps(len(dataset), self.hparams["num_members"], int(self.drawn[0]))

    def _out_of_bag(self) -> dict[str, Tensor]:
        """Return the out-of-bag accuracy, and the fraction of training images that at least one member did not draw."""
        data = getattr(self.trainer, "datamodule", None)
        if not self.hparams["bootstrap"] or not isinstance(data, ImageDataModule) or self.drawn[0] < 0:
            return {}
        data.setup("fit")
        dataset = data.training_set()
        if fingerprint(dataset) != int(self.drawn[1]):
            print_rank_zero("The bootstraps were drawn from other images, so there is no out-of-bag accuracy.")
            return {}
        counts = out_of_bag_counts(
            lambda images: self.member_logits(images.to(self.device, self.parameter_dtype)),
            *(dataset, self._bootstraps(dataset)),
            share=torch.arange(len(dataset))[self.global_rank :: self.trainer.world_size],
        )
        counts = self.trainer.strategy.reduce(counts.to(self.device), reduce_op="sum")
        return {"oob_acc": counts[1] / counts[0], "oob_share": counts[0] / len(dataset)}


def _key(name: str) -> str:
    return name.replace(".", "/")  # torch allows no dots in registered names
