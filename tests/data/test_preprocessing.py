from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import zoo
from tests.drawn_digits import pictures
from zoo.data.mnist_format import CENTER_OF_MASS, DIGIT_SIZE
from zoo.data.preprocessing import preprocess, read_digit
from zoo.inference.ensemble import Committee
from zoo.models import Classifier
from zoo.pretrained.evaluation import evaluate
from zoo.utils.errors import UsageError

Pixels = Any


def draw_seven(height: int = 120, width: int = 100, thickness: int = 12) -> Pixels:
    """A black seven on white, uint8 ``(H, W)``."""
    page = np.full((height, width), 255, np.uint8)
    page[20 : 20 + thickness, 20:80] = 0
    for row in range(20, 100):
        column = int(74 - (row - 20) * 0.45)
        page[row, column - thickness // 2 : column + thickness // 2] = 0
    return page


def test_result_has_mnist_s_format() -> None:
    pixels = preprocess(draw_seven())
    assert (pixels.shape, pixels.dtype) == ((1, 28, 28), torch.float32)
    assert float(pixels.max()) == 1
    assert float(pixels.min()) == 0
    rows, columns = (pixels[0].sum(dim=axis).nonzero()[:, 0] for axis in (1, 0))
    assert max(int(positions[-1] - positions[0]) + 1 for positions in (rows, columns)) == DIGIT_SIZE
    index = torch.arange(28.0)
    down = float((pixels[0].sum(dim=1) * index).sum() / pixels.sum())
    right = float((pixels[0].sum(dim=0) * index).sum() / pixels.sum())
    assert abs(down - CENTER_OF_MASS) <= 0.5
    assert abs(right - CENTER_OF_MASS) <= 0.5


@pytest.mark.parametrize(
    "change",
    [
        lambda page: 255 - page,
        lambda page: np.pad(page, ((200, 10), (30, 400)), constant_values=255),
        lambda page: np.asarray(Image.fromarray(page).resize((1000, 1200), Image.Resampling.BICUBIC)),
        lambda page: np.dstack([page] * 3),
        lambda page: (page / 255).astype(np.float64),
        lambda page: torch.from_numpy(page.copy()),
        lambda page: torch.from_numpy(page.copy()).unsqueeze(0),
        lambda page: torch.from_numpy(page / 255).bfloat16().requires_grad_(),
        lambda page: (90 + page / 4).astype(np.uint8),
    ],
    ids=[
        "white on black",
        "off center",
        "ten times",
        "color",
        "float",
        "tensor",
        "channels first",
        "with gradients",
        "pale",
    ],
)
def test_result_is_invariant_to_size_position_polarity_and_contrast(change: Any) -> None:
    difference = (preprocess(change(draw_seven())) - preprocess(draw_seven())).abs()
    assert float(difference.mean()) < 0.03


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "I;16", "I", "F", "HSV", "PA"])
def test_all_image_modes_give_the_same_result(mode: str) -> None:
    page = Image.fromarray(draw_seven())
    if mode == "I;16":
        page = Image.fromarray(draw_seven().astype(np.uint16) * 257)
    elif mode == "HSV":
        page = page.convert("RGB").convert("HSV")
    elif mode != "L":
        page = page.convert("RGB" if mode == "YCbCr" else "LA" if mode == "PA" else "L").convert(mode)
    difference = (preprocess(page) - preprocess(draw_seven())).abs()
    assert float(difference.mean()) < 0.02


@pytest.mark.parametrize("color", [(0, 0, 0), (255, 255, 255), (200, 30, 30)])
def test_digit_on_a_transparent_background_is_found_in_any_color(color: tuple[int, int, int]) -> None:
    transparent = np.zeros((120, 100, 4), np.uint8)
    transparent[..., :3] = color
    transparent[..., 3] = 255 - draw_seven()
    difference = (preprocess(transparent) - preprocess(draw_seven())).abs()
    assert float(difference.mean()) < 0.03


def test_red_digit_on_green_of_the_same_lightness_is_found() -> None:
    ink = (255 - draw_seven())[..., None] / 255
    picture = (ink * np.array([200, 60, 60]) + (1 - ink) * np.array([30, 123, 60])).astype(np.uint8)
    assert float((preprocess(picture) - preprocess(draw_seven())).abs().mean()) < 0.03


def test_shadow_dust_and_frame_are_removed() -> None:
    page = draw_seven(240, 200).astype(np.float64)
    shadow = np.linspace(1, 0.55, 200)[None, :]
    degraded = page * shadow
    degraded[200:203, 150:153] = 0
    degraded[:3] = degraded[-3:] = 20
    degraded[:, :3] = degraded[:, -3:] = 20
    difference = (preprocess(degraded.astype(np.uint8)) - preprocess(draw_seven(240, 200))).abs()
    assert float(difference.mean()) < 0.03


def test_thin_stroke_on_a_large_page_stays_bright() -> None:
    page = np.full((1000, 1000), 255, np.uint8)
    page[100:900, 498:502] = 0
    pixels = preprocess(page)
    assert float(pixels.sum()) > 25  # as much as MNIST's thinnest digits


def test_small_digit_in_a_large_image_is_read_at_full_resolution() -> None:
    page = np.full((2000, 3000), 255, np.uint8)
    page[700:820, 400:500] = draw_seven()
    assert float((preprocess(page) - preprocess(draw_seven())).abs().mean()) < 0.03


def test_several_digits_are_reported_but_separate_strokes_are_not() -> None:
    pair = np.hstack([draw_seven(), draw_seven()])
    assert any("2 digits" in note for note in read_digit(pair).notes)
    page = np.full((120, 100), 255, np.uint8)
    page[10:60, 20:28] = page[52:60, 20:80] = 0  # a four whose strokes do not touch
    page[10:110, 84:92] = 0
    assert read_digit(page).notes == ()


def test_preprocessing_of_mnist_keeps_the_accuracy() -> None:
    """Preprocessing 1,000 validation images changes the number of correct predictions by at most 5."""
    data = zoo.MNISTDataModule(eval_batch_size=5000)
    data.setup("fit")
    model = zoo.load_pretrained("deep_relu_xavier")
    assert isinstance(model, Classifier)
    images, labels = next(iter(data.val_dataloader()))
    pages = ((1 - images[:1000, 0]) * 255).round().byte().numpy()
    preprocessed = torch.stack([preprocess(page) for page in pages])
    correct = [int((model(each).argmax(dim=1) == labels[:1000]).sum()) for each in (images[:1000], preprocessed)]
    assert abs(correct[0] - correct[1]) <= 5
    assert evaluate(model, [(preprocessed, labels[:1000])]).images == 1000  # type: ignore[arg-type]


@pytest.mark.slow
def test_committee_classifies_digits_that_are_not_from_mnist(capsys: pytest.CaptureFixture[str]) -> None:
    """The 100 fixed images of `tests.drawn_digits`, classified by the mean probability of all members."""
    committee = Committee()
    named = list(pictures())
    labels = torch.tensor([label for _, label, _ in named])
    correct = {}
    for center in (True, False):
        images = torch.stack([preprocess(picture, center) for _, _, picture in named])
        correct[center] = int((committee.predict(images).mean.argmax(dim=1) == labels).sum())
    with capsys.disabled():
        print(f"\n{correct[True]} of {len(labels)} correct, {correct[False]} without centring")
    assert len(labels) == 100
    assert correct[True] >= 85
    assert correct[True] > correct[False]


@pytest.mark.parametrize(
    ("picture", "complaint"),
    [
        (np.full((50, 50), 255, np.uint8), "nothing in this picture that stands out"),
        (np.zeros((50, 50, 4), np.uint8), "nothing in this picture that stands out"),
        (np.full((1, 1), 7, np.uint8), "nothing in this picture that stands out"),
        (np.zeros((3, 4, 5, 6)), "are no picture"),
        (np.zeros((0, 5)), "are no picture"),
        (np.zeros((9, 9, 2)), "are no picture"),
        (np.full((9, 9), 2.5), "between 0 and 1"),
        (np.full((9, 9), np.nan), "between 0 and 1"),
        (np.full((9, 9), 300), "between 0 and 255"),
        ("nowhere.png", "There is no picture nowhere.png"),
        (".", "is a folder"),
    ],
)
def test_invalid_images_are_rejected(picture: Any, complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        preprocess(picture)


def test_unreadable_files_are_named(tmp_path: Path) -> None:
    Path("empty.png").write_bytes(b"")
    Path("text.png").write_text("a seven")
    Path("program.png").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    Image.fromarray(draw_seven()).save("good.png")
    Path("cut.png").write_bytes(Path("good.png").read_bytes()[:60])
    Image.new("1", (10_000, 10_000)).save("huge.png")
    for name, complaint in {
        "empty.png": "it is empty",
        "text.png": "it is no picture, or damaged",
        "program.png": "is a PostScript file",
        "cut.png": "it is no picture, or damaged",
        "huge.png": "at most 50 megapixels",
    }.items():
        with pytest.raises(UsageError, match=rf"{name}.*{complaint}"):
            preprocess(name)


def test_first_frame_is_read_and_exif_orientation_is_applied() -> None:
    first, second = Image.fromarray(draw_seven()), Image.fromarray(np.rot90(draw_seven()).copy())
    first.save("moving.gif", save_all=True, append_images=[Image.fromarray(255 - draw_seven())])
    digit = read_digit("moving.gif")
    assert any("several pictures" in note for note in digit.notes)
    assert float((digit.pixels - preprocess(draw_seven())).abs().mean()) < 0.02
    exif = Image.Exif()
    exif[0x0112] = 6  # EXIF orientation: rotated by 90°
    second.save("photo.jpg", exif=exif, quality=95)
    assert float((preprocess("photo.jpg") - preprocess(draw_seven())).abs().mean()) < 0.03
    assert torch.equal(preprocess(Image.open("photo.jpg")), preprocess("photo.jpg"))


def test_images_in_mnist_s_format_are_not_changed() -> None:
    """Also as negatives. Nearly all of MNIST has its digit in 20×20 pixels and its center of mass in the middle."""
    data = zoo.MNISTDataModule()
    data.setup("fit")
    images = data.splits["validation"].get_batch(range(1000))[0]
    unchanged = 0
    for image in images:
        levels = (image[0] * 255).round().byte().numpy()
        for picture in (levels, 255 - levels, np.dstack([levels] * 3)):
            unchanged += torch.equal(preprocess(picture), image)
    assert unchanged == 3000
