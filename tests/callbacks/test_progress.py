"""The progress bar of a training in a terminal: this test has one of its own."""

from __future__ import annotations

import os
import pty
import re
import signal
import sys
import threading

import pytest

from tests.helpers import SOURCE
from zoo.cli import main
from zoo.cli.trainer_checks import draw_seed
from zoo.utils.errors import UsageError

FIT = ["fit", "--config", "softmax", "--trainer.accelerator", "cpu", "--data.val_size", "100"]


def output_in_a_terminal(arguments: list[str], interrupt_at: str = "") -> tuple[str, int]:
    """Run a command in a pseudo-terminal of 100 columns, and return all that it shows, and its exit status.

    Args:
        arguments: The words after ``zoo``.
        interrupt_at: A text, once it was shown the command gets SIGINT.
    """
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ |= {"PYTHONPATH": str(SOURCE), "COLUMNS": "100", "OMP_NUM_THREADS": "1"}
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.execv(sys.executable, [sys.executable, "-m", "zoo", *arguments])
    shown = ""
    sent = False
    with open(terminal, "rb", buffering=0) as screen:
        while True:
            try:
                part = screen.read(4096)
            except OSError:  # the command has ended
                break
            if not part:
                break
            shown += part.decode(errors="replace")
            if interrupt_at and not sent and interrupt_at in shown:
                sent = True
                threading.Timer(0.3, os.kill, (pid, signal.SIGINT)).start()
    return shown, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.mark.slow
def test_the_bar_moves_often_and_to_the_end() -> None:
    network = ["--config", "residual_cnn", "--data.num_train", "3000", "--trainer.max_epochs", "1"]
    shown, status = output_in_a_terminal([*FIT, *network])
    assert status == 0, shown
    steps = [int(count) for count in re.findall(r"\| (\d+)/30 ", shown)]
    assert steps[-1] == 30
    assert len(set(steps)) >= 4


@pytest.mark.slow
def test_what_follows_an_interruption_has_a_line_of_its_own() -> None:
    shown, status = output_in_a_terminal([*FIT, "--trainer.max_epochs", "100"], interrupt_at="Epoch   2/100")
    assert status == 130, shown
    last = [line.rpartition("\r")[2] for line in shown.replace("\r\n", "\n").splitlines()][-2:]
    assert last[0].startswith("zoo: ")
    assert last[1].startswith("zoo: the same command with --ckpt_path last goes on from there.")
    assert shown.endswith("\r\n")


def test_a_training_that_stops_early_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    stopping = ["--trainer.callbacks", "EarlyStopping", "--trainer.callbacks.monitor", "val_loss"]
    stopping += ["--trainer.callbacks.patience", "1", "--model.lr", "1e-12", "--trainer.max_epochs", "9"]
    stopping += ["--trainer.callbacks.min_delta", "1"]
    words = ["--config", "softmax", "--data.num_train", "200", "--data.val_size", "200", "--trainer.accelerator", "cpu"]
    assert main(["fit", *words, *stopping]) == 0
    assert re.search(r"Stopped early: Monitored metric val_loss .*\. Best score: \d+\.\d+\.\n", capsys.readouterr().out)


def test_a_seed_is_drawn_or_none_is_set(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["fit", "--config", "softmax", "--data.num_train", "100", "--trainer.max_epochs", "1"]
    words += ["--trainer.accelerator", "cpu", "--trainer.limit_test_batches", "0"]
    for _ in range(2):
        assert main([*words, "--seed_everything", "true"]) == 0
    first, second = re.findall(r"seed (\d+)\n", capsys.readouterr().out)
    assert first != second
    assert main([*words, "--seed_everything", "false"]) == 0
    assert ", no seed\n" in capsys.readouterr().out


@pytest.mark.parametrize("variable", ["WORLD_SIZE", "SLURM_NTASKS"])
def test_processes_that_another_program_started_draw_no_seeds(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, "2")
    with pytest.raises(UsageError, match="each process would draw a seed of its own: give a number"):
        draw_seed()
    monkeypatch.setenv("LOCAL_RANK", "1")  # as Lightning starts them, after rank 0 has drawn
    monkeypatch.setenv("PL_GLOBAL_SEED", "7")
    assert draw_seed() == 7
