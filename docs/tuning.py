"""Tune a member on the validation images, and write a table of all that was tried.

Usage::

    python -m docs.tuning NAME FOLDER [--seeds N] [--epochs N] [--threads N] [--jobs N]

Trains on the first 55,000 images, with the settings of the member's config and one or two of them changed, and counts
the errors on the 5,000 validation images. The test images are not looked at. The trainings are studies (`zoo study`) in
FOLDER: after an interruption the same line goes on, and a larger ``--seeds`` adds seeds. The table is
``docs/data/tuning_NAME.csv``.
"""

from __future__ import annotations

import argparse
import csv
import os
import statistics
import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import yaml

from zoo.pretrained.registry import model_info
from zoo.studies.settings import as_flags
from zoo.studies.trial import TABLE, Trial, read_trials

DATA = Path(__file__).parent / "data"
VALIDATION_IMAGES = 5000
COLUMNS = ("settings", "seeds", "val_errors_mean", "val_errors_sd", "val_errors", "seconds", "device", "processor")

TRIED: dict[str, list[str]] = {
    "fast_cnn": [
        "",
        *("model.lr=0.005", "model.lr=0.01", "model.lr=0.04"),
        *("model.label_smoothing=0.0", "model.label_smoothing=0.05", "model.label_smoothing=0.2"),
        *("model.lr_schedule=constant", "model.lr_schedule=cosine"),
        *("model.channels=[[8],[24]]", "model.channels=[[16],[48]]", "model.channels=[[24],[48]]"),
        *("model.kernel_sizes=[3,3]", "model.kernel_sizes=[5,5]"),
        *("model.hidden_sizes=[64]", "model.hidden_sizes=[256]"),
        "model.dropout=0.25",
        *("data.batch_size=50", "data.batch_size=200"),
        "model.lr=0.04 data.batch_size=50",
        "model.lr=0.04 model.kernel_sizes=[5,5]",
        "trainer.max_epochs=2",
    ],
    "accurate_cnn": [
        "",
        *("model.lr=0.005", "model.lr=0.02"),
        "model.label_smoothing=0.0",
        "model.lr_schedule=cosine",
        *("model.channels=[[24,24],[48,48]]", "model.channels=[[32,32,32],[64,64,64]]"),
        *("model.dropout=0.0", "model.dropout=0.5"),
        "data.augment=affine_elastic",
        *("data.augment_strength=0.7", "data.augment_strength=1.3"),
        "trainer.callbacks=[]",
    ],
    "vat": [
        "",
        *("model.vat_epsilon=1.5", "model.vat_epsilon=3.0"),
        "model.vat_power_iterations=2",
        "model.vat_weight=2.0",
        "model.lr=0.004",
        "model.input_dropout=0.2",
        "trainer.max_epochs=200",
    ],
    "dbn": [
        "",
        *("model.max_norm=2.0", "model.max_norm=3.0", "model.max_norm=4.0"),
        *("model.lr=0.0005", "model.lr=0.001", "model.lr=0.004"),
        "model.hidden_lr_factor=0.3",
        "trainer.max_epochs=275",
        *("model.dropout=[0.2,0.3,0.5]", "model.dropout=[0.5,0.5,0.25]"),
        *("model.input_dropout=0.1", "model.input_dropout=0.3"),
        "model.optimizer=sgd model.lr=0.1 model.momentum=0.95 model.max_norm=4.0",
    ],
}
"""The settings that are changed together, by member. The empty one is the config as it is."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=TRIED)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, default=3, help="trainings of each setting (default: %(default)s)")
    parser.add_argument("--epochs", type=int, help="of each training (default: as in the config)")
    parser.add_argument("--threads", type=int, default=1, help="of each training (default: %(default)s)")
    parser.add_argument("--jobs", type=int, help="trainings at a time (default: the cores divided by --threads)")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    config = write_config(options.name, options.folder, options.epochs)
    storages = [options.folder / f"{options.name}-{number}" for number in range(len(TRIED[options.name]))]

    def run(storage: Path, settings: str) -> None:
        study = [sys.executable, "-m", "zoo", "study", str(config), "--storage", str(storage), "--jobs", "1"]
        study += ["--seeds", str(options.seeds), "--threads", str(options.threads)]
        for each in settings.split():
            study += ["--set", each]
        subprocess.run(study, check=True)

    line = command(options.name, options.epochs, options.seeds)
    with ThreadPoolExecutor(options.jobs or max(1, (os.cpu_count() or 1) // options.threads)) as pool:
        for _ in pool.map(run, storages, TRIED[options.name]):
            trials = [trial for storage in storages if (storage / TABLE).is_file() for trial in read_trials(storage)]
            write_table(DATA / f"tuning_{options.name}.csv", line, trials)
    return 0


def command(name: str, epochs: int | None, seeds: int) -> str:
    """Return the line that makes a table again."""
    return f"python -m docs.tuning {name} FOLDER --seeds {seeds}" + (f" --epochs {epochs}" if epochs else "")


def write_config(name: str, folder: Path, epochs: int | None) -> Path:
    """Write a member's config with validation images and without a test, and return its path."""
    content = yaml.safe_load(model_info(name).config.read_text(encoding="utf-8"))
    content["data"]["init_args"]["val_size"] = VALIDATION_IMAGES
    content["trainer"] |= {"limit_test_batches": 0, **({"max_epochs": epochs} if epochs else {})}
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return path


def write_table(path: Path, command: str, trials: Iterable[Trial]) -> None:
    """Write the trials of each setting as one line: the config as it is first, then the settings in their order."""
    with path.open("w", newline="", encoding="utf-8") as file:
        file.write(f"# {command}\n")
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
        str(machine.get("device", "")),
        str(machine.get("processor", "")),
    ]


if __name__ == "__main__":
    sys.exit(main())
