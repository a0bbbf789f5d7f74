"""Training and evaluation on several processes: same network, each image counted once, no process left waiting."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

import zoo
from tests.helpers import errors, run_zoo, start_zoo, weights
from zoo.cli import main

SOURCE = Path(__file__).parent.parent
ONE_OF_EACH_KIND = ["softmax", "dropout_batchnorm", "bagging", "dbn", "recurrent"]


def ddp(processes: int) -> list[str]:
    return ["--trainer.accelerator", "cpu", "--trainer.devices", str(processes), "--trainer.strategy", "ddp"]


def torchrun(processes: int, *program: str) -> subprocess.Popen[str]:
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes))
    return start_zoo(*program, program=launcher)


@pytest.mark.parametrize(
    ("name", "processes"),
    [
        ("dropout_batchnorm", 2),
        pytest.param("dropout_batchnorm", 3, marks=pytest.mark.slow),
        pytest.param("deep_relu_xavier", 2, marks=pytest.mark.slow),
        pytest.param("deep_relu_xavier", 3, marks=pytest.mark.slow),
    ],
)
def test_several_processes_train_the_same_network_as_one(
    name: str, processes: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """After 20 steps with the same global batch, weights agree to rounding and test errors exactly.

    Double precision is needed, because where a gradient is nearly 0, Adam turns rounding errors into full steps.
    """
    short = ["--data.num_train", "1200", "--data.batch_size", "60", "--trainer.max_epochs", "1"]
    fit = ["fit", "--config", name, *short, "--model.dropout", "0", "--trainer.precision", "64-true"]
    output = run_zoo(*fit, *ddp(processes), "--trainer.sync_batchnorm", "true")
    assert output.count("training on") == 1
    main([*fit, "--trainer.accelerator", "cpu"])
    capsys.readouterr()
    distributed, single = (f"logs/{name}/version_{version}/checkpoints/last.ckpt" for version in (0, 1))
    states = [torch.load(path, weights_only=True)["state_dict"] for path in (distributed, single)]
    for key, value in states[1].items():
        torch.testing.assert_close(states[0][key], value, rtol=1e-7, atol=1e-7)
    main(["test", "--config", f"logs/{name}/version_1/config.yaml", "--ckpt_path", distributed])
    assert errors(output) == errors(capsys.readouterr().out)


@pytest.mark.slow
def test_processes_that_train_virtually_adversarially_keep_the_same_weights(tmp_path: Path) -> None:
    short = ["--data.num_train", "600", "--data.batch_size", "60", "--trainer.max_epochs", "2"]
    short += ["--model.hidden_sizes", "[32, 16]", "--model.max_norm", "2", "--trainer.sync_batchnorm", "true"]
    write = ["--trainer.callbacks", "tests.helpers.WriteWeights"]
    run_zoo("fit", "--config", "vat", *short, *write, *ddp(2))
    assert Path("weights-0.txt").read_text() == Path("weights-1.txt").read_text()
    state = torch.load("logs/vat/version_0/checkpoints/last.ckpt", weights_only=True)["state_dict"]
    assert all(float(w.norm(dim=1).max()) < 2.00001 for w in state.values() if w.dim() == 2)


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("processes", "names"),
    [
        pytest.param(3, ONE_OF_EACH_KIND, marks=pytest.mark.slow),
        *(pytest.param(n, zoo.list_models(pretrained=True), marks=pytest.mark.slow) for n in (2, 3, 7)),
    ],
)
def test_every_image_is_counted_once_on_any_number_of_processes(processes: int, names: list[str]) -> None:
    process = torchrun(processes, str(SOURCE / "tests" / "ranks.py"), *names)
    _, error_output = process.communicate()
    assert process.returncode == 0, error_output
    for name in names:
        metrics = zoo.model_info(name).metrics
        assert metrics is not None
        for verb in ("test", "predict"):
            assert errors(Path(f"{name}-{processes}-{verb}.txt").read_text()) == metrics["test_errors"]
        with Path(f"{name}-{processes}/predictions.csv").open() as file:
            rows = list(csv.DictReader(file))
        assert [int(row["index"]) for row in rows] == list(range(10_000))
        assert sum(row["label"] != row["prediction"] for row in rows) == metrics["test_errors"]


@pytest.mark.slow
def test_spawned_processes_report_the_same_test_errors(tmp_path: Path) -> None:
    program = tmp_path / "spawn.py"
    program.write_text("import sys\nfrom zoo.cli import main\nif __name__ == '__main__':\n    sys.exit(main())\n")
    trained = ["--config", "softmax", "--ckpt_path", str(zoo.model_info("softmax").checkpoint)]
    spawn = [*ddp(2)[:-1], "ddp_spawn"]
    metrics = zoo.model_info("softmax").metrics
    assert metrics is not None
    for _ in range(3):
        process = start_zoo("test", *trained, *spawn, program=(str(program),))
        output, error_output = process.communicate(timeout=100)
        # In about one of ten runs, gloo's threads abort a spawned process at exit, after its work is done.
        if "terminate called without an active exception" not in error_output:
            break
    assert process.returncode == 0, error_output
    assert errors(output) == metrics["test_errors"]


@pytest.mark.slow
def test_spawned_processes_train_the_same_network_as_launched_ones(tmp_path: Path) -> None:
    program = tmp_path / "spawn.py"
    program.write_text("import sys\nfrom zoo.cli import main\nif __name__ == '__main__':\n    sys.exit(main())\n")
    fit = ["fit", "--config", "softmax", "--data.num_train", "1000", "--trainer.max_epochs", "1"]
    run_zoo(*fit, *ddp(2))
    for _ in range(3):
        process = start_zoo(*fit, *ddp(2)[:-1], "ddp_spawn", program=(str(program),))
        output, error_output = process.communicate(timeout=100)
        if "terminate called without an active exception" not in error_output:  # as above
            break
    assert process.returncode == 0, error_output
    assert "Test set:" in output
    assert len({weights(path) for path in Path("logs/softmax").glob("version_*/checkpoints/last.ckpt")}) == 1


@pytest.mark.slow
def test_processes_have_different_rng_states_for_dropout() -> None:
    fit = ["fit", "--config", "dropout", "--model.hidden_sizes", "[8]", "--data.num_train", "100"]
    run_zoo(*fit, *ddp(2), "--trainer.max_epochs", "1")
    content = torch.load("logs/dropout/version_0/checkpoints/last.ckpt", weights_only=True)
    first, second = content["callbacks"]["ExactResume"]["processes"]
    assert not torch.equal(first["torch"], second["torch"])


@pytest.mark.slow
def test_processes_with_different_arguments_are_refused(tmp_path: Path) -> None:
    program = tmp_path / "disagree.py"
    program.write_text(
        "import os, sys\nfrom zoo.cli import main\n"
        "lr = '0.01' if os.environ['RANK'] == '1' else '0.001'\n"
        "sys.exit(main(['fit', '--config', 'softmax', '--model.lr', lr, '--data.num_train', '500', *sys.argv[1:]]))\n"
    )
    process = torchrun(2, str(program), *ddp(2))
    _, error_output = process.communicate(timeout=100)
    assert process.returncode != 0
    assert "Process 1 has model.init_args.lr 0.01 and process 0 has 0.001" in error_output
    assert not list(Path().rglob("*.ckpt"))


@pytest.mark.slow
@pytest.mark.parametrize("killed", ["child", "parent"])
def test_after_a_process_dies_the_others_exit_and_the_last_checkpoint_is_valid(killed: str) -> None:
    fit = ["fit", "--config", "deep_relu_xavier", "--data.num_train", "5000"]
    process = start_zoo(*fit, *ddp(2), "--trainer.max_epochs", "1000")
    folder = Path("logs/deep_relu_xavier/version_0/checkpoints")
    wait_for(lambda: len(list(folder.glob("epoch=*.ckpt"))) > 0, seconds=60)
    (child,) = children_of(process.pid)
    os.kill(child if killed == "child" else process.pid, signal.SIGKILL)
    killed_at = time.monotonic()
    _, error_output = process.communicate(timeout=60)
    wait_for(lambda: not Path(f"/proc/{child}").exists() or killed == "child", seconds=60)
    assert time.monotonic() - killed_at < 60
    assert process.returncode != 0
    assert error_output
    newest = max(folder.glob("epoch=*.ckpt"), key=lambda path: path.stat().st_mtime_ns)
    trained = ["--config", "deep_relu_xavier", "--data.num_train", "5000", "--ckpt_path", str(newest)]
    assert main(["test", *trained, "--trainer.accelerator", "cpu"]) == 0


@pytest.mark.slow
def test_a_signal_stops_all_processes_and_training_resumes_exactly() -> None:
    fit = ["fit", "--config", "dropout", "--model.hidden_sizes", "[16]", "--data.num_train", "2000", *ddp(2)]
    short = ["--trainer.max_epochs", "3"]
    signal_callback = '{"class_path": "tests.helpers.SignalAt", "init_args": {"step": 25, "signal": 15}}'
    run_zoo(*fit, *short)
    process = start_zoo(*fit, *short, "--trainer.callbacks", signal_callback)
    _, error_output = process.communicate(timeout=100)
    assert process.returncode == 143
    assert error_output.count("Stopped in epoch 2 after step 30") == 1
    run_zoo(*fit, *short, "--ckpt_path", "last")
    uninterrupted, resumed = (
        torch.load(f"logs/dropout/version_{version}/checkpoints/last.ckpt", weights_only=True)["state_dict"]
        for version in (0, 2)
    )
    assert all(torch.equal(value, resumed[key]) for key, value in uninterrupted.items())


def children_of(process: int) -> list[int]:
    children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return [int(child) for child in children]


def wait_for(condition: object, seconds: float) -> None:
    assert callable(condition)
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


if sys.platform != "linux":
    pytest.skip("reads /proc", allow_module_level=True)
