"""A member of the zoo as a scikit-learn classifier, which is trained on arrays."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Integral
from typing import Any, Self

import numpy as np
import torch
import yaml
from numpy.typing import ArrayLike, NDArray
from pytorch_lightning import Trainer
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import check_random_state, check_scalar
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor
from torch.utils.data import BatchSampler, DataLoader, RandomSampler, TensorDataset

from zoo.data.batches import ImageBatches
from zoo.data.loader import make_loader
from zoo.data.sampler import ExactSampler
from zoo.models import Classifier
from zoo.pretrained.loading import create_model
from zoo.pretrained.registry import model_info
from zoo.utils.errors import UsageError
from zoo.utils.lightning_logging import quieten_lightning
from zoo.utils.unchanged import unchanged_process

PIXELS = 28 * 28
PREDICTION_BATCH_SIZE = 1000


class ZooClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A member's network and optimizer, trained by `fit` on arrays.

    Samples have at most 784 features, the pixels of an image of 28×28 row by row, in [0, 1]; images ``(N, 28, 28)`` are
    taken as well. Fewer features are the first pixels, and the others are 0. Classes may have any labels. Of the
    member's config, the class of the network, its arguments and the number of epochs are used; augmentation and the
    data are not. Bootstraps of an ensemble need pixels in steps of 1/255, as those of image files are.

    Args:
        member: One of ``zoo.list_models()``.
        arguments: Arguments of the network that replace those of the config, for example ``{"dropout": 0.5}``. With
            ``{"init_from": "dropout"}``, training starts from the weights of a trained member.
        lr: Learning rate; None takes the config's.
        max_epochs: Epochs of a training; None takes the config's.
        batch_size: Samples in a step.
        accelerator: ``cpu``, ``gpu``, ``mps`` or ``auto``, as in Lightning's Trainer.
        random_state: Seeds the initial weights, the order of the samples and dropout: an int, a ``RandomState`` or
            None.

    Attributes:
        classes_: The labels of the classes, sorted, ``(C,)``.
        module_: The trained network, a LightningModule in eval mode.
        n_features_in_: Number of features of the samples in `fit`.
        n_iter_: Number of epochs.
    """

    def __init__(
        self,
        member: str = "deep_relu_xavier",
        *,
        arguments: Mapping[str, Any] | None = None,
        lr: float | None = None,
        max_epochs: int | None = None,
        batch_size: int = 100,
        accelerator: str = "cpu",
        random_state: Any = None,
    ) -> None:
        self.member = member
        self.arguments = arguments
        self.lr = lr
        self.max_epochs = max_epochs
        self.batch_size = batch_size
        self.accelerator = accelerator
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:  # scikit-learn's name
        """Train a new network.

        Args:
            X: ``(N, F)`` with F at most 784, ``(N, 28, 28)`` or ``(N, 1, 28, 28)``.
            y: The classes, ``(N,)``.

        Raises:
            UsageError: The member is unknown, an argument is invalid, or the loss is not finite. It is a `ValueError`.
            ValueError: The samples or the labels have another form.
        """
        features, targets = validate_data(self, _flat(X), y, dtype=np.float32)
        check_classification_targets(targets)
        images = _images(features)
        self.classes_, labels = np.unique(targets, return_inverse=True)
        seed = int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max))
        arguments = dict(self.arguments or {})
        if arguments.setdefault("num_classes", len(self.classes_)) != len(self.classes_):
            raise UsageError("num_classes is the number of classes in y: leave it out of arguments.")
        if self.lr is not None:
            arguments["lr"] = float(self.lr)
        batch_size = int(check_scalar(self.batch_size, "batch_size", Integral, min_val=1))
        wanted = _epochs_of(self.member) if self.max_epochs is None else self.max_epochs
        epochs = int(check_scalar(wanted, "max_epochs", Integral, min_val=1))
        on_cpu = self.accelerator == "cpu"
        with unchanged_process():
            quieten_lightning()
            (torch.default_generator.manual_seed if on_cpu else torch.manual_seed)(seed)
            module = create_model(self.member, **arguments)
            trainer = Trainer(
                max_epochs=epochs,
                accelerator=self.accelerator,
                devices=1,
                logger=False,
                enable_checkpointing=False,
                enable_progress_bar=False,
                enable_model_summary=False,
                num_sanity_val_steps=0,
            )
            device = trainer.strategy.root_device
            trainer.fit(module, _loader(images, torch.from_numpy(labels), batch_size, seed, device))
        module.trainer = None  # a trained network keeps no data
        if not all(bool(parameter.isfinite().all()) for parameter in module.parameters()):
            raise UsageError("The loss is not finite: try a lower lr.")
        self.module_: Classifier = module.cpu().eval()
        self.n_iter_ = epochs
        return self

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return the probabilities ``(N, C)`` of the classes in the order of ``classes_``."""
        check_is_fitted(self)
        images = _images(validate_data(self, _flat(X), dtype=np.float32, reset=False))
        with torch.inference_mode():
            logits = torch.cat([self.module_(batch) for batch in images.split(PREDICTION_BATCH_SIZE)])
            probabilities: NDArray[np.float64] = logits.double().softmax(dim=1).numpy()
        return probabilities

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Return the most probable class of each sample, ``(N,)``."""
        best = self.predict_proba(X).argmax(axis=1)
        predictions: NDArray[Any] = self.classes_[best]
        return predictions


def _flat(samples: Any) -> Any:
    """Return images as rows of pixels, and anything else as it is."""
    shape = getattr(samples, "shape", ())
    return samples.reshape(len(samples), PIXELS) if tuple(shape[1:]) in ((28, 28), (1, 28, 28)) else samples


def _images(features: NDArray[np.float32]) -> Tensor:
    """Return samples ``(N, F)`` as images ``(N, 1, 28, 28)``."""
    count, number = features.shape
    if number > PIXELS:
        raise ValueError(
            f"Samples have {number} features, and the networks take at most {PIXELS}, those of 28×28 pixels."
        )
    pixels = np.zeros((count, PIXELS), np.float32)
    pixels[:, :number] = features
    return torch.from_numpy(pixels).view(count, 1, 28, 28)


def _loader(images: Tensor, labels: Tensor, batch_size: int, seed: int, device: torch.device) -> DataLoader[Any]:
    """Return a loader of whole batches ``(images, labels, rows)`` in an order that the seed determines.

    Pixels of an image file, in steps of 1/255, are trained on as by ``zoo fit``, several steps in a call.
    """
    rows = torch.arange(len(labels))
    levels = images * 255
    # Batch norm cannot normalize a single sample.
    single = len(labels) % batch_size == 1 and len(labels) > 1
    if not single and bool((levels >= 0).all() and (levels <= 255).all() and _are_whole(levels)):
        pixels = levels.round().to(torch.uint8)[:, 0]
        dataset = ImageBatches(pixels, labels, rows, with_indices=True).to(device)
        return make_loader(dataset, ExactSampler(len(labels), shuffle=True, seed=seed), batch_size)
    data = TensorDataset(images, labels, rows)
    order = RandomSampler(data, generator=torch.Generator().manual_seed(seed))
    return DataLoader(data, sampler=BatchSampler(order, batch_size, drop_last=single), batch_size=None)


def _are_whole(levels: Tensor) -> bool:
    return torch.allclose(levels, levels.round(), rtol=0, atol=1e-3)


def _epochs_of(member: str) -> int:
    config = yaml.safe_load(model_info(member).config.read_text(encoding="utf-8"))
    return int(config["trainer"]["max_epochs"])
