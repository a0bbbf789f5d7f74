"""The tables of tuning and of whole runs are made from the trials of studies and the output of the benchmark."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from docs import generate, tuning
from zoo.cli.study_settings import check_settings
from zoo.studies.settings import parse_settings
from zoo.studies.trial import Trial

MACHINE = {"processor": "a processor", "device": "CPU with 1 thread"}


def trial(number: int, seed: int, val_errors: int, seconds: float = 5.0, **settings: Any) -> Trial:
    named = {f"model.{name}": value for name, value in settings.items()}
    return Trial(number, seed, named, "finished", val_accuracy=1 - val_errors / 5000, seconds=seconds, machine=MACHINE)


def test_the_table_of_tuning_has_every_seed_of_every_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trials = [trial(0, 1, 44, 7.0), trial(1, 0, 40), trial(0, 0, 51, lr=0.1), trial(1, 1, 60, lr=0.2)]
    trials[-1] = replace(trials[-1], machine={**MACHINE, "device": "a GPU"})
    failed = Trial(2, 1, {"model.lr": 0.1}, "failed")
    command = tuning.command("fast_cnn", epochs=2, seeds=3)
    tuning.write_table(tmp_path / "tuning_fast_cnn.csv", command, [*trials, failed])
    lines = (tmp_path / "tuning_fast_cnn.csv").read_text().splitlines()
    assert lines[0] == "# python -m docs.tuning fast_cnn FOLDER --seeds 3 --epochs 2"
    assert lines[3:] == [
        ",2,42.0,2.8,40 44,6.0,CPU with 1 thread,a processor",
        "--model.lr=0.1,1,51.0,,51,5.0,CPU with 1 thread,a processor",
        "--model.lr=0.2,1,60.0,,60,5.0,a GPU,a processor",
    ]
    monkeypatch.setattr(generate, "DATA", tmp_path)
    table = generate.tuning("fast_cnn").splitlines()
    line = "`python -m docs.tuning fast_cnn FOLDER --seeds 3 --epochs 2`, 1 thread on a processor a processor"
    assert table[0] == f"{line} (`model.lr=0.2`: a GPU):"
    assert table[4:6] == ["| as in the config | 2 | 42.0 ± 2.8 |", "| `model.lr=0.1` | 1 | 51 |"]


@pytest.mark.parametrize("name", tuning.TRIED)
def test_tuning_looks_at_validation_images_only(name: str, tmp_path: Path) -> None:
    config = yaml.safe_load(tuning.write_config(name, tmp_path, epochs=None).read_text())
    assert config["data"]["init_args"]["val_size"] == 5000
    assert config["trainer"]["limit_test_batches"] == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", tuning.TRIED)
def test_every_setting_that_is_tried_is_one_of_the_member_s(name: str, tmp_path: Path) -> None:
    config = yaml.safe_load(tuning.write_config(name, tmp_path, epochs=None).read_text())
    for settings in tuning.TRIED[name]:
        space = parse_settings(settings.split())
        if settings:
            check_settings(config, space)
        for cell in space.cells() if settings else ():
            places = [(name_of_setting.split("."), value) for name_of_setting, value in cell.items()]
            own = [config[part].get("init_args", config[part]).get(argument) for (part, argument), _ in places]
            assert own != [yaml.safe_load(str(value)) for _, value in places], f"{cell} is the config as it is"


def test_the_table_of_whole_runs_has_both_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = [{"seconds": 9.0, "training_seconds": 4.0, "test_errors": 80, "seed": 0}]
    runs.append({"seconds": 11.0, "training_seconds": 6.0, "test_errors": 90, "seed": 1})
    measured = {
        "versions": {"torch": "2.0"},
        "machine": {"cores": 2, "processor": "a processor"},
        "device": "CPU",
        "members": {"fast_cnn": {"whole": {"epochs": 1, "zoo": runs, "eager": runs[:1]}}},
    }
    (tmp_path / "bench_accuracy.json").write_text(json.dumps(measured))
    monkeypatch.setattr(generate, "DATA", tmp_path)
    caption, _, *table = generate.BLOCKS["bench-accuracy"]().splitlines()
    assert caption == "`zoo bench fast_cnn --whole 2` (2 cores of an a processor, torch 2.0):"
    assert table[2:] == [
        "| `fast_cnn` | `zoo fit` | 1 | 2 | 5.00 (4.00–6.00) | 10.0 (9.0–11.0) | 99.15 ± 0.07 |",
        "| `fast_cnn` | script | 1 | 1 | 4.00 (4.00–4.00) | 9.0 (9.0–9.0) | 99.20 |",
    ]
