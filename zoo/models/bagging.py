"""An ensemble: several networks of one kind, trained at once, that answer together."""

from __future__ import annotations

import math
import os
import zlib
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
from zoo.data.bootstrap import bootstrap_positions, multiplicities
from zoo.metrics.classification import CALIBRATION_BINS
from zoo.metrics.ensemble import EnsembleTotals
from zoo.models.classifier import Classifier
from zoo.models.lookup import find_classifier
from zoo.training.multi_step import Steps
from zoo.utils.console import print_rank_zero
from zoo.utils.errors import UsageError

LARGEST_ENSEMBLE = 1000
CHUNK = 1000
"""Training images that are judged out of the bag at a time."""


class BaggedEnsemble(Classifier):
    """K networks of one class, each trained on a bootstrap of the training set, combined by their mean probability.

    The parameters of all members lie in one tensor each, with a first dimension of K, and one forward and one backward
    pass train all of them: dropout differs from member to member, and batch norm's statistics are each member's own.
    Breiman, "Bagging predictors", Machine Learning 1996; without bootstraps: Lakshminarayanan, Pritzel and Blundell,
    "Simple and scalable predictive uncertainty estimation using deep ensembles", NeurIPS 2017.

    A member's bootstrap is drawn once, n images out of n with replacement, and kept for all epochs: at each position of
    the training set a member sees the image that it drew there. ``train_loss`` and ``train_acc`` are the mean member's,
    those of validation and test the ensemble's. In ``test`` it says besides each member's accuracy
    (``test_acc_member_0`` …) and their mean, the vote's, the members' disagreement, the calibration error and, with
    bootstraps, ``oob_acc``: of the training images, each judged by those members that have not seen it.

    Args:
        member: The members' class: a feed-forward `Classifier` by its name or path, one of the zoo's or one that has
            been imported (``zoo fit`` imports the one that a config names).
        member_args: Its arguments, as plain values; those of training count for nothing here.
        num_members: K, 1 to 1000.
        bootstrap: Whether each member is trained on a bootstrap; else all see the same images in the same order, and
            differ by their initial values and dropout.
        bootstrap_seed: Chooses the bootstraps; None means the seed given to ``seed_everything``, or 0.
        **training: How all are trained, as in `Classifier`. Clipping the gradient's norm would count all as one.

    Raises:
        UsageError: The class is unknown, its arguments do not suit it, or a number is out of range.
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
        if not 1 <= num_members <= LARGEST_ENSEMBLE:
            raise UsageError(f"num_members is {num_members}, but an ensemble has 1 to {LARGEST_ENSEMBLE}.")
        if bootstrap_seed is not None and not 0 <= bootstrap_seed < 2**32:
            raise UsageError(f"bootstrap_seed is {bootstrap_seed}, but a seed is 0 to {2**32 - 1}.")
        self._class = find_classifier(member, without=BaggedEnsemble)
        members = [self._make_member() for _ in range(num_members)]
        if not members[0].automatic_optimization:
            raise UsageError(f"A {self._class.__name__} is trained in stages of its own, which cannot be stacked.")
        if any(isinstance(part, nn.RNNBase) for part in members[0].modules()):
            raise UsageError(f"A {self._class.__name__} is recurrent, and only feed-forward networks can be stacked.")
        for module in (part for each in members for part in each.modules()):
            if isinstance(module, _BatchNorm):
                module.num_batches_tracked = None  # a count that cannot be stacked, and that only cumulative means need
        parameters, buffers = stack_module_state(members)
        self.stacked_parameters = nn.ParameterDict(
            # Said, because what a member does not train must not be trained here.
            {_key(name): nn.Parameter(value.detach(), value.requires_grad) for name, value in parameters.items()}
        )
        self.stacked_buffers = nn.Module()
        for name, value in buffers.items():
            self.stacked_buffers.register_buffer(_key(name), value)
        # In a tuple, so that it is not registered: it lends its forward, and its own parameters mean nothing.
        self._template = (members[0],)
        self._names = (list(parameters), list(buffers))
        self.drawn: Tensor
        # The bootstraps' seed and a digest of the rows that they were drawn from; −1 before the training.
        self.register_buffer("drawn", torch.full((2,), -1, dtype=torch.int64))
        self._bootstraps: Tensor | None = None
        self._position_of_row: Tensor | None = None
        self.test_members = EnsembleTotals(num_members)
        self.test_calibration = MulticlassCalibrationError(
            num_classes=self.hparams["num_classes"], n_bins=CALIBRATION_BINS, norm="l1"
        )

    def forward(self, images: Tensor) -> Tensor:
        """Map images ``(B, 1, 28, 28)`` in [0, 1] to logits ``(B, 10)``: the log of the members' mean probability."""
        return _log_mean_probability(self.member_logits(images))

    def member_logits(self, images: Tensor) -> Tensor:
        """Return every member's logits ``(K, B, 10)``.

        Args:
            images: ``(B, 1, 28, 28)``, the same for all, or ``(K, B, 1, 28, 28)``, each member's own.
        """
        template = self._template[0].train(self.training)

        def one(parameters: dict[str, Tensor], buffers: dict[str, Tensor], images: Tensor) -> Any:
            return functional_call(template, (parameters, buffers), (images,))

        shared = 0 if images.dim() == 5 else None
        logits: Tensor = vmap(one, in_dims=(0, 0, shared), randomness="different")(
            {name: self.stacked_parameters[_key(name)] for name in self._names[0]},
            {name: self.stacked_buffers.get_buffer(_key(name)) for name in self._names[1]},
            images,
        )
        return logits

    def members(self) -> list[Classifier]:
        """Return the K networks as ordinary ones, with copies of their parameters, in the same mode as the ensemble."""
        found = []
        for number in range(self.hparams["num_members"]):
            member = self._make_member().to(self.device, self.parameter_dtype)
            own = {name: self.stacked_parameters[_key(name)][number].detach() for name in self._names[0]}
            own |= {name: self.stacked_buffers.get_buffer(_key(name))[number] for name in self._names[1]}
            member.load_state_dict({**member.state_dict(), **own})
            found.append(member.train(self.training))
        return found

    def forward_features(self, images: Tensor) -> Tensor:
        """Return all members' features of images ``(B, 1, 28, 28)`` side by side, ``(B, K·F)``; without gradients."""
        return torch.cat([member.forward_features(images) for member in self.members()], dim=1)

    def parts(self) -> Iterable[nn.Module]:
        """Return one member's parts, which stand for all members'."""
        return self._template[0].modules()

    def feature_names(self) -> list[str]:
        """Return the names of the weights and buffers below the members' output layers."""
        below = {_key(name) for name in self._template[0].feature_names()}
        return [name for name in self.state_dict() if name.partition(".")[2] in below]

    def on_train_start(self) -> None:
        """Draw the bootstraps.

        Raises:
            UsageError: The data does not say which image is which.
        """
        super().on_train_start()
        synchronized = getattr(self.trainer.strategy, "_layer_sync", None) is not None
        if self._names[1] and synchronized and self.trainer.world_size > 1:
            raise UsageError(
                "Batch norm in an ensemble takes each device's own share: set trainer.sync_batchnorm false."
            )
        if not self.hparams["bootstrap"]:
            return
        loader: Any = self.trainer.train_dataloader
        if not isinstance(loader.dataset, ImageBatches) or not loader.dataset.with_indices:
            raise UsageError("Bootstraps need to know which image is which: set data.with_indices true.")
        self._draw(loader.dataset)

    def training_loss(self, images: Tensor, labels: Tensor, *rest: Tensor) -> Tensor:
        """Return the sum of the members' costs, so that each one's gradient is what it would be alone."""
        if self.hparams["bootstrap"]:
            own, labels = self._own_batches(rest[0])
            images = own.to(images.dtype)
        return self.loss_of(images, labels)

    def steps(self) -> Steps:
        """All members' together, by autograd."""
        return self.autograd_steps()

    def loss_of(self, images: Tensor, labels: Tensor) -> Tensor:
        """Return the sum of the members' costs, and count the images.

        Args:
            images: The same for all members or each one's own, as in `member_logits`.
            labels: ``(B,)`` or ``(K, B)``.
        """
        members = self.hparams["num_members"]
        labels = labels.expand(members, -1)
        logits = self.member_logits(images)
        # Equal numbers of images for all: the mean over everything is the mean of the members' means.
        cost = F.cross_entropy(logits.flatten(end_dim=1), labels.flatten())
        self.train_totals.update(cost, logits.flatten(end_dim=1), labels.flatten())
        loss: Tensor = members * cost
        return loss + self.l2_penalty() if self.hparams["l2"] else loss

    def l2_penalty(self) -> Tensor:
        """Return λ·Σw² over the weights of all members and no biases."""
        stacked = [self.stacked_parameters[_key(name)] for name in self._names[0]]
        squares = [w.square().sum() for w in stacked if w.requires_grad and w.dim() > 2]
        penalty: Tensor = self.hparams["l2"] * torch.stack(squares).sum()
        return penalty

    def test_step(self, batch: tuple[Tensor, ...], batch_idx: int) -> None:
        """Count a batch of the test set for the ensemble and for each member."""
        images, labels, *_ = batch
        member_logits = self.member_logits(images)
        logits = _log_mean_probability(member_logits)
        self.test_totals.update(F.cross_entropy(logits, labels), logits, labels)
        self.test_members.update(member_logits.softmax(dim=2), labels)
        self.test_calibration.update(logits.softmax(dim=1), labels)

    def on_test_epoch_end(self) -> None:
        """Log the figures of the test set, and those of the training images that are out of the bag."""
        super().on_test_epoch_end()
        figures = self.test_members.compute()
        logged = {f"test_acc_member_{number}": value for number, value in enumerate(figures["member_acc"])}
        logged["test_acc_mean_member"] = figures["member_acc"].mean()
        logged["test_acc_vote"] = figures["vote_acc"]
        logged["test_disagreement"] = figures["disagreement"]
        logged["test_calibration_error"] = self.test_calibration.compute()
        logged |= self._out_of_bag()
        self.test_members.reset()
        self.test_calibration.reset()
        self.log_dict({name: value.float() for name, value in logged.items()}, reduce_fx="max", sync_dist=True)

    def test_summary(self, figures: Mapping[str, Tensor]) -> str | None:
        """Say the ensemble's accuracy beside the members'."""
        summary = super().test_summary(figures)
        if summary is None or "test_acc_mean_member" not in figures:
            return summary
        parts = [
            summary,
            f"its {self.hparams['num_members']} members {figures['test_acc_mean_member']:.4f} on average",
            f"their vote {figures['test_acc_vote']:.4f}",
            f"disagreement {figures['test_disagreement']:.4f}",
        ]
        if "oob_acc" in figures:
            parts.append(f"out of the bag {figures['oob_acc']:.4f}")
        return "; ".join(parts)

    def _adopt(self, other: Classifier) -> None:
        assert isinstance(other, BaggedEnsemble)
        super()._adopt(other)
        self._template, self._names = other._template, other._names

    def _make_member(self) -> Classifier:
        arguments, classes = dict(self.hparams["member_args"] or {}), self.hparams["num_classes"]
        if arguments.get("num_classes", classes) != classes:
            raise UsageError(
                f"member_args have num_classes {arguments['num_classes']}, but the ensemble has {classes}: "
                "set num_classes beside them and not among them."
            )
        if classes != 10:
            arguments["num_classes"] = classes
        try:
            return self._class(**arguments)
        except TypeError as error:
            raise UsageError(f"member_args do not suit a {self._class.__name__}: {error}.") from error

    def _draw(self, dataset: ImageBatches) -> None:
        seed = self.hparams["bootstrap_seed"]
        drawn = torch.tensor(
            [int(os.environ.get("PL_GLOBAL_SEED", 0)) if seed is None else seed, _digest(dataset)], device=self.device
        )
        if self.drawn[0] >= 0 and not torch.equal(self.drawn, drawn):
            raise UsageError("The bootstraps were drawn with another seed or from other images: train anew.")
        self.drawn.copy_(drawn)
        self._bootstraps = self._bootstraps_of(dataset).to(self.device)
        self._position_of_row = torch.zeros(int(dataset.rows.max()) + 1, dtype=torch.int64, device=self.device)
        self._position_of_row[dataset.rows] = torch.arange(len(dataset), device=self.device)

    def _bootstraps_of(self, dataset: ImageBatches) -> Tensor:
        """The positions that each member drew, int32 ``(K, n)``."""
        seed, members = int(self.drawn[0]), self.hparams["num_members"]
        return torch.stack([bootstrap_positions(len(dataset), each, seed).int() for each in range(members)])

    def _own_batches(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """What each member sees at the positions of a batch: images ``(K, B, 1, 28, 28)`` and labels ``(K, B)``."""
        assert self._bootstraps is not None
        assert self._position_of_row is not None
        loader: Any = self.trainer.train_dataloader
        drawn = self._bootstraps[:, self._position_of_row[rows]].long()  # (K, B)
        images, labels, *_ = loader.dataset.__getitems__(drawn.flatten())
        return images.to(self.device).unflatten(0, drawn.shape), labels.to(self.device).view(drawn.shape)

    def _out_of_bag(self) -> dict[str, Tensor]:
        """Accuracy on the training images that some member has not seen, and their share."""
        data = getattr(self.trainer, "datamodule", None)
        if not self.hparams["bootstrap"] or not isinstance(data, ImageDataModule) or self.drawn[0] < 0:
            return {}
        data.setup("fit")
        dataset = data.training_set()
        if _digest(dataset) != int(self.drawn[1]):
            print_rank_zero(
                "These are not the images that the bootstraps were drawn from, so none is judged out of the bag."
            )
            return {}
        size = len(dataset)
        unseen = torch.stack([multiplicities(each.long(), size) == 0 for each in self._bootstraps_of(dataset)])
        sums = torch.zeros(2, dtype=torch.int64, device=self.device)  # judged, right
        for positions in torch.arange(size)[self.global_rank :: self.trainer.world_size].split(CHUNK):
            images, labels, *_ = dataset.__getitems__(positions)
            judges = unseen[:, positions].to(self.device)  # (K, B)
            images, labels = images.to(self.device, self.parameter_dtype), labels.to(self.device)
            probabilities = self.member_logits(images).softmax(dim=2)  # (K, B, 10)
            predictions = (probabilities * judges.unsqueeze(2)).sum(dim=0).argmax(dim=1)
            judged = judges.any(dim=0)
            sums += torch.stack([judged.sum(), (judged & (predictions == labels)).sum()])
        sums = self.trainer.strategy.reduce(sums, reduce_op="sum")
        return {"oob_acc": sums[1] / sums[0], "oob_share": sums[0] / size}


def _log_mean_probability(member_logits: Tensor) -> Tensor:
    """From ``(K, B, 10)`` to ``(B, 10)``."""
    log_probabilities = F.log_softmax(member_logits, dim=2)
    return log_probabilities.logsumexp(dim=0) - math.log(len(log_probabilities))


def _key(name: str) -> str:
    """A parameter's name as one word, for torch allows no dots."""
    return name.replace(".", "/")


def _digest(dataset: ImageBatches) -> int:
    return zlib.crc32(dataset.rows.cpu().numpy().tobytes())
