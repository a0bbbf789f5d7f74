"""The wheel works by itself: in a new environment, outside the repository and without a network."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

import zoo
from zoo.pretrained.registry import read_demonstrations

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new virtual environment with the zoo's wheel, and the dependencies of the current environment."""
    folder = tmp_path_factory.mktemp("wheel")
    source = Path(zoo.__file__).parent.parent
    build = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(folder)]
    subprocess.run([*build, str(source)], check=True)
    (wheel,) = folder.glob("*.whl")
    environment = folder / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)
    python = environment / "bin" / "python"
    # The dependencies take gigabytes, so a .pth file adds them to the path. It does not add the editable zoo.
    current_packages = sysconfig.get_path("purelib")
    (new_packages,) = environment.glob("lib/python*/site-packages")
    (new_packages / "dependencies.pth").write_text(current_packages + "\n")
    install = [sys.executable, "-m", "pip", "--python", str(python), "install", "-q", "--no-deps", "--no-index"]
    subprocess.run([*install, "--force-reinstall", str(wheel)], check=True)
    return environment


def run(environment: Path, *command: str) -> str:
    """Run a program of the environment, without network access where the system allows to disable it."""
    without_network = ["unshare", "--net"] if shutil.which("unshare") and os.geteuid() == 0 else []
    process = subprocess.run(
        [*without_network, str(environment / "bin" / command[0]), *command[1:]],
        env={"PATH": os.defpath, "HOME": os.getcwd(), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr
    return process.stdout


def test_pretrained_members_load_and_verify(installed: Path) -> None:
    program = "import zoo; print(zoo.__file__); names = zoo.list_models(pretrained=True); "
    program += "print([zoo.load_pretrained(name).training for name in names])"
    path, training_modes = run(installed, "python", "-c", program).splitlines()
    assert path.startswith(str(installed))
    assert training_modes == str([False] * len(zoo.list_models(pretrained=True)))
    pretrained = [*zoo.list_models(pretrained=True), *read_demonstrations()]
    assert run(installed, "zoo", "verify", "--all").count("  ok: ") == len(pretrained)


def test_fit_trains_a_member_by_name(installed: Path) -> None:
    short = ["--data.num_train", "1000", "--trainer.max_epochs", "1", "--trainer.accelerator", "cpu"]
    assert "Test set:" in run(installed, "zoo", "fit", "--config", "deep_relu_xavier", *short)
    assert Path("logs/deep_relu_xavier/version_0/checkpoints/last.ckpt").is_file()


USER_MODULE = """
from torch import Tensor, nn

from zoo.models import Classifier


class Tiny(Classifier):
    def __init__(self, units: int = 16, **training: object) -> None:
        super().__init__(**training)
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(784, units), nn.Tanh(), nn.Linear(units, 10))

    def forward(self, images: Tensor) -> Tensor:
        return self.net(images)
"""


def test_fit_trains_a_user_defined_network(installed: Path) -> None:
    Path("my_net.py").write_text(USER_MODULE)
    Path("tiny.yaml").write_text("model:\n  class_path: my_net.Tiny\n  init_args: {units: 8}\n")
    short = ["--data.num_train", "1000", "--trainer.max_epochs", "1", "--trainer.accelerator", "cpu"]
    output = run(installed, "zoo", "fit", "--config", "tiny.yaml", *short)
    assert output.startswith("tiny: 6,370 parameters")
    command = output.splitlines()[-1].removeprefix("Test it:    ").split()
    assert "Test set:" in run(installed, *command)
