"""Verification that a shipped network is the published one and has the published metrics."""

from __future__ import annotations

import torch
from torch import Tensor

from zoo.data import MNISTDataModule
from zoo.data.archives import ARCHIVES
from zoo.data.batches import images_of
from zoo.data.binarization import sample_binary_pixels
from zoo.metrics.calibration import rounding_of_calibration_error
from zoo.models import RBM, Classifier, ZooModule
from zoo.pretrained.entries import Entry, LikelihoodEntry, Published
from zoo.pretrained.evaluation import (
    GOLDEN_ROWS,
    Evaluation,
    calibrate,
    evaluation_of,
    golden_images,
    golden_logits,
    logits_and_labels,
)
from zoo.pretrained.loading import build, check_file, published_entry
from zoo.pretrained.registry import ModelInfo, model_info
from zoo.rbm.likelihood import Likelihood, measure_likelihood
from zoo.runs.checkpoint import read_checkpoint
from zoo.utils.errors import UsageError

# Relative tolerances. Rounding on other processors and with other numbers of threads changes logits by about 1e-6.
LOGIT_TOLERANCE = 1e-4
METRIC_TOLERANCE = 1e-4


def verify(name: str, data: MNISTDataModule) -> Evaluation | Likelihood:
    """Verify the shipped network of a member or demonstration.

    These properties are compared with the published ones: the SHA-256 and size of the file, the class, the number of
    parameters and the MD5 sums of the data. For a classifier, also the logits of ten images (to 1e-4 of the largest),
    the validation accuracy and the temperature, and on the 10,000 test images the exact number of errors, the negative
    log-likelihood and the calibration errors (to 1e-4, and to the images that are this close to the end of a bin). For
    an RBM, also the free energies of ten images and the mean log-likelihood of the test images. The latter uses the
    published partition function, which ``zoo test`` estimates anew.

    Args:
        name: A member or demonstration that ships.
        data: The data, as `load_test_data` returns it.

    Returns:
        The measured metrics.

    Raises:
        UsageError: The member is unknown or ships no network, or a property differs from the published one.
    """
    info = model_info(name)
    entry = published_entry(info)
    check_file(info.checkpoint, entry)
    model = build(info, read_checkpoint(info.checkpoint))
    if isinstance(model, RBM):
        assert info.demonstration is not None
        return check_likelihood(info, info.demonstration, model, data)
    assert isinstance(model, Classifier)
    assert info.metrics is not None
    return check_metrics(info, info.metrics, model, data)


def check_metrics(info: ModelInfo, entry: Entry, model: Classifier, data: MNISTDataModule) -> Evaluation:
    """Compare a classifier with its index entry.

    Returns:
        The measured metrics.

    Raises:
        UsageError: A property or metric differs.
    """
    _check_published(info, entry, model)
    _check_golden(info, "logits", golden_logits(model, data), entry["golden_logits"])
    test = logits_and_labels(model, data.test_dataloader())
    measured = evaluation_of(*test)
    _check_equal(info, "test images", measured.images, entry["test_images"])
    _check_equal(info, "test errors", measured.errors, entry["test_errors"])
    loader = data.val_dataloader()
    if entry["val_accuracy"] is not None and entry["config"]["data"]["init_args"].get("val_size") == data.val_size:
        validation = None if isinstance(loader, list) else logits_and_labels(model, loader)
        accuracy = None if validation is None else round(evaluation_of(*validation).accuracy, 6)
        _check_equal(info, "validation accuracies", accuracy, entry["val_accuracy"])
        calibration = calibrate(validation, test)
        _check_metric(info, "temperature", calibration.temperature, entry["temperature"])
        slack = _rounding(test, calibration.temperature)
        _check_metric(info, "calibrated_error", calibration.error, entry["calibrated_error"], slack)
    _check_metric(info, "nll", measured.nll, entry["nll"])
    slack = _rounding(test)
    _check_metric(info, "calibration_error", measured.calibration_error, entry["calibration_error"], slack)
    return measured


def check_likelihood(info: ModelInfo, entry: LikelihoodEntry, model: RBM, data: MNISTDataModule) -> Likelihood:
    """Compare an RBM with its index entry, given the published log partition function.

    Returns:
        The published likelihood.

    Raises:
        UsageError: A property or metric differs.
    """
    _check_published(info, entry, model)
    _check_golden(info, "free energies", golden_free_energies(model, data), entry["golden_free_energies"])
    energies = free_energies(model, data)
    _check_equal(info, "test images", len(energies), entry["test_images"])
    log_likelihood = -float(energies.double().mean()) - entry["log_partition"]
    _check_metric(info, "log_likelihood", log_likelihood, entry["log_likelihood"])
    published = Likelihood.from_metrics({name: value for name, value in entry.items() if isinstance(value, float)})
    assert published is not None
    return published


def golden_free_energies(model: RBM, data: MNISTDataModule) -> Tensor:
    """Return the free energies ``(10,)`` of the first test image of each digit, with sampled pixels."""
    with torch.inference_mode():
        return model.rbm.free_energy(sample_binary_pixels(golden_images(data).flatten(start_dim=1)))


def free_energies(model: RBM, data: MNISTDataModule) -> Tensor:
    """Return the free energies ``(10000,)`` of the test images, with sampled pixels."""
    with torch.inference_mode():
        batches = images_of(data.test_dataloader().dataset)
        return torch.cat([model.rbm.free_energy(sample_binary_pixels(images)) for images in batches])


def measured_likelihood(model: RBM, data: MNISTDataModule) -> Likelihood:
    """Estimate the likelihood of the test images, as ``zoo test`` does."""
    images = next(images_of(data.test_dataloader().dataset))
    return measure_likelihood(model.rbm, model.divergence.visible_mean, free_energies(model, data), images)


def _check_published(info: ModelInfo, entry: Published, model: ZooModule) -> None:
    _check_equal(info, "bytes", info.checkpoint.stat().st_size, entry["bytes"])
    _check_equal(info, "trained parameters", model.trained_parameters(), entry["parameters"])
    _check_equal(info, "data MD5 sums", {archive.name: archive.md5 for archive in ARCHIVES}, entry["data_md5"])
    _check_equal(info, "golden rows", list(GOLDEN_ROWS), entry["golden_rows"])


def _check_golden(info: ModelInfo, description: str, found: Tensor, published: object) -> None:
    try:
        golden = torch.tensor(published)
    except (ValueError, TypeError) as error:
        raise UsageError(f"{info.name}: the published {description} of ten images are no table of numbers.") from error
    deviation = float((found - golden).abs().max()) if found.shape == golden.shape else float("inf")
    if not deviation <= LOGIT_TOLERANCE * max(1.0, float(golden.abs().max())):
        raise UsageError(
            f"{info.name}: the {description} of ten images differ from the published ones by {deviation:.3g}."
        )


def _rounding(test: tuple[Tensor, Tensor], temperature: float = 1.0) -> float:
    """Return by how much a calibration error may differ between processors."""
    logits, labels = test
    return rounding_of_calibration_error((logits.double() / temperature).softmax(dim=1), labels, METRIC_TOLERANCE)


def _check_metric(info: ModelInfo, name: str, value: float, published: float, tolerance: float = 0.0) -> None:
    if not abs(value - published) <= max(tolerance, METRIC_TOLERANCE * max(1.0, abs(published))):
        raise UsageError(f"{info.name}: {name} is {value:.6f}, but {published:.6f} was published.")


def _check_equal(info: ModelInfo, description: str, found: object, published: object) -> None:
    if found != published:
        raise UsageError(f"{info.name}: the {description} are {found}, but {published} was published.")
