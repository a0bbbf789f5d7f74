"""Checking that a shipped network is the one that was published and does what its figures say."""

from __future__ import annotations

import torch
from torch import Tensor

from zoo.data import MNISTDataModule
from zoo.data.archives import ARCHIVES
from zoo.data.batches import images_of
from zoo.data.binarization import sampled_pixels
from zoo.models import RBM, Classifier, ZooModule
from zoo.pretrained.evaluation import GOLDEN_ROWS, Evaluation, evaluate, golden_images, golden_logits
from zoo.pretrained.loading import build, check_file, published_entry
from zoo.pretrained.registry import Entry, LikelihoodEntry, ModelInfo, Published, model_info
from zoo.rbm.likelihood import Likelihood, measure_likelihood
from zoo.runs.checkpoint import read_checkpoint
from zoo.utils.errors import UsageError

# Rounding differs between processors and thread counts: by about 1e-6 of a logit, so this is a hundred times that.
LOGIT_TOLERANCE = 1e-4
FIGURE_TOLERANCE = 1e-4


def verify(name: str, data: MNISTDataModule) -> Evaluation | Likelihood:
    """Check a member's shipped network from its file to its test errors.

    The SHA-256 and size of the file, the class and number of parameters, the logits of ten images (to 1e-4 of the
    largest), the data's MD5, the validation accuracy, and on the 10,000 test images the exact number of errors, the
    negative log-likelihood and the calibration error (to 1e-4). Of an RBM, instead of what has to do with classes: the
    free energies of ten images, and the mean over the test images with the published partition function, which
    ``zoo test`` measures anew.

    Args:
        name: A member or demonstration that ships.
        data: The data, as `load_test_data` returns it.

    Returns:
        What was measured.

    Raises:
        UsageError: The member is unknown or ships nothing, or something is not as it was published; the sentence says
            what.
    """
    info = model_info(name)
    entry = published_entry(info)
    check_file(info.checkpoint, entry)
    model = build(info, read_checkpoint(info.checkpoint))
    if isinstance(model, RBM):
        assert info.demonstration is not None
        return check_likelihood(info, info.demonstration, model, data)
    assert isinstance(model, Classifier)
    assert info.figures is not None
    return check_figures(info, info.figures, model, data)


def check_figures(info: ModelInfo, entry: Entry, model: Classifier, data: MNISTDataModule) -> Evaluation:
    """Compare everything that an entry says with the network itself, and return what was measured.

    Raises:
        UsageError: Something differs.
    """
    _check_published(info, entry, model)
    _check_golden(info, "logits", golden_logits(model, data), entry["golden_logits"])
    measured = evaluate(model, data.test_dataloader())
    _expect(info, "test images", measured.images, entry["test_images"])
    _expect(info, "test errors", measured.errors, entry["test_errors"])
    validation = data.val_dataloader()
    if entry["val_accuracy"] is not None and entry["config"]["data"]["init_args"].get("val_size") == data.val_size:
        accuracy = None if isinstance(validation, list) else round(evaluate(model, validation).accuracy, 6)
        _expect(info, "validation accuracies", accuracy, entry["val_accuracy"])
    for figure in ("nll", "calibration_error"):
        _check_figure(info, figure, getattr(measured, figure), entry[figure])
    return measured


def check_likelihood(info: ModelInfo, entry: LikelihoodEntry, model: RBM, data: MNISTDataModule) -> Likelihood:
    """Compare an RBM's entry with the network itself, given the published log Z, and return what was published.

    Raises:
        UsageError: Something differs.
    """
    _check_published(info, entry, model)
    _check_golden(info, "free energies", golden_free_energies(model, data), entry["golden_free_energies"])
    energies = free_energies(model, data)
    _expect(info, "test images", len(energies), entry["test_images"])
    mean = -float(energies.double().mean()) - entry["log_partition"]
    _check_figure(info, "log_likelihood", mean, entry["log_likelihood"])
    found = Likelihood.from_figures({name: value for name, value in entry.items() if isinstance(value, float)})
    assert found is not None
    return found


def golden_free_energies(model: RBM, data: MNISTDataModule) -> Tensor:
    """Return the free energies ``(10,)`` of the first test image of each digit, pixels sampled."""
    with torch.inference_mode():
        return model.rbm.free_energy(sampled_pixels(golden_images(data).flatten(start_dim=1)))


def free_energies(model: RBM, data: MNISTDataModule) -> Tensor:
    """Return the free energies of the test images ``(10000,)``, pixels sampled."""
    with torch.inference_mode():
        parts = images_of(data.test_dataloader().dataset)
        return torch.cat([model.rbm.free_energy(sampled_pixels(images)) for images in parts])


def measured_likelihood(model: RBM, data: MNISTDataModule) -> Likelihood:
    """Measure the likelihood of the test images anew, as ``zoo test`` does."""
    images = next(images_of(data.test_dataloader().dataset))
    return measure_likelihood(model.rbm, model.divergence.visible_mean, free_energies(model, data), images)


def _check_published(info: ModelInfo, entry: Published, model: ZooModule) -> None:
    _expect(info, "bytes", info.checkpoint.stat().st_size, entry["bytes"])
    _expect(info, "trained parameters", model.trained_parameters(), entry["parameters"])
    _expect(info, "data MD5 sums", {archive.name: archive.md5 for archive in ARCHIVES}, entry["data_md5"])
    _expect(info, "golden rows", list(GOLDEN_ROWS), entry["golden_rows"])


def _check_golden(info: ModelInfo, what: str, found: Tensor, published: object) -> None:
    try:
        golden = torch.tensor(published)
    except (ValueError, TypeError) as error:
        raise UsageError(f"{info.name}: the published {what} of ten images are no table of numbers.") from error
    distance = float((found - golden).abs().max()) if found.shape == golden.shape else float("inf")
    if not distance <= LOGIT_TOLERANCE * max(1.0, float(golden.abs().max())):
        raise UsageError(f"{info.name}: the {what} of ten images differ from the published ones by {distance:.3g}.")


def _check_figure(info: ModelInfo, figure: str, value: float, published: float) -> None:
    if not abs(value - published) <= FIGURE_TOLERANCE * max(1.0, abs(published)):
        raise UsageError(f"{info.name}: {figure} is {value:.6f}, but {published:.6f} was published.")


def _expect(info: ModelInfo, what: str, found: object, published: object) -> None:
    if found != published:
        raise UsageError(f"{info.name}: the {what} are {found}, but {published} was published.")
