"""The trackers of ``configs/trainer``, with the real libraries."""

from __future__ import annotations

import csv
import re
import shlex
import struct
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.helpers import error_output, run_zoo, start_zoo
from zoo.cli import main

SHORT = ["--data.num_train", "400", "--data.val_size", "1000", "--trainer.max_epochs", "2"]


def needs(*packages: str) -> None:
    for package in packages:
        pytest.importorskip(package, reason=f"needs {package}, which is in .[tracking]")


def tensorboard_of(folder: Path) -> Any:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    accumulator = EventAccumulator(str(folder))
    accumulator.Reload()
    return accumulator


def printed(output: str, name: str) -> str:
    found = re.search(rf"^{name}: +(.*)$", output, flags=re.MULTILINE)
    assert found is not None, output
    return found[1]


def test_several_loggers_write_to_the_folder_of_the_run(capsys: pytest.CaptureFixture[str]) -> None:
    loggers = ["--config", "trainer/csv", "--config", "trainer/tensorboard"]
    assert main(["fit", "--config", "softmax", *loggers, *SHORT]) == 0
    output = capsys.readouterr().out
    folder = Path("logs/softmax/version_0")
    with (folder / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    validated = [row["val_acc"] for row in rows if row["val_acc"]]
    assert len(validated) == 2
    accumulator = tensorboard_of(folder)
    assert [event.value for event in accumulator.Scalars("val_acc")] == pytest.approx(list(map(float, validated)))
    final = tensorboard_of(folder).Scalars("final/test_acc")[-1].value
    assert f"accuracy {final:.4f}" in printed(output, "Test set")
    assert not Path("{run}").exists()
    assert not Path("lightning_logs").exists()


@pytest.mark.slow
def test_what_is_printed_tests_the_same_network_and_last_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    loggers = ["--config", "trainer/csv", "--config", "trainer/tensorboard"]
    assert main(["fit", "--config", "softmax", *loggers, *SHORT]) == 0
    output = capsys.readouterr().out
    command = shlex.split(printed(output, "Test it"))
    assert main(command[1:]) == 0
    assert printed(capsys.readouterr().out, "Test set") == printed(output, "Test set")
    longer = [*SHORT[:-1], "3", "--ckpt_path", "last"]
    assert main(["fit", "--config", "softmax", *loggers, *longer]) == 0
    with Path("logs/softmax/version_1/metrics.csv").open(newline="") as file:
        epochs = {int(row["epoch"]) for row in csv.DictReader(file) if row["val_acc"]}
    assert 2 in epochs


@pytest.mark.parametrize(("name", "package"), [("mlflow", "mlflow"), ("wandb", "wandb"), ("mlflow", "alembic")])
def test_a_missing_package_is_named(
    name: str, package: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("zoo.cli.trackers.find_spec", lambda each: None if each == package else True)
    message = error_output(["fit", "--config", "softmax", "--config", f"trainer/{name}"], capsys)
    assert f"needs {package}: " in message
    assert ".[tracking]" in message


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.filterwarnings("ignore")  # of SQLAlchemy about MLflow
def test_mlflow_has_config_metrics_settings_and_the_network() -> None:
    needs("mlflow", "sqlalchemy", "alembic")
    arguments = ["fit", "--config", "softmax", "--config", "trainer/mlflow", *SHORT]
    output = run_zoo(*arguments)
    again = run_zoo(*arguments)
    from mlflow.tracking import MlflowClient

    client = MlflowClient("sqlite:///mlflow.db")
    experiment = client.get_experiment_by_name("zoo")
    assert experiment is not None
    second, first = client.search_runs([experiment.experiment_id])
    assert [run.info.run_name for run in (first, second)] == ["softmax/version_0", "softmax/version_1"]
    assert first.info.status == "FINISHED"
    assert first.data.params["seed_everything"] == "0"
    assert first.data.params["max_epochs"] == "2"
    assert float(first.data.params["lr"]) > 0
    assert f"accuracy {first.data.metrics['final/test_acc']:.4f}" in printed(output, "Test set")
    assert first.data.metrics["final/test_acc"] == first.data.metrics["test_acc"]
    assert {"val_loss", "train_loss", "final/val_acc", "final/test_errors"} <= first.data.metrics.keys()
    assert len(client.get_metric_history(first.info.run_id, "val_acc")) == 2
    files = {each.path for each in client.list_artifacts(first.info.run_id)}
    assert files == {"config.yaml", "checkpoints"}
    (artifact,) = client.list_artifacts(first.info.run_id, "checkpoints")
    own = Path(printed(output, "Checkpoint"))
    downloaded = Path(client.download_artifacts(first.info.run_id, artifact.path, "."))
    assert downloaded.read_bytes() == own.read_bytes()
    tested = run_zoo("test", "--config", "softmax", "--ckpt_path", str(downloaded))
    assert printed(tested, "Test set") == printed(output, "Test set")
    assert printed(again, "Test set") == printed(output, "Test set")
    assert Path("logs/softmax/version_1/config.yaml").is_file()
    resumed = run_zoo(*arguments[:-1], "3", "--ckpt_path", "last")
    assert "Epoch  3/3" in resumed or "Epoch 3/3" in resumed


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.filterwarnings("ignore")
def test_wandb_works_offline_beside_the_others() -> None:
    needs("wandb", "mlflow")
    loggers = ["--config", "trainer/wandb", "--config", "trainer/csv", "--config", "trainer/mlflow"]
    output = run_zoo("fit", "--config", "softmax", *loggers, *SHORT)
    (folder,) = Path("wandb").glob("offline-run-*")
    (file,) = folder.glob("*.wandb")
    records = wandb_records(file)
    summary = {
        item.key or "/".join(item.nested_key): item.value_json for each in records for item in each.summary.update
    }
    assert f"accuracy {float(summary['final/test_acc']):.4f}" in printed(output, "Test set")
    config = {item.key: item.value_json for each in records for item in each.config.update}
    config |= {item.key: item.value_json for each in records for item in each.run.config.update}
    assert config["seed_everything"] == "0"
    assert yaml.safe_load(config["config"])["model"]["class_path"].endswith("SoftmaxRegression")
    artifacts = {each.artifact.name: [entry.path for entry in each.artifact.manifest.contents] for each in records}
    artifacts.pop("", None)
    assert artifacts["softmax-version_0-model"] == [Path(printed(output, "Checkpoint")).resolve().name]
    assert artifacts["softmax-version_0-config"] == ["config.yaml"]
    assert Path("logs/softmax/version_0/metrics.csv").is_file()
    shutdown = start_zoo("test", *shlex.split(printed(output, "Test it"))[2:])
    assert printed(shutdown.communicate(timeout=200)[0], "Test set") == printed(output, "Test set")


def wandb_records(file: Path) -> list[Any]:
    """Return what W&B has written for its server: records in the form of LevelDB's log, after 7 bytes."""
    from wandb.proto import wandb_internal_pb2

    protocol: Any = wandb_internal_pb2
    content, position, block, records, parts = file.read_bytes(), 7, 1 << 15, [], b""
    while position + 7 <= len(content):
        if block - position % block < 7:  # no room for a header
            position += block - position % block
            continue
        length, kind = struct.unpack_from("<HB", content, position + 4)
        parts += content[position + 7 : position + 7 + length]
        position += 7 + length
        if kind in (1, 4):  # whole, or the last part
            record = protocol.Record()
            record.ParseFromString(parts)
            records.append(record)
            parts = b""
    return records
