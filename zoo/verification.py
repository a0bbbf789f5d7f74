"""Checking that a shipped network is the one that was published and does what its figures say."""

from __future__ import annotations

import torch

from zoo.checkpoint import read_checkpoint
from zoo.data import MNISTDataModule
from zoo.data.archives import ARCHIVES
from zoo.errors import UsageError
from zoo.evaluation import GOLDEN_ROWS, Evaluation, evaluate, golden_logits
from zoo.members import Entry, ModelInfo, model_info
from zoo.models import Classifier
from zoo.pretrained import build, check_file, published_entry

# Rounding differs between processors and thread counts: by about 1e-6 of a logit, so this is a hundred times that.
LOGIT_TOLERANCE = 1e-4
FIGURE_TOLERANCE = 1e-4


def load_test_data() -> MNISTDataModule:
    """Return the shared data with the official test images and the validation images in memory."""
    data = MNISTDataModule()
    data.prepare_data()
    data.setup()
    return data


def verify(name: str, data: MNISTDataModule) -> Evaluation:
    """Check a member's shipped network from its file to its test errors.

    The SHA-256 and size of the file, the class and number of parameters, the logits of ten images (to 1e-4 of the
    largest), the data's MD5, the validation accuracy, and on the 10,000 test images the exact number of errors, the
    negative log-likelihood and the calibration error (to 1e-4).

    Args:
        name: A member that ships.
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
    return check_figures(info, entry, model, data)


def check_figures(info: ModelInfo, entry: Entry, model: Classifier, data: MNISTDataModule) -> Evaluation:
    """Compare everything that an entry says with the network itself, and return what was measured.

    Raises:
        UsageError: Something differs.
    """
    _expect(info, "bytes", info.checkpoint.stat().st_size, entry["bytes"])
    _expect(info, "trained parameters", count_parameters(model), entry["parameters"])
    _expect(info, "data MD5 sums", {archive.name: archive.md5 for archive in ARCHIVES}, entry["data_md5"])
    _expect(info, "golden rows", list(GOLDEN_ROWS), entry["golden_rows"])
    try:
        golden = torch.tensor(entry["golden_logits"])
    except (ValueError, TypeError) as error:
        raise UsageError(f"{info.name}: the published logits of ten images are no table of numbers.") from error
    found = golden_logits(model, data)
    distance = float((found - golden).abs().max()) if found.shape == golden.shape else float("inf")
    if not distance <= LOGIT_TOLERANCE * max(1.0, float(golden.abs().max())):
        raise UsageError(f"{info.name}: the logits of ten images differ from the published ones by {distance:.3g}.")
    measured = evaluate(model, data.test_dataloader())
    _expect(info, "test images", measured.images, entry["test_images"])
    _expect(info, "test errors", measured.errors, entry["test_errors"])
    validation = data.val_dataloader()
    if entry["val_accuracy"] is not None and entry["config"]["data"]["init_args"].get("val_size") == data.val_size:
        accuracy = None if isinstance(validation, list) else round(evaluate(model, validation).accuracy, 6)
        _expect(info, "validation accuracies", accuracy, entry["val_accuracy"])
    for figure in ("nll", "calibration_error"):
        value, published = getattr(measured, figure), entry[figure]
        if not abs(value - published) <= FIGURE_TOLERANCE * max(1.0, published):
            raise UsageError(f"{info.name}: {figure} is {value:.6f}, but {published:.6f} was published.")
    return measured


def count_parameters(model: Classifier) -> int:
    """Return the number of parameters that training changes."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def _expect(info: ModelInfo, what: str, found: object, published: object) -> None:
    if found != published:
        raise UsageError(f"{info.name}: the {what} are {found}, but {published} was published.")
