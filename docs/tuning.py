"""Tune the fast and the accurate convolutional net on the validation images, and write a table of all that was tried.

Usage::

    python -m docs.tuning fast_cnn FOLDER [--seeds N] [--threads N] [--jobs N]

Trains on the first 55,000 images, changing one setting of the member's config at a time, and counts the errors on the
5,000 validation images. The test images are not looked at. The trainings are studies (`zoo study`) in FOLDER: after an
interruption the same line goes on, and a larger ``--seeds`` adds seeds. The table is ``docs/data/tuning_NAME.csv``.
"""

from __future__ import annotations

import argparse
import csv
import statistics
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import yaml

from zoo.pretrained.registry import model_info
from zoo.studies.settings import as_flags
from zoo.studies.trial import TABLE, Trial, read_trials

DATA = Path(__file__).parent / "data"
VALIDATION_IMAGES = 5000
COLUMNS = ("settings", "seeds", "val_errors_mean", "val_errors_sd", "val_errors", "seconds", "threads", "processor")
ON_VALIDATION_IMAGES = {
    "data": {"val_size": VALIDATION_IMAGES},
    "trainer": {"limit_test_batches": 0},
}
"""What replaces settings of the member's config."""

TRIED: dict[str, list[list[str]]] = {
    "fast_cnn": [
        [],
        ["model.lr=0.005,0.01,0.04"],
        ["model.label_smoothing=0.0,0.05,0.2"],
        ["model.lr_schedule=constant,cosine"],
        ["model.channels=[[8],[24]],[[16],[48]],[[24],[48]]"],
        ["model.kernel_sizes=[3,3],[5,5]"],
        ["model.hidden_sizes=[64],[256]"],
        ["model.dropout=0.25"],
        ["data.batch_size=50,200"],
        ["trainer.max_epochs=2"],
        ["model.channels=[[8],[16]],[[12],[24]]"],
        ["model.channels=[[8],[24]]", "model.hidden_sizes=[64]", "model.lr=0.02,0.04"],
    ],
    "accurate_cnn": [
        [],
        ["model.lr=0.005,0.02"],
        ["model.label_smoothing=0.0"],
        ["model.lr_schedule=cosine"],
        ["model.channels=[[24,24],[48,48]],[[32,32,32],[64,64,64]],[[32,32],[64,64,128]]"],
        ["model.dropout=0.0,0.5"],
        ["data.augment=affine_elastic"],
        ["data.augment_strength=0.7,1.3"],
        ["trainer.callbacks=[]"],
        ["trainer.max_epochs=16"],
    ],
}
"""The values of ``zoo study --set`` by member, a list for each study. The empty one is the config as it is."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=TRIED)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, default=3, help="trainings of each setting (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="of each training (default: %(default)s)")
    parser.add_argument("--jobs", type=int, help="trainings at a time (default: as many as there are cores)")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    config = write_config(options.name, options.folder)
    trials: list[Trial] = []
    for number, settings in enumerate(TRIED[options.name]):
        storage = options.folder / f"{options.name}-{number}"
        study = [sys.executable, "-m", "zoo", "study", str(config), "--storage", str(storage)]
        study += ["--seeds", str(options.seeds), "--threads", str(options.threads)]
        study += ["--jobs", str(options.jobs)] if options.jobs else []
        for each in settings:
            study += ["--set", each]
        subprocess.run(study, check=True)
        trials += read_trials(storage / TABLE)
        write_table(DATA / f"tuning_{options.name}.csv", options.name, trials)
    return 0


def write_config(name: str, folder: Path) -> Path:
    """Write a member's config with validation images and without a test, and return its path."""
    content = yaml.safe_load(model_info(name).config.read_text(encoding="utf-8"))
    content["data"]["init_args"] |= ON_VALIDATION_IMAGES["data"]
    content["trainer"] |= ON_VALIDATION_IMAGES["trainer"]
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return path


def write_table(path: Path, name: str, trials: Iterable[Trial]) -> None:
    """Write the trials of each setting as one line: the config as it is first, then the settings in their order."""
    with path.open("w", newline="", encoding="utf-8") as file:
        file.write(f"# python -m docs.tuning {name} FOLDER\n")
        file.write("# errors on the 5,000 validation images after the last epoch; seconds of training, the median\n")
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(rows(trials))


def rows(trials: Iterable[Trial]) -> list[list[str]]:
    """Return the lines of the table."""
    by_setting: dict[str, list[Trial]] = {}
    for trial in trials:
        by_setting.setdefault(" ".join(as_flags(trial.settings)), []).append(trial)
    return [_row(flags, same) for flags, same in by_setting.items()]


def _row(flags: str, trials: list[Trial]) -> list[str]:
    finished = sorted((trial for trial in trials if trial.val_accuracy is not None), key=lambda trial: trial.seed)
    errors = [round((1 - (trial.val_accuracy or 0.0)) * VALIDATION_IMAGES) for trial in finished]
    machine = finished[0].machine if finished else {}
    return [
        flags,
        str(len(errors)),
        f"{statistics.fmean(errors):.1f}" if errors else "",
        f"{statistics.stdev(errors):.1f}" if len(errors) > 1 else "",
        " ".join(map(str, errors)),
        f"{statistics.median(trial.seconds for trial in finished):.1f}" if errors else "",
        str(machine.get("threads", "")),
        str(machine.get("processor", "")),
    ]


if __name__ == "__main__":
    sys.exit(main())
