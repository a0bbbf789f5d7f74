from __future__ import annotations

import functools
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import zoo
from zoo.data import MNISTDataModule
from zoo.data.archives import stage
from zoo.pretrained import registry
from zoo.rbm.likelihood import measure_likelihood

MEMBERS = zoo.list_models()


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    stage(folder)
    return folder


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test runs in a folder of its own, on the staged archives, on one thread, from no seed but its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ZOO_DATA", str(data_dir))
    # What seed_everything leaves behind must not reach the next test.
    monkeypatch.delenv("PL_GLOBAL_SEED", raising=False)
    monkeypatch.delenv("PL_SEED_WORKERS", raising=False)
    monkeypatch.setattr("sys.argv", ["zoo"])
    # Two tests' threads on few cores wait for each other far longer than they work.
    torch.set_num_threads(1)
    torch.manual_seed(0)
    return tmp_path


@pytest.fixture
def test_batch(data_dir: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """The first 1,000 official test images and their labels."""
    data = MNISTDataModule(str(data_dir))
    data.setup("test")
    images, labels = next(iter(data.test_dataloader()))
    return images, labels


@pytest.fixture
def copied_zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The configs and checkpoints in a folder where a test may do them harm."""
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
    """Annealing in a few steps, which suits an RBM of a few hidden units."""
    quick = functools.partial(measure_likelihood, chains=50, temperatures=300)
    with pytest.MonkeyPatch.context() as patch:
        for module in ("zoo.models.rbm", "zoo.pretrained.verification"):
            patch.setattr(f"{module}.measure_likelihood", quick)
        yield
