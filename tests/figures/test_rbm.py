from __future__ import annotations

from pathlib import Path

import pytest
import torch

import zoo
from tests.helpers import error_output
from zoo.cli import main
from zoo.figures import rbm
from zoo.figures.writing import read_table
from zoo.models import RBM, GenerativeDBN
from zoo.runs.checkpoint import write_weights


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> Path:
    """The checkpoint of a small untrained RBM; few sampling steps."""
    monkeypatch.setattr(rbm, "STEPS", (0, 1, 5))
    monkeypatch.setattr(rbm, "DBN_STEPS", (1, 3))
    model = RBM(num_hidden=20)
    write_weights(model, dict(model.hparams), Path("rbm.ckpt"))
    return Path("rbm.ckpt")


@pytest.mark.slow
def test_every_figure_is_written_as_png_svg_and_csv(quick: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["figures", "rbm", "--checkpoint", str(quick), "--output_dir", "pictures"]) == 0
    names = ("rbm_filters", "rbm_reconstructions", "rbm_samples", "dbn_samples")
    output = capsys.readouterr().out
    assert all(f"pictures/{name}.png" in output for name in names)
    written = sorted(path.name for path in Path("pictures").iterdir() if path.is_file())
    assert written == sorted(f"{name}.{extension}" for name in names for extension in ("csv", "png", "svg"))
    rows = read_table(Path("pictures/rbm_samples.csv"))
    assert len(rows) == 3 * 10
    assert all(0 <= float(rows[0][f"pixel{pixel}"]) <= 1 for pixel in range(784))


@pytest.mark.slow
def test_same_seed_gives_the_same_samples(quick: Path) -> None:
    for seed, folder in enumerate(("one", "two")):
        torch.manual_seed(seed)  # the RNG state before the command must not matter
        assert main(["figures", "rbm", "--checkpoint", str(quick), "--output_dir", folder]) == 0
    for name in ("rbm_samples", "dbn_samples"):
        assert read_table(Path(f"one/{name}.csv")) == read_table(Path(f"two/{name}.csv"))


@pytest.mark.slow
def test_nearly_all_digits_drawn_by_the_dbn_are_read_as_what_was_asked_for() -> None:
    """Of 500 drawings 85 % were, and chance alone would give a tenth."""
    dbn, judge = zoo.load_pretrained("generative_dbn"), zoo.load_pretrained("residual_cnn")
    assert isinstance(dbn, GenerativeDBN)
    torch.manual_seed(0)
    labels = torch.arange(10).repeat(20)
    features = dbn.top.gibbs_given_labels(dbn.initial_features(200), labels, 300)
    read = judge(dbn.decode(features)).argmax(dim=1)
    assert int((read == labels).sum()) > 140


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
