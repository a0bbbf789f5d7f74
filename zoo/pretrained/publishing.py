"""Publishing: the trained network that ships and its index entry are made from the checkpoints of finished runs."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo.data import MNISTDataModule
from zoo.metrics.intervals import wilson_interval
from zoo.models import RBM, Classifier
from zoo.pretrained.evaluation import (
    Calibration,
    Evaluation,
    calibrate,
    evaluation_of,
    golden_logits,
    images_per_second,
    logits_and_labels,
)
from zoo.pretrained.loading import build, member_class
from zoo.pretrained.published_runs import FinishedRun, common_entry, configured_data, finished_runs, write_index
from zoo.pretrained.registry import (
    Entry,
    LikelihoodEntry,
    ModelInfo,
    demonstration_info,
    demonstrations_path,
    index_path,
    list_models,
    model_info,
    read_demonstrations,
    read_index,
)
from zoo.pretrained.verification import (
    check_likelihood,
    check_metrics,
    free_energies,
    golden_free_energies,
    measured_likelihood,
)
from zoo.runs.checkpoint import CLASS_PATH, read_checkpoint, write_weights
from zoo.utils.errors import UsageError
from zoo.utils.files import atomic_path


@dataclass(frozen=True)
class MeasuredRun:
    """A finished run of a member's recipe and the metrics of its network."""

    run: FinishedRun
    model: Classifier
    test: Evaluation
    validation: Evaluation | None
    calibration: Calibration


def publish(name: str, paths: Sequence[str | Path]) -> Entry | LikelihoodEntry:
    """Write the checkpoint of a member or demonstration and its index entry, from finished runs of its config.

    The network of seed 0 ships, so it cannot be selected by its result. The metrics of the other runs are reported in
    the same entry. Existing files are replaced only after the new checkpoint has been read back and verified.

    Args:
        name: The member, or a demonstration that is an RBM.
        paths: The checkpoints of the runs with seeds 0, 1, 2, … in any order, without a gap.

    Returns:
        The new index entry.

    Raises:
        UsageError: A checkpoint is not of a finished run of this config, or seeds are missing.
    """
    info = model_info(name) if name in list_models() else demonstration_info(name)
    if name not in list_models() and not issubclass(member_class(info), RBM):
        raise UsageError(f"{name} is a demonstration that does not ship: members do, and RBMs.")
    data = MNISTDataModule(val_size=configured_data(info).val_size)
    data.prepare_data()
    data.setup()
    reported = info.metrics or info.demonstration
    runs = finished_runs(info, paths, len(reported["runs"]) if reported else 0)
    # The index is written before the checkpoint is renamed: a failure up to then leaves both files unchanged.
    with atomic_path(info.checkpoint, CLASS_PATH) as temporary:
        write_weights(runs[0].model, dict(runs[0].model.hparams), temporary)
        temporary_info = dataclasses.replace(info, checkpoint=temporary)
        model = build(temporary_info, read_checkpoint(temporary))
        if isinstance(model, RBM):
            likelihood_entry = _likelihood_entry(info, runs, temporary.read_bytes(), data)
            check_likelihood(temporary_info, likelihood_entry, model, data)
            write_index(demonstrations_path(), {**read_demonstrations(), name: likelihood_entry})
            read_demonstrations.cache_clear()
            return likelihood_entry
        assert isinstance(model, Classifier)
        entry = _entry(info, [_measure(run, data) for run in runs], temporary.read_bytes(), data)
        check_metrics(temporary_info, entry, model, data)
        write_index(index_path(), {**read_index(), name: entry})
        read_index.cache_clear()
        return entry


def _measure(run: FinishedRun, data: MNISTDataModule) -> MeasuredRun:
    assert isinstance(run.model, Classifier)
    loader = data.val_dataloader()
    test = logits_and_labels(run.model, data.test_dataloader())
    validation = None if isinstance(loader, list) else logits_and_labels(run.model, loader)
    return MeasuredRun(
        run,
        run.model,
        test=evaluation_of(*test),
        validation=None if validation is None else evaluation_of(*validation),
        calibration=calibrate(validation, test),
    )


def _entry(info: ModelInfo, runs: list[MeasuredRun], content: bytes, data: MNISTDataModule) -> Entry:
    shipped = runs[0]
    errors = [run.test.errors for run in runs]
    return Entry(
        **common_entry(info, shipped.run, content, shipped.test.images),
        test_errors=shipped.test.errors,
        test_errors_ci95=[round(bound, 1) for bound in wilson_interval(shipped.test.errors, shipped.test.images)],
        nll=shipped.test.nll,
        calibration_error=shipped.test.calibration_error,
        temperature=float(f"{shipped.calibration.temperature:.5g}"),
        calibrated_error=shipped.calibration.error,
        val_accuracy=_accuracy(shipped.validation),
        runs=[
            {
                "seed": run.run.seed,
                "test_errors": run.test.errors,
                "val_accuracy": _accuracy(run.validation),
                "seconds": round(run.run.record["seconds"], 1),
            }
            for run in runs
        ],
        errors_mean=round(statistics.fmean(errors), 2),
        errors_sd=round(statistics.stdev(errors), 2) if len(errors) > 1 else None,
        images_per_second=round(images_per_second(shipped.model, data), -2),
        golden_logits=[[float(f"{logit:.6g}") for logit in row] for row in golden_logits(shipped.model, data).tolist()],
    )


def _likelihood_entry(
    info: ModelInfo, runs: list[FinishedRun], content: bytes, data: MNISTDataModule
) -> LikelihoodEntry:
    measured: list[Any] = []
    for run in runs:
        assert isinstance(run.model, RBM)
        likelihood = measured_likelihood(run.model, data)
        if likelihood.warning:
            raise UsageError(f"The likelihood of seed {run.seed} cannot be trusted: {likelihood.warning}.")
        metrics = {name: round(value, 4) for name, value in likelihood.metrics().items()}
        measured.append({"seed": run.seed, **metrics, "seconds": round(run.record["seconds"], 1)})
    model = runs[0].model
    assert isinstance(model, RBM)
    shipped = {name: value for name, value in measured[0].items() if name not in ("seed", "seconds")}
    energies = [float(f"{energy:.7g}") for energy in golden_free_energies(model, data).tolist()]
    common = common_entry(info, runs[0], content, len(free_energies(model, data)))
    fields: Any = {**common, **shipped, "runs": measured, "golden_free_energies": energies}
    entry: LikelihoodEntry = fields
    return entry


def _accuracy(evaluation: Evaluation | None) -> float | None:
    return None if evaluation is None else round(evaluation.accuracy, 6)
