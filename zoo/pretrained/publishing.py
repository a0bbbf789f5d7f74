"""Publishing: the trained network that ships and its index entry are made from the checkpoints of finished runs."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from zoo.data import MNISTDataModule
from zoo.metrics.intervals import wilson_interval
from zoo.models import RBM, Classifier, ZooModule
from zoo.pretrained.distributions import error_distribution, likelihood_distribution
from zoo.pretrained.entries import Entry, LikelihoodEntry
from zoo.pretrained.evaluation import (
    Calibration,
    Evaluation,
    calibrate,
    evaluation_of,
    golden_logits,
    images_per_second,
    logits_and_labels,
)
from zoo.pretrained.index_files import write_demonstrations, write_index
from zoo.pretrained.loading import build, member_class, published_entry
from zoo.pretrained.published_runs import FinishedRun, common_entry, configured_data, finished_runs, sha256_of
from zoo.pretrained.registry import (
    ModelInfo,
    demonstration_info,
    list_models,
    model_info,
    read_demonstrations,
    read_index,
    table_path,
)
from zoo.pretrained.run_tables import PublishedRun, format_table, merge_runs, read_table
from zoo.pretrained.verification import (
    check_likelihood,
    check_metrics,
    free_energies,
    golden_free_energies,
    measured_likelihood,
)
from zoo.runs.checkpoint import CLASS_PATH, read_checkpoint, round_to_half, write_weights
from zoo.runs.recipe import first_difference, recipe
from zoo.utils.errors import UsageError
from zoo.utils.files import atomic_path, write_bytes


@dataclass(frozen=True)
class MeasuredNetwork:
    """A trained network of a member and its metrics."""

    model: Classifier
    test: Evaluation
    validation: Evaluation | None
    calibration: Calibration


def publish(name: str, paths: Sequence[str | Path], *, half: bool = False) -> Entry | LikelihoodEntry:
    """Write the checkpoint of a member or demonstration and its index entry, from finished runs of its config.

    The network of seed 0 ships, so it cannot be selected by its result. All runs are added to the table of the recipe's
    published runs. Runs of an older recipe are removed from it. Existing files are replaced only after the new
    checkpoint has been read back and verified.

    Args:
        name: The member, or a demonstration that is an RBM.
        paths: The checkpoints of the runs with seeds 0, 1, 2, … in any order, without a gap.
        half: Whether the network ships in half precision, in half as many bytes. Its metrics are those of the rounded
            network.

    Returns:
        The new index entry.

    Raises:
        UsageError: A checkpoint is not of a finished run of this config, seeds are missing, a run differs from the
            one that was published, or rounding to half precision changes a prediction.
    """
    info = model_info(name) if name in list_models() else demonstration_info(name)
    if name not in list_models() and not issubclass(member_class(info), RBM):
        raise UsageError(f"{name} is a demonstration that does not ship: members do, and RBMs.")
    data = _data(info)
    runs = finished_runs(info, paths)
    if half:
        _round(name, runs[0].model, data)
    # The index is written before the checkpoint is renamed: a failure up to then leaves both files unchanged.
    with atomic_path(info.checkpoint, CLASS_PATH) as temporary:
        write_weights(runs[0].model, dict(runs[0].model.hparams), temporary, half=half)
        temporary_info = dataclasses.replace(info, checkpoint=temporary)
        model = build(temporary_info, read_checkpoint(temporary))
        if isinstance(model, RBM):
            likelihoods = [_likelihood(run, data) for run in runs]
            table = _table(info, runs, likelihoods)
            likelihood_entry = _likelihood_entry(info, runs[0], likelihoods[0], table, temporary.read_bytes(), data)
            check_likelihood(temporary_info, likelihood_entry, model, data)
            _write_table(name, table)
            write_demonstrations({**read_demonstrations(), name: likelihood_entry})
            return likelihood_entry
        assert isinstance(model, Classifier)
        measured = [_measure(run.model, data) for run in runs]
        table = _table(info, runs, [_errors(network) for network in measured])
        entry = _entry(info, runs[0], measured[0], table, temporary.read_bytes(), data)
        check_metrics(temporary_info, entry, model, data)
        _write_table(name, table)
        write_index({**read_index(), name: entry})
        return entry


def publish_in_half(name: str) -> Entry:
    """Write the network of a member that ships anew, in half precision, and its index entry. The runs stay.

    Returns:
        The new index entry, with the metrics of the rounded network.

    Raises:
        UsageError: The member is unknown or ships no network, or rounding changes a prediction.
    """
    info = model_info(name)
    published_entry(info)
    data = _data(info)
    model = build(info, read_checkpoint(info.checkpoint))
    _round(name, model, data)
    with atomic_path(info.checkpoint, CLASS_PATH) as temporary:
        write_weights(model, dict(model.hparams), temporary, half=True)
        temporary_info = dataclasses.replace(info, checkpoint=temporary)
        written = build(temporary_info, read_checkpoint(temporary))
        assert isinstance(written, Classifier)
        file: Any = {"sha256": sha256_of(temporary.read_bytes()), "bytes": temporary.stat().st_size}
        before: Any = info.metrics
        measured = _metrics(_measure(model, data), data)
        fields: Any = {**before, **file, **measured, "images_per_second": before["images_per_second"]}
        entry: Entry = fields
        check_metrics(temporary_info, entry, written, data)
        write_index({**read_index(), name: entry})
        return entry


def _data(info: ModelInfo) -> MNISTDataModule:
    data = MNISTDataModule(val_size=configured_data(info).val_size)
    data.prepare_data()
    data.setup()
    return data


def _round(name: str, model: ZooModule, data: MNISTDataModule) -> None:
    """Round a classifier's weights to half precision.

    Raises:
        UsageError: That changes the prediction for a validation or test image, or the network is no classifier.
    """
    if not isinstance(model, Classifier):
        raise UsageError(f"{name} is no classifier, so nothing shows that rounding is harmless: leave out --half.")
    validation = data.val_dataloader()
    loaders = [data.test_dataloader(), *([] if isinstance(validation, list) else [validation])]
    before = [logits_and_labels(model, loader)[0].argmax(dim=1) for loader in loaders]
    round_to_half(model)
    after = [logits_and_labels(model, loader)[0].argmax(dim=1) for loader in loaders]
    changed = int((torch.cat(before) != torch.cat(after)).sum())
    if changed:
        raise UsageError(
            f"In half precision {name} predicts another class for {changed} of the validation and test images: leave "
            "out --half."
        )


def publish_runs(name: str, runs: Sequence[PublishedRun]) -> Entry | LikelihoodEntry:
    """Add runs of a published recipe to its table and to its index entry. The network that ships stays.

    Args:
        name: A member or demonstration that ships.
        runs: Runs of the recipe in the index entry. Without any, the entry is made from the table as it is.

    Returns:
        The new index entry.

    Raises:
        UsageError: The member is unknown or ships no network, a run differs from the one that was published, or seeds
            are missing.
    """
    info = model_info(name)
    published_entry(info)
    path = table_path(name)
    table = merge_runs(name, read_table(path), runs)
    if not table:
        raise UsageError(f"There are no published runs in {path}: publish the checkpoints of finished runs.")
    _write_table(name, table)
    if info.demonstration is not None:
        fields: Any = {**info.demonstration, **likelihood_distribution(table)}
        likelihood_entry: LikelihoodEntry = fields
        write_demonstrations({**read_demonstrations(), name: likelihood_entry})
        return likelihood_entry
    assert info.metrics is not None
    fields = {**info.metrics, **error_distribution(table, info.metrics["test_images"])}
    entry: Entry = fields
    write_index({**read_index(), name: entry})
    return entry


def _table(
    info: ModelInfo, runs: Sequence[FinishedRun], metrics: Sequence[Mapping[str, float | None]]
) -> list[PublishedRun]:
    """Return the published runs of a recipe together with further ones."""
    before = info.metrics or info.demonstration
    is_same_recipe = before is not None and first_difference(before["config"], recipe(runs[0].record["config"])) is None
    further = [
        PublishedRun(
            *(run.seed, metrics_of_run, round(run.record["seconds"], 1)),
            *(run.record["machine"], run.record["versions"]),
        )
        for run, metrics_of_run in zip(runs, metrics, strict=True)
    ]
    return merge_runs(info.name, read_table(table_path(info.name)) if is_same_recipe else [], further)


def _write_table(name: str, table: Sequence[PublishedRun]) -> None:
    write_bytes(table_path(name), format_table(table).encode(), replace=True)


def _measure(model: ZooModule, data: MNISTDataModule) -> MeasuredNetwork:
    assert isinstance(model, Classifier)
    loader = data.val_dataloader()
    test = logits_and_labels(model, data.test_dataloader())
    validation = None if isinstance(loader, list) else logits_and_labels(model, loader)
    return MeasuredNetwork(
        model,
        test=evaluation_of(*test),
        validation=None if validation is None else evaluation_of(*validation),
        calibration=calibrate(validation, test),
    )


def _errors(measured: MeasuredNetwork) -> dict[str, float | None]:
    return {"test_errors": measured.test.errors, "val_accuracy": _accuracy(measured.validation)}


def _entry(
    info: ModelInfo,
    run: FinishedRun,
    shipped: MeasuredNetwork,
    table: Sequence[PublishedRun],
    content: bytes,
    data: MNISTDataModule,
) -> Entry:
    fields: Any = {
        **common_entry(info, run, content, shipped.test.images),
        **_metrics(shipped, data),
        **error_distribution(table, shipped.test.images),
    }
    entry: Entry = fields
    return entry


def _metrics(shipped: MeasuredNetwork, data: MNISTDataModule) -> dict[str, Any]:
    return {
        "test_errors": shipped.test.errors,
        "test_errors_ci95": [round(bound, 1) for bound in wilson_interval(shipped.test.errors, shipped.test.images)],
        "nll": shipped.test.nll,
        "calibration_error": shipped.test.calibration_error,
        "temperature": float(f"{shipped.calibration.temperature:.5g}"),
        "calibrated_error": shipped.calibration.error,
        "val_accuracy": _accuracy(shipped.validation),
        "images_per_second": round(images_per_second(shipped.model, data), -2),
        "golden_logits": [
            [float(f"{logit:.6g}") for logit in row] for row in golden_logits(shipped.model, data).tolist()
        ],
    }


def _likelihood(run: FinishedRun, data: MNISTDataModule) -> dict[str, float | None]:
    assert isinstance(run.model, RBM)
    likelihood = measured_likelihood(run.model, data)
    if likelihood.warning:
        raise UsageError(f"The likelihood of seed {run.seed} cannot be trusted: {likelihood.warning}.")
    return {name: round(value, 4) for name, value in likelihood.metrics().items()}


def _likelihood_entry(
    info: ModelInfo,
    run: FinishedRun,
    metrics: Mapping[str, float | None],
    table: Sequence[PublishedRun],
    content: bytes,
    data: MNISTDataModule,
) -> LikelihoodEntry:
    model = run.model
    assert isinstance(model, RBM)
    energies = [float(f"{energy:.7g}") for energy in golden_free_energies(model, data).tolist()]
    common = common_entry(info, run, content, len(free_energies(model, data)))
    fields: Any = {**common, **metrics, "golden_free_energies": energies, **likelihood_distribution(table)}
    entry: LikelihoodEntry = fields
    return entry


def _accuracy(evaluation: Evaluation | None) -> float | None:
    return None if evaluation is None else round(evaluation.accuracy, 6)
