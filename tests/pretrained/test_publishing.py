"""Publishing a member, then loading, verifying and reproducing it."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import zoo
from tests import user_files
from tests.helpers import error_output, errors
from zoo.cli import main
from zoo.pretrained import entries, publishing, registry
from zoo.pretrained.run_tables import read_table, short_processor
from zoo.runs.checkpoint import round_to_half, write_weights
from zoo.studies.trial import TABLE, Trial, format_table, read_trials

CONFIG = """# Softmax regression on a few images
# Lecture: 0.5000
# Paper: Nobody, "Nothing", 1900
seed_everything: 0
model:
  class_path: zoo.models.SoftmaxRegression
  init_args:
    lr: 0.001
data:
  class_path: zoo.data.MNISTDataModule
  init_args:
    num_train: 500
trainer:
  max_epochs: 2
"""
CPU = ["--trainer.accelerator", "cpu"]


@pytest.fixture
def tiny(copied_zoo: Path) -> Path:
    """Add a member that trains quickly."""
    (copied_zoo / "configs" / "tiny.yaml").write_text(CONFIG)
    return copied_zoo


def fit(*arguments: str) -> str:
    """Train the member and return the path of the checkpoint."""
    number = len(list(Path().glob("logs/tiny/version_*")))
    assert main(["fit", "--config", "tiny", *CPU, *arguments]) == 0
    return f"logs/tiny/version_{number}/checkpoints/last.ckpt"


def test_a_published_member_can_be_loaded_verified_and_reproduced(
    tiny: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, zero = fit("--seed_everything", "1"), fit()
    assert main(["publish", "tiny", one, zero]) == 0
    assert "seed 0: " in capsys.readouterr().out

    entry = json.loads((tiny / "checkpoints/index.json").read_text())["tiny"]
    assert set(entry) == set(entries.Entry.__annotations__)
    assert [run["seed"] for run in entry["runs"]] == [0, 1]
    assert entry["errors_mean"] == sum(run["test_errors"] for run in entry["runs"]) / 2
    assert entry["papers"] == ['Nobody, "Nothing", 1900']
    assert entry["config"]["data"]["init_args"]["num_train"] == 500
    assert entry["config"]["trainer"] == {"max_epochs": 2}  # the accelerator is not a part of the recipe
    assert all(run["seconds"] >= 0 for run in entry["runs"])

    model = zoo.load_pretrained("tiny")
    trained = torch.load(zero, weights_only=True)["state_dict"]
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, trained[name], rtol=0, atol=0)
    assert main(["verify", "tiny"]) == 0
    assert capsys.readouterr().out.startswith("tiny  ok: ")
    assert main(["reproduce", "tiny", "--seeds", "3"]) == 0
    output = capsys.readouterr().out.splitlines()
    for run in entry["runs"]:
        errors, processor = run["test_errors"], short_processor(entry["runs_on"])
        assert f"seed {run['seed']}: {errors:,} errors; published: {errors:,} on {processor}" in output
    assert "no published run has this seed" in output[-4]
    assert output[-3].startswith("tiny is reproduced. 3 runs made ")
    assert main(["reproduce", "tiny", "--seeds", "2"]) == 0
    assert "again, number by number" in capsys.readouterr().out
    assert main(["reproduce", "tiny", "--first_seed", "100"]) == 0
    assert "seed 100: " in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize("shipped", [False, True])
def test_a_network_ships_in_half_precision_if_that_changes_no_prediction(
    shipped: bool, tiny: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = fit()
    # A network that was rounded already, so that no prediction can change.
    rounded = torch.load(run, weights_only=True)
    state = rounded["state_dict"]
    rounded["state_dict"] = {
        name: value.half().to(value.dtype) if value.is_floating_point() else value for name, value in state.items()
    }
    torch.save(rounded, run)
    assert main(["publish", "tiny", run]) == 0
    checkpoint, index = tiny / "checkpoints/tiny.ckpt", tiny / "checkpoints/index.json"
    whole, before = checkpoint.stat().st_size, json.loads(index.read_text())["tiny"]

    def round_and_spoil(model: torch.nn.Module) -> None:
        round_to_half(model)
        with torch.no_grad():
            model.get_parameter("net.1.bias")[3] += 100

    monkeypatch.setattr(publishing, "round_to_half", round_and_spoil)
    content = checkpoint.read_bytes(), index.read_bytes()
    assert "predicts another class for" in error_output(["publish", "tiny", run, "--half"], capsys)
    assert content == (checkpoint.read_bytes(), index.read_bytes())
    monkeypatch.setattr(publishing, "round_to_half", round_to_half)
    if shipped:
        assert main(["publish", "tiny", run]) == 0
    assert main(["publish", "tiny", *([] if shipped else [run]), "--half"]) == 0
    after = json.loads(index.read_text())["tiny"]
    assert after["bytes"] == checkpoint.stat().st_size < 0.6 * whole
    assert after["test_errors"] == before["test_errors"]
    assert after["runs"] == before["runs"]
    assert main(["verify", "tiny"]) == 0
    model = zoo.load_pretrained("tiny")
    assert {value.dtype for value in model.state_dict().values() if value.is_floating_point()} == {torch.float32}
    for name, value in model.named_parameters():
        assert torch.equal(value, rounded["state_dict"][name])
    assert main(["test", "--config", "tiny", "--ckpt_path", "tiny", *CPU]) == 0
    assert f"{after['test_errors']:,} errors" in capsys.readouterr().out


AVERAGED = """  callbacks:
  - class_path: pytorch_lightning.callbacks.EMAWeightAveraging
    init_args:
      decay: 0.9
"""


def test_a_member_whose_weights_are_averaged_ships_the_average(tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tiny / "configs/tiny.yaml").write_text(CONFIG + AVERAGED)
    run = fit()
    tested = errors(capsys.readouterr().out)
    assert main(["publish", "tiny", run]) == 0
    assert main(["verify", "tiny"]) == 0
    entry = json.loads((tiny / "checkpoints/index.json").read_text())["tiny"]
    assert entry["test_errors"] == tested
    saved = torch.load(run, weights_only=True)
    shipped = zoo.load_pretrained("tiny").state_dict()
    assert all(torch.equal(value, saved["state_dict"][name]) for name, value in shipped.items())
    assert not torch.equal(shipped["net.1.weight"], saved["current_model_state"]["net.1.weight"])
    assert main(["publish", "tiny", fit("--trainer.callbacks", "[]")]) == 2
    assert "was trained with trainer.callbacks.0.class_path None" in capsys.readouterr().err


def test_a_run_that_was_initialized_from_trained_weights_is_refused(
    tiny: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = fit("--model.init_from", "softmax")
    assert main(["publish", "tiny", run]) == 2
    assert "was trained with model.init_from 'softmax', but the config says None" in capsys.readouterr().err


@pytest.mark.parametrize("line", ["dataset: kmnist", "val_share: 0.1"])
def test_only_the_digits_of_mnist_are_published(line: str, tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = fit()
    config = CONFIG.replace("num_train: 500", line)
    if line.startswith("val_share"):
        config = config.replace("MNISTDataModule", "ImageFolderDataModule")
    (tiny / "configs/tiny.yaml").write_text(config)
    assert main(["publish", "tiny", run]) == 2
    assert "not about MNIST's ten digits" in capsys.readouterr().err


def test_a_run_on_data_of_ones_own_is_not_published(tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = user_files.npz(Path(), user_files.make_part(5600), user_files.make_part(20))
    checkpoint = fit("--data.data_dir", str(own))
    capsys.readouterr()
    assert main(["publish", "tiny", checkpoint]) == 2
    assert "was trained on other data than MNIST's own files: name runs on MNIST." in capsys.readouterr().err


def test_a_published_run_stays(tiny: Path) -> None:
    zero, one = fit(), fit("--seed_everything", "1")
    assert main(["publish", "tiny", zero, one]) == 0
    before = (tiny / "checkpoints/index.json").read_text()
    table = registry.table_path("tiny").read_text()
    assert main(["publish", "tiny", zero]) == 0
    assert [run["seed"] for run in registry.read_index()["tiny"]["runs"]] == [0, 1]
    assert main(["publish", "--index"]) == 0
    assert registry.table_path("tiny").read_text() == table
    assert _without_speed((tiny / "checkpoints/index.json").read_text()) == _without_speed(before)


def _without_speed(index: str) -> str:
    """Leave out the speed of classification, which is measured anew."""
    return re.sub(r'"images_per_second": [\d.]+', "", index)


def test_the_runs_of_a_study_are_published_and_the_network_stays(
    tiny: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["publish", "tiny", fit()]) == 0
    network = (tiny / "checkpoints/tiny.ckpt").read_bytes()
    first = _published_trial()
    errors = [first.test_errors, 900, 910]
    other = replace(first, number=3, seed=0, machine={"processor": "Another", "device": "CPU with 1 thread"})
    trials = [first, *(replace(first, number=seed, seed=seed, test_errors=errors[seed]) for seed in (1, 2)), other]
    _write_study(trials)
    assert main(["publish", "tiny", "--study", "study"]) == 0
    entry = registry.read_index()["tiny"]
    assert [run["test_errors"] for run in entry["runs"]] == errors
    assert [each["runs_on"] for each in entry["elsewhere"]] == ["Another"]
    assert entry["test_errors"] == first.test_errors
    assert (tiny / "checkpoints/tiny.ckpt").read_bytes() == network
    assert main(["verify", "tiny"]) == 0
    assert main(["info", "tiny"]) == 0
    assert f"n = 3 on {short_processor(entry['runs_on'])}" in " ".join(capsys.readouterr().out.split())


@pytest.mark.slow
def test_the_runs_of_a_real_study_are_published(tiny: Path) -> None:
    assert main(["publish", "tiny", fit()]) == 0
    assert main(["study", "tiny", "--seeds", "2", "--storage", "study", *threads()]) == 0
    assert main(["publish", "tiny", "--study", "study"]) == 0
    trials = read_trials(Path("study"))
    runs = registry.read_index()["tiny"]["runs"]
    assert [run["test_errors"] for run in runs] == [trial.test_errors for trial in trials]


def threads() -> list[str]:
    """Return the flag by which the runs of a study have as many threads as those in this process."""
    return ["--threads", str(torch.get_num_threads())]


def _published_trial() -> Trial:
    """Return the single published run as a trial."""
    (run,) = read_table(registry.table_path("tiny"))
    errors = int(run.metrics["test_errors"] or 0)
    trial = Trial(0, 0, {}, "finished", test_errors=errors, test_images=10_000, seconds=1.0)
    return replace(trial, val_accuracy=run.metrics["val_accuracy"], machine=run.machine, versions=run.versions)


def _write_study(trials: Sequence[Trial]) -> None:
    """Write the folder ``study`` of a study of the published recipe."""
    (folder := Path("study")).mkdir()
    (folder / "study.json").write_text(json.dumps({"config": registry.read_index()["tiny"]["config"]}))
    (folder / TABLE).write_text(format_table(trials))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"test_errors": 1}, "was published with test_errors"),
        ({"seed": 7}, "have the seeds [0, 7]"),
        ({"state": "failed", "test_errors": None}, "has failed, and every run of a published study is reported"),
        ({"test_errors": None}, "has no test_errors"),
        ({"settings": {"model.lr": 0.1}}, "sets model.lr"),
    ],
)
def test_a_study_that_is_not_the_published_recipe_or_contradicts_it_is_refused(
    change: dict[str, Any], sentence: str, tiny: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["publish", "tiny", fit()]) == 0
    _write_study([replace(_published_trial(), **change)])
    before = (tiny / "checkpoints/index.json").read_text()
    assert main(["publish", "tiny", "--study", "study"]) == 2
    assert sentence in capsys.readouterr().err
    assert (tiny / "checkpoints/index.json").read_text() == before


@pytest.mark.parametrize(
    "arguments", [[], ["tiny"], ["tiny", "a.ckpt", "--study", "study"], ["tiny", "--index"], ["--study", "study"]]
)
def test_what_is_published_must_be_said(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert "Say what is published" in error_output(["publish", *arguments], capsys)


def test_publishing_twice_gives_an_identical_checkpoint(tiny: Path) -> None:
    run = fit()
    assert main(["publish", "tiny", run]) == 0
    first = (tiny / "checkpoints/tiny.ckpt").read_bytes()
    assert main(["publish", "tiny", run]) == 0
    assert (tiny / "checkpoints/tiny.ckpt").read_bytes() == first


@pytest.mark.parametrize(("difference", "outcome"), [(-1000, "worse"), (1000, "better")])
def test_errors_outside_the_interval_are_not_reproduced(
    difference: int, outcome: str, tiny: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["publish", "tiny", fit()])
    path = tiny / "checkpoints/index.json"
    index = json.loads(path.read_text())
    for run in index["tiny"]["runs"]:
        run["test_errors"] += difference
    path.write_text(json.dumps(index))
    registry.read_index.cache_clear()
    assert main(["reproduce", "tiny"]) == 1
    assert f"tiny is NOT reproduced: {outcome}. " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--seed_everything", "1"], "have the seeds [1]"),
        (["--model.lr", "0.01"], "was trained with model.lr 0.01, but the config says 0.001"),
        (["--data.num_train", "400"], "was trained with data.init_args.num_train 400, but the config says 500"),
        pytest.param(["--trainer.max_epochs", "1"], "was trained with trainer.max_epochs 1", marks=pytest.mark.slow),
        pytest.param(
            ["--trainer.gradient_clip_val", "0.5"],
            "was trained with trainer.gradient_clip_val 0.5",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            ["--trainer.precision", "bf16-mixed"],
            "was trained with trainer.precision 'bf16-mixed'",
            marks=pytest.mark.slow,
        ),
        (["--data", "tests.helpers.OtherData", "--data.num_train", "500"], "was trained with data.class_path 'tests."),
        (["--seed_everything", "false"], "was trained with seed_everything False"),
        pytest.param(
            ["--trainer.limit_train_batches", "3"],
            "was trained with trainer.limit_train_batches 3",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_runs_of_other_recipes_are_refused(
    tiny: Path, arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run = fit(*arguments)
    before = (tiny / "checkpoints/index.json").read_bytes()
    assert main(["publish", "tiny", run]) == 2
    assert sentence in capsys.readouterr().err
    assert (tiny / "checkpoints/index.json").read_bytes() == before
    assert not list((tiny / "checkpoints").glob("*tiny*"))


def test_publishing_refuses_invalid_checkpoints_and_unknown_names(
    tiny: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Path(fit())
    (earlier,) = run.parent.glob("epoch=0-*.ckpt")
    model = zoo.create_model("tiny")
    write_weights(model, dict(model.hparams), Path("weights.ckpt"))
    shutil.copy(run, "copy.ckpt")
    for arguments, sentence in {
        (str(earlier),): "is not of the end of 2 epochs",
        ("weights.ckpt",): "does not say which run it is from",
        (str(run), "copy.ckpt"): "have the seeds [0, 0]",
        ("https://example.com/a.ckpt",): "is a URL",
        ("missing.ckpt",): "There is no checkpoint missing.ckpt",
    }.items():
        assert main(["publish", "tiny", *arguments]) == 2
        assert sentence in capsys.readouterr().err
    assert main(["publish", "tinny", str(run)]) == 2
    assert "did you mean tiny" in capsys.readouterr().err
    assert not list((tiny / "checkpoints").glob("*tiny*"))
