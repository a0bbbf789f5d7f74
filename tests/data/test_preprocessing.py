from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import zoo
from tests.drawn_digits import pictures
from zoo.data.preprocessing import BOX, MIDDLE, preprocess, read_digit
from zoo.inference.ensemble import Committee
from zoo.models import Classifier
from zoo.pretrained.evaluation import evaluate
from zoo.utils.errors import UsageError

Pixels = Any


def stroke(height: int = 120, width: int = 100, thickness: int = 12) -> Pixels:
    """A seven in black on white, uint8 ``(H, W)``."""
    page = np.full((height, width), 255, np.uint8)
    page[20 : 20 + thickness, 20:80] = 0
    for row in range(20, 100):
        column = int(74 - (row - 20) * 0.45)
        page[row, column - thickness // 2 : column + thickness // 2] = 0
    return page


def test_the_form_is_mnist_s() -> None:
    pixels = preprocess(stroke())
    assert (pixels.shape, pixels.dtype) == ((1, 28, 28), torch.float32)
    assert float(pixels.max()) == 1
    assert float(pixels.min()) == 0
    rows, columns = (pixels[0].sum(dim=axis).nonzero()[:, 0] for axis in (1, 0))
    assert max(int(places[-1] - places[0]) + 1 for places in (rows, columns)) == BOX
    index = torch.arange(28.0)
    down = float((pixels[0].sum(dim=1) * index).sum() / pixels.sum())
    right = float((pixels[0].sum(dim=0) * index).sum() / pixels.sum())
    assert abs(down - MIDDLE) <= 0.5
    assert abs(right - MIDDLE) <= 0.5


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
        "off centre",
        "ten times",
        "color",
        "float",
        "tensor",
        "channels first",
        "with gradients",
        "pale",
    ],
)
def test_size_place_polarity_and_contrast_do_not_matter(change: Any) -> None:
    difference = (preprocess(change(stroke())) - preprocess(stroke())).abs()
    assert float(difference.mean()) < 0.03


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "I;16", "I", "F", "HSV", "PA"])
def test_every_mode_of_a_picture_is_read_alike(mode: str) -> None:
    page = Image.fromarray(stroke())
    if mode == "I;16":
        page = Image.fromarray(stroke().astype(np.uint16) * 257)
    elif mode == "HSV":
        page = page.convert("RGB").convert("HSV")
    elif mode != "L":
        page = page.convert("RGB" if mode == "YCbCr" else "LA" if mode == "PA" else "L").convert(mode)
    difference = (preprocess(page) - preprocess(stroke())).abs()
    assert float(difference.mean()) < 0.02


@pytest.mark.parametrize("color", [(0, 0, 0), (255, 255, 255), (200, 30, 30)])
def test_ink_on_nothing_is_seen_whatever_its_colour(color: tuple[int, int, int]) -> None:
    transparent = np.zeros((120, 100, 4), np.uint8)
    transparent[..., :3] = color
    transparent[..., 3] = 255 - stroke()
    difference = (preprocess(transparent) - preprocess(stroke())).abs()
    assert float(difference.mean()) < 0.03


def test_a_digit_in_red_on_a_green_of_the_same_lightness_is_seen() -> None:
    ink = (255 - stroke())[..., None] / 255
    picture = (ink * np.array([200, 60, 60]) + (1 - ink) * np.array([30, 123, 60])).astype(np.uint8)
    assert float((preprocess(picture) - preprocess(stroke())).abs().mean()) < 0.03


def test_shadow_dust_and_a_frame_are_not_the_digit() -> None:
    page = stroke(240, 200).astype(np.float64)
    shadow = np.linspace(1, 0.55, 200)[None, :]
    spoilt = page * shadow
    spoilt[200:203, 150:153] = 0
    spoilt[:3] = spoilt[-3:] = 20
    spoilt[:, :3] = spoilt[:, -3:] = 20
    difference = (preprocess(spoilt.astype(np.uint8)) - preprocess(stroke(240, 200))).abs()
    assert float(difference.mean()) < 0.03


def test_a_thin_stroke_on_a_large_page_stays_bright() -> None:
    page = np.full((1000, 1000), 255, np.uint8)
    page[100:900, 498:502] = 0
    pixels = preprocess(page)
    assert float(pixels.sum()) > 25  # MNIST's thinnest ones have as much


def test_a_small_digit_in_a_large_picture_is_looked_at_closely() -> None:
    page = np.full((2000, 3000), 255, np.uint8)
    page[700:820, 400:500] = stroke()
    assert float((preprocess(page) - preprocess(stroke())).abs().mean()) < 0.03


def test_several_digits_are_noticed_and_one_in_two_strokes_is_not() -> None:
    pair = np.hstack([stroke(), stroke()])
    assert any("2 digits" in note for note in read_digit(pair).notes)
    page = np.full((120, 100), 255, np.uint8)
    page[10:60, 20:28] = page[52:60, 20:80] = 0  # a four whose strokes do not touch
    page[10:110, 84:92] = 0
    assert read_digit(page).notes == ()


def test_mnist_itself_stays_what_it_is() -> None:
    """The whole validation set, through a picture and back: as accurate as before, to two in a thousand."""
    data = zoo.MNISTDataModule(eval_batch_size=5000)
    data.setup("fit")
    model = zoo.load_pretrained("deep_relu_xavier")
    assert isinstance(model, Classifier)
    images, labels = next(iter(data.val_dataloader()))
    pages = ((1 - images[:1000, 0]) * 255).round().byte().numpy()
    again = torch.stack([preprocess(page) for page in pages])
    right = [int((model(each).argmax(dim=1) == labels[:1000]).sum()) for each in (images[:1000], again)]
    assert abs(right[0] - right[1]) <= 5
    assert evaluate(model, [(again, labels[:1000])]).images == 1000  # type: ignore[arg-type]


def test_the_zoo_reads_digits_that_are_not_from_mnist(capsys: pytest.CaptureFixture[str]) -> None:
    """The frozen hundred of `tests.drawn_digits`, by the mean probability of all members."""
    committee = Committee()
    named = list(pictures())
    labels = torch.tensor([label for _, label, _ in named])
    right = {}
    for centre in (True, False):
        images = torch.stack([preprocess(picture, centre) for _, _, picture in named])
        right[centre] = int((committee.ask(images).mean.argmax(dim=1) == labels).sum())
    with capsys.disabled():
        print(f"\n{right[True]} of {len(labels)} right, {right[False]} without centring")
    assert len(labels) == 100
    assert right[True] >= 85
    assert right[True] > right[False]


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
def test_what_is_no_picture_of_a_digit_is_refused(picture: Any, complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        preprocess(picture)


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    Path("empty.png").write_bytes(b"")
    Path("text.png").write_text("a seven")
    Path("program.png").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")
    Image.fromarray(stroke()).save("good.png")
    Path("cut.png").write_bytes(Path("good.png").read_bytes()[:60])
    Image.new("1", (10_000, 10_000)).save("huge.png")
    for name, complaint in {
        "empty.png": "it is empty",
        "text.png": "it is no picture, or damaged",
        "program.png": "it is no picture, or damaged",
        "cut.png": "it is no picture, or damaged",
        "huge.png": "at most 50 megapixels",
    }.items():
        with pytest.raises(UsageError, match=rf"{name}.*{complaint}"):
            preprocess(name)


def test_the_first_of_several_pictures_is_read_and_the_camera_s_turn_is_undone() -> None:
    first, second = Image.fromarray(stroke()), Image.fromarray(np.rot90(stroke()).copy())
    first.save("moving.gif", save_all=True, append_images=[Image.fromarray(255 - stroke())])
    digit = read_digit("moving.gif")
    assert any("several pictures" in note for note in digit.notes)
    assert float((digit.pixels - preprocess(stroke())).abs().mean()) < 0.02
    turned = Image.Exif()
    turned[0x0112] = 6  # the camera was held on its side
    second.save("photo.jpg", exif=turned, quality=95)
    assert float((preprocess("photo.jpg") - preprocess(stroke())).abs().mean()) < 0.03
    assert torch.equal(preprocess(Image.open("photo.jpg")), preprocess("photo.jpg"))
