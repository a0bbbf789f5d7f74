"""What README and docs say can be typed: each command is run here with less to do, or it is said why not."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.test_documentation import COMMANDS, SOURCE, TEXTS
from tests.written_studies import write_study
from zoo.cli import main

TESTED_ELSEWHERE = {
    "COMMAND": "stands for any command",
    "demo": "tests/demo",
    "bench": "tests/benchmark",
    "push": "tests/pretrained/test_hub.py",
    "completion": "tests/cli/verbs/test_completion.py",
    "figures": "tests/figures, with little to train",
    "publish": "the section on a member of one's own, below",
    "study": "tests/cli/test_study.py",
    "reproduce": "tests/cli/verbs/test_reproduce.py",
    "fit --config demos/rbm": "tests/models/test_rbm.py",
    "verify --all": "tests/pretrained/test_loading.py",
}
"""The beginning of a command, and where it is tested."""
NEEDS = {
    "FIRST_MACHINE": "two machines",
    "trainer/": "a GPU or several, or a tracker (tests/cli/test_trackers.py)",
    "fashion_mnist": "a download",
    "mnist.npz": "a file of other programs (tests/cli/test_own_data.py)",
    "digit-recognizer": "files of other programs (tests/cli/test_own_data.py)",
    "wide": "the files of the section on a member of one's own, below",
}
"""A word of a command, and what it needs."""
SHORT = [
    "--data.num_train",
    "200",
    "--data.val_size",
    "200",
    "--trainer.max_epochs",
    "1",
    "--trainer.accelerator",
    "cpu",
]
SHOWS_HELP = ("--help", "--print_config", "--model.help", "--data.help")
"""The beginnings of flags with which nothing is trained."""
REPLACED = {
    "NAME": "dropout",
    "CONFIG": "dropout",
    "CLASS": "MLP",
    "FILE.ckpt": "logs/dropout/version_0/checkpoints/last.ckpt",
    "logs/NAME/version_N": "logs/dropout/version_0",
}
"""What a reader puts in place of a word."""


def reason_not_to_run(command: tuple[str, ...]) -> str | None:
    """Return where a command is tested or what it needs, or None if it is run here."""
    words = " ".join(command[1:])
    if len(command) == 2 and command[1] not in ("list", "compare"):
        return "is the name of a verb"
    elsewhere = (f"is tested in {place}" for start, place in TESTED_ELSEWHERE.items() if words.startswith(start))
    return next(elsewhere, None) or next((f"needs {need}" for word, need in NEEDS.items() if word in words), None)


def shortened(command: tuple[str, ...]) -> list[str]:
    """Return the words after ``zoo``, with names in place of placeholders and little to train."""
    words = [REPLACED.get(word, word) for word in command[1:]]
    if words[0] != "fit" or any(word.startswith(SHOWS_HELP) for word in words):
        return words
    config = words[words.index("--config") + 1] if "--config" in words else ""
    epochs = ["--trainer.max_epochs", "1", "--trainer.accelerator", "cpu"]
    if "xor" in config or "image_folder" in config:
        return [*words, *epochs]
    if "dbn" in config:
        small = ["--model.hidden_sizes", "[8, 8]", "--model.pretrain_epochs", "0"]
        return [*words, *small, "--data.unlabelled_epochs", "0", "--data.num_train", "100", *epochs]
    return [*words, *(SHORT[2:] if "--data.num_train" in words else SHORT)]


CLASSES = [f"pictures/{label}/{number}.png" for label in "abcd" for number in range(20)]
ALL = list(dict.fromkeys(map(tuple, COMMANDS)))  # each once, in however many pages and languages it stands
RUN = [command for command in ALL if reason_not_to_run(command) is None]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what a reader has who followed the pages: pictures, runs and a study."""
    folder = tmp_path_factory.mktemp("reader")
    page = np.full((60, 60), 255, np.uint8)
    page[10:14, 15:40] = page[10:50, 36:40] = 0
    for name in ("seven.png", "new.png", "photographs/first.png", *CLASSES):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.roll(page, len(name) % 7, axis=0)).save(folder / name)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_study(Path("studies/dropout"), [180, 190, 185])
        for name, count in (("dropout", 2), ("deep_relu_xavier", 1)):
            for seed in range(count):
                assert main(["fit", "--config", name, "--seed_everything", str(seed), *SHORT]) == 0
        pictures = ["--data.data_dir", "pictures", "--model.num_classes", "4"]
        assert main(["fit", "--config", "demos/image_folder", *pictures, "--trainer.max_epochs", "1"]) == 0
    return folder


def test_most_commands_are_run_here() -> None:
    assert len(RUN) > 50
    assert len(RUN) > len(ALL) / 2


@pytest.mark.slow
@pytest.mark.parametrize("command", RUN, ids=" ".join)
def test_a_documented_command_works(
    command: tuple[str, ...], place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(place)
    if "--trainer.devices" in command:  # which starts further processes by the command line of the first
        words = [sys.executable, "-m", "zoo", *shortened(command)]
        subprocess.run(words, env={**os.environ, "PYTHONPATH": str(SOURCE)}, check=True, capture_output=True)
        return
    shows_help = any(word.startswith(SHOWS_HELP) for word in command)
    try:
        status: object = main(shortened(command))
    except SystemExit as ended:
        if not shows_help:
            raise
        status = ended.code or 0
    assert status == 0, capsys.readouterr().err


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


PYTHON = [
    pytest.param(block, id=f"{path.name} {number}")
    for path, text in TEXTS.items()
    if path.name != "train.md"  # a part of the section on a member of one's own, below
    and not path.name.endswith(".ko.md")  # which have the same code: tests/docs/test_korean_pages.py
    for number, block in enumerate(blocks(text, "python"), start=1)
]


@pytest.mark.slow
@pytest.mark.parametrize("block", PYTHON)
def test_documented_python_works(block: str, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    for format_name in ("onnx", "safetensors"):
        if f"dropout.{format_name}" in block:
            assert main(["export", "dropout", "--format", format_name]) == 0
    exec(compile(block, "a page", "exec"), {})


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_section_on_a_member_of_ones_own_works_as_printed(tmp_path: Path) -> None:
    section = TEXTS[SOURCE / "docs" / "train.md"].partition("\n## Add a member\n")[2]
    (module,), (config,), (commands,) = (blocks(section, language) for language in ("python", "yaml", "bash"))
    clone = tmp_path / "clone"
    for name in ("zoo", "configs", "checkpoints", "tests", "docs"):
        shutil.copytree(SOURCE / name, clone / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(SOURCE / name, clone)
    (clone / "zoo/models/wide.py").write_text(module)
    # One epoch in place of 15 on a few images; nothing else is changed.
    assert "batch_size: 100\n" in config
    assert "max_epochs: 15\n" in config
    shorter = config.replace("batch_size: 100\n", "batch_size: 100\n    num_train: 500\n")
    (clone / "configs/wide.yaml").write_text(shorter.replace("max_epochs: 15\n", "max_epochs: 1\n"))
    functions = 'zoo() { "$PYTHON" -m zoo "$@"; }\npytest() { "$PYTHON" -m pytest "$@"; }\nset -e\n'
    completed = subprocess.run(
        ["bash", "-c", functions + commands],
        cwd=clone,
        env={**os.environ, "PYTHON": sys.executable, "PYTHONPATH": str(clone)},
        capture_output=True,
        text=True,
    )
    assert completed.returncode == 0, completed.stdout + completed.stderr
    assert re.search(r"^wide +ok:", completed.stdout, flags=re.MULTILINE), completed.stdout
