from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.helpers import error_output
from zoo.cli import main
from zoo.figures import rbm
from zoo.figures.writing import read_table
from zoo.models import DBN, RBM
from zoo.runs.checkpoint import write_weights


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> Path:
    """The checkpoint of a small untrained RBM; few sampling steps, and a small DBN without pretraining."""
    monkeypatch.setattr(rbm, "STEPS", (0, 1, 5))
    monkeypatch.setattr(rbm, "make_dbn", lambda: DBN([6, 5], pretrain_epochs=1))
    monkeypatch.setattr(rbm, "DBN_STEPS", 3)
    model = RBM(num_hidden=20)
    write_weights(model, dict(model.hparams), Path("rbm.ckpt"))
    return Path("rbm.ckpt")


@pytest.mark.slow
def test_every_figure_is_written_as_png_svg_and_csv(quick: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["figures", "rbm", "--checkpoint", str(quick), "--output_dir", "pictures"]) == 0
    names = ("rbm_filters", "rbm_reconstructions", "rbm_samples", "dbn_samples")
    output = capsys.readouterr().out
    assert all(f"pictures/{name}.png" in output for name in names)
    assert "Training a deep belief net for the last picture: 2 epochs" in output
    written = sorted(path.name for path in Path("pictures").iterdir() if path.is_file())
    assert written == sorted(f"{name}.{extension}" for name in names for extension in ("csv", "png", "svg"))
    rows = read_table(Path("pictures/rbm_samples.csv"))
    assert len(rows) == 3 * 10
    assert all(0 <= float(rows[0][f"pixel{pixel}"]) <= 1 for pixel in range(784))


@pytest.mark.slow
def test_the_dbn_is_trained_once_and_what_was_not_written_by_the_zoo_stays(
    quick: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    figures = ["figures", "rbm", "--checkpoint", str(quick), "--output_dir", "pictures"]
    kept = Path("pictures/rbm/dbn-seed-0.ckpt")
    assert main(figures) == 0
    first, samples = kept.read_bytes(), read_table(Path("pictures/dbn_samples.csv"))
    capsys.readouterr()
    assert main(figures) == 0
    assert "Training" not in capsys.readouterr().out
    assert kept.read_bytes() == first
    assert read_table(Path("pictures/dbn_samples.csv")) == samples
    kept.write_text("of the user")
    assert "was not written by zoo" in error_output(figures, capsys)
    assert kept.read_text() == "of the user"


@pytest.mark.slow
def test_same_seed_gives_the_same_samples(quick: Path) -> None:
    for seed, folder in enumerate(("one", "two")):
        torch.manual_seed(seed)  # the RNG state before the command must not matter
        assert main(["figures", "rbm", "--checkpoint", str(quick), "--output_dir", folder]) == 0
    for name in ("rbm_samples", "dbn_samples"):
        assert read_table(Path(f"one/{name}.csv")) == read_table(Path(f"two/{name}.csv"))


def test_dbn_samples_are_pixel_probabilities() -> None:
    images = rbm.sample_dbn(DBN([6, 5]), torch.rand(7, 1, 28, 28), steps=3)
    assert images.shape == (7, 784)
    assert ((images >= 0) & (images <= 1)).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["rbn"], "did you mean rbm"),
        (["rbm", "--seed", "-1"], "--seed is -1"),
        (["rbm", "--checkpoint", "nowhere.ckpt"], "There is no checkpoint nowhere.ckpt"),
        ([], "arguments are required: NAME"),
    ],
)
def test_usage_error_is_one_line(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert message in error_output(["figures", *arguments], capsys)
