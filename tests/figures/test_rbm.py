from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.helpers import complaint
from zoo.cli import main
from zoo.figures import rbm
from zoo.figures.writing import read_table
from zoo.models import DBN, RBM
from zoo.runs.checkpoint import write_weights


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small machine, few steps, and a net that is not pre-trained."""
    monkeypatch.setattr(rbm, "STEPS", (0, 1, 5))
    monkeypatch.setattr(rbm, "pretrained_dbn", lambda data: DBN([6, 5]))
    model = RBM(num_hidden=20)
    write_weights(model, dict(model.hparams), Path("rbm.ckpt"))
    return Path("rbm.ckpt")


def test_every_picture_comes_in_three_files(quick: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["figures", "rbm", "--checkpoint", str(quick), "--output_dir", "pictures"]) == 0
    names = ("rbm_filters", "rbm_reconstructions", "rbm_samples", "dbn_samples")
    output = capsys.readouterr().out
    assert all(f"pictures/{name}.png" in output for name in names)
    found = sorted(path.name for path in Path("pictures").iterdir())
    assert found == sorted(f"{name}.{form}" for name in names for form in ("csv", "png", "svg"))
    rows = read_table(Path("pictures/rbm_samples.csv"))
    assert len(rows) == 3 * 10
    assert all(0 <= float(rows[0][f"pixel{pixel}"]) <= 1 for pixel in range(784))


@pytest.mark.slow
def test_the_same_seed_draws_the_same_numbers(quick: Path) -> None:
    for seed, folder in enumerate(("one", "two")):
        torch.manual_seed(seed)  # of whatever was done before
        assert main(["figures", "rbm", "--checkpoint", str(quick), "--output_dir", folder]) == 0
    for name in ("rbm_samples", "dbn_samples"):
        assert read_table(Path(f"one/{name}.csv")) == read_table(Path(f"two/{name}.csv"))


def test_a_dream_is_made_of_pixels() -> None:
    dreamt = rbm.dream(DBN([6, 5]), 7, steps=3)
    assert dreamt.shape == (7, 784)
    assert ((dreamt >= 0) & (dreamt <= 1)).all()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["rbn"], "did you mean rbm"),
        (["rbm", "--seed", "-1"], "--seed is -1"),
        (["rbm", "--checkpoint", "nowhere.ckpt"], "There is no checkpoint nowhere.ckpt"),
        ([], "arguments are required: NAME"),
    ],
)
def test_a_mistake_is_one_sentence(words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert sentence in complaint(["figures", *words], capsys)
