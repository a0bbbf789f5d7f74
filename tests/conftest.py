from __future__ import annotations

import functools
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import zoo
from tests.archives import SMALL
from zoo.cli import main
from zoo.data import MNISTDataModule, datasets
from zoo.data.archives import write_for_torchvision
from zoo.pretrained import registry
from zoo.rbm.likelihood import measure_likelihood

MEMBERS = zoo.list_models()

GPUS = "ZOO_TEST_GPUS"
"""Environment variable: what CUDA_VISIBLE_DEVICES was, or would have been, before the tests of the CPU hid the GPUs."""


def pytest_configure(config: pytest.Config) -> None:
    """Hide the GPUs from tests of the CPU, which would train on them; ``pytest -m gpu`` shows them.

    Signals have their usual effect: what `nohup` or a shell's `&` starts ignores some, and so would the programs that
    tests start.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    if "gpu" not in (config.option.markexpr or "").replace("not gpu", ""):
        os.environ.setdefault(GPUS, os.environ.get("CUDA_VISIBLE_DEVICES", ""))
        os.environ["CUDA_VISIBLE_DEVICES"] = ""


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with MNIST's decompressed files, where torchvision reads them."""
    folder = tmp_path_factory.mktemp("data")
    write_for_torchvision(folder)
    return folder


_read_mnist = functools.cache(datasets.read_mnist)


@pytest.fixture(autouse=True)
def decompress_once(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Decompress MNIST once for all tests but those of reading it: that takes a quarter of a short training."""
    if "tests/data/" not in str(request.path):
        monkeypatch.setattr(datasets, "read_mnist", lambda train: tuple(part.clone() for part in _read_mnist(train)))


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run every test in its own empty folder, without a data folder, with one thread and a fixed RNG state."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ZOO_DATA", str(tmp_path / "no-data"))
    # seed_everything sets these variables, which must not affect the next test.
    monkeypatch.delenv("PL_GLOBAL_SEED", raising=False)
    monkeypatch.delenv("PL_SEED_WORKERS", raising=False)
    monkeypatch.setattr("sys.argv", ["zoo"])
    # With several test processes on few cores, more threads spend most of their time waiting for each other.
    torch.set_num_threads(1)
    torch.manual_seed(0)
    return tmp_path


@pytest.fixture
def test_batch() -> tuple[torch.Tensor, torch.Tensor]:
    """The first 1,000 official test images and their labels."""
    data = MNISTDataModule()
    data.setup("test")
    images, labels = next(iter(data.test_dataloader()))
    return images, labels


@pytest.fixture
def copied_zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the configs and checkpoints, which a test may modify."""
    home = tmp_path / "home"
    for folder in ("configs", "checkpoints"):
        shutil.copytree(registry.root() / folder, home / folder)
    monkeypatch.setattr(registry, "root", lambda: home)
    registry.read_index.cache_clear()
    registry.read_demonstrations.cache_clear()
    yield home
    registry.read_index.cache_clear()
    registry.read_demonstrations.cache_clear()


@pytest.fixture(scope="module")
def quick_annealing() -> Iterator[None]:
    """Annealed importance sampling with few chains and temperatures, enough for an RBM with few hidden units."""
    quick_measurement = functools.partial(measure_likelihood, chains=50, temperatures=300)
    with pytest.MonkeyPatch.context() as patch:
        for module in ("zoo.models.rbm", "zoo.pretrained.verification"):
            patch.setattr(f"{module}.measure_likelihood", quick_measurement)
        yield


@pytest.fixture(scope="session")
def small_run(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint within the first epoch of a run of a small network over two."""
    folder = tmp_path_factory.mktemp("run")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("ZOO_DATA", str(data_dir))
        every_step = ["--checkpoint.every_n_train_steps", "1", "--checkpoint.save_top_k", "-1"]
        assert main(["fit", *SMALL, "--trainer.max_epochs", "2", *every_step]) == 0
    return folder / "logs/dropout_batchnorm/version_0/checkpoints/epoch=0-step=2.ckpt"
