"""Picture files that ask for much work, or are of formats that are not read, end in a sentence at once."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, features

from tests.helpers import error_output
from tests.hostile_pictures import HOSTILE, encoded, jpeg_of_scans, png, tiff
from tests.read_files import read_in_a_process
from zoo.cli import main
from zoo.data.preprocessing import preprocess, read_digit
from zoo.utils.errors import UsageError

LARGE = {"mesh.png", "bits.png", "channels.png", "real.tif", "progressive.jpg", "canvas.webp"}
"""Files that take seconds to make or to read."""
QUICKLY_MADE = set(HOSTILE) - LARGE


@pytest.mark.parametrize("names", [QUICKLY_MADE, pytest.param(LARGE, marks=pytest.mark.slow)], ids=["quick", "large"])
def test_small_files_that_ask_for_much_work_take_little_time_and_memory(names: set[str]) -> None:
    Path("files").mkdir()
    for name in names:
        Path("files", name).write_bytes(HOSTILE[name][0]())
    results = read_in_a_process("pictures", "files")
    assert [result["name"] for result in results] == sorted(names)
    for result in results:
        expected = HOSTILE[result["name"]][1]
        assert (result["message"] is None) == (not expected), result
        assert expected in (result["message"] or ""), result


@pytest.mark.slow
def test_what_is_large_and_honest_is_read() -> None:
    page = np.full((3000, 3000), 255, np.uint8)
    page[500:2500, 1300:1700] = 0
    image = Image.fromarray(page)
    expected = preprocess(page)
    for content in (
        encoded(image, "PNG"),
        encoded(Image.fromarray(page.astype(np.uint16) * 257), "PNG"),
        encoded(Image.fromarray(page.astype(np.float32) / 255), "TIFF", compression="tiff_lzw"),
        encoded(image.convert("RGBA"), "PNG"),
        encoded(image.convert("P"), "GIF"),
        encoded(image.convert("RGB"), "JPEG", progressive=True),
        encoded(image.convert("RGB"), "WEBP", lossless=True, method=0),
    ):
        assert float((preprocess(content) - expected).abs().mean()) < 0.01


@pytest.mark.parametrize("shape", [(3000, 27), (27, 3000), (5000, 1), (1, 5000), (600, 2), (2, 600)])
def test_narrow_strips_are_read_or_refused(shape: tuple[int, int]) -> None:
    generator = np.random.default_rng(0)
    for _ in range(40):
        strip = np.full(shape, 255, np.uint8)
        top, left = (int(generator.integers(size)) for size in shape)
        strip[top : top + generator.integers(1, 200), left : left + generator.integers(1, 200)] = 0
        with contextlib.suppress(UsageError):
            assert read_digit(strip).pixels.isfinite().all()


def test_bad_pictures_do_not_end_the_run_over_their_folder(capsys: pytest.CaptureFixture[str]) -> None:
    Path("photographs").mkdir()
    for name in ("frames.tif", "strip.png", "pixels.png", "text.png"):
        Path("photographs", name).write_bytes(HOSTILE[name][0]())
    Path("photographs/zebra.png").write_bytes(Path("photographs/strip.png").read_bytes())
    assert main(["classify", "photographs", "--model", "softmax"]) == 2
    written = capsys.readouterr()
    assert [line.split()[0] for line in written.out.splitlines()] == [
        f"photographs/{name}" for name in ("frames.tif", "strip.png", "zebra.png")
    ]
    assert "2 of 5 files were passed over" in written.err.splitlines()[-1]


def test_first_of_many_frames_is_read_and_the_others_are_noted() -> None:
    for content in (tiff(2), tiff(20_000)):
        assert read_digit(content).notes == ("It holds several pictures, and this is about the first.",)
    assert read_digit(tiff(1)).notes == ()


@pytest.mark.parametrize(
    ("start", "name"),
    [
        (b"\0\0\0\x18ftypisom\0\0\2\0isomavc1", "a video"),
        (b'<svg xmlns="http://www.w3.org/2000/svg"/>', "an SVG drawing"),
        (b'\xef\xbb\xbf<?xml version="1.0"?>\n<!-- a seven -->\n<svg/>', "an SVG drawing"),
        ('<?xml version="1.0"?><svg/>'.encode("utf-16"), "an SVG drawing"),
        (b"<!DOCTYPE html><html>", "a web page"),
        (b"%PDF-1.7\n", "a PDF document"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "a PostScript file"),
        (b"\xc5\xd0\xd3\xc6" + bytes(26), "a PostScript file"),
        (b"8BPS\0\1", "a Photoshop picture"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "a JPEG 2000 picture"),
        (b"\0\0\1\0\1\0", "an icon (ICO)"),
        (b"PK\x03\x04", "a zip archive or an office document"),
        (b"\x93NUMPY\1\0", "a NumPy array"),
    ],
)
def test_formats_that_are_not_read_are_named(
    start: bytes, name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("subprocess.Popen", None)  # Pillow would start Ghostscript for PostScript
    Path("seven.png").write_bytes(start + bytes(2000))
    message = error_output(["classify", "seven.png", "--model", "softmax"], capsys)
    assert message == f"zoo: seven.png is {name}, which is not read here: save the picture as PNG or JPEG.\n"


def test_heic_is_read_with_the_extra() -> None:
    heif = pytest.importorskip("pillow_heif", reason="needs pillow-heif, which is in .[heic]")
    page = np.full((240, 200), 255, np.uint8)
    page[40:200, 90:112] = 0
    heif.register_heif_opener()
    content = encoded(Image.fromarray(page).convert("RGB"), "HEIF", quality=95)
    assert float((preprocess(content) - preprocess(page)).abs().mean()) < 0.02
    with pytest.raises(UsageError, match="damaged"):
        preprocess(content[:200])


@pytest.mark.slow
def test_heic_of_many_pixels_is_refused() -> None:
    pytest.importorskip("pillow_heif", reason="needs pillow-heif, which is in .[heic]").register_heif_opener()
    wide = encoded(Image.new("RGB", (8000, 4000)), "HEIF", quality=1)
    with pytest.raises(UsageError, match="at most 25 megapixels"):
        preprocess(wide)


@pytest.mark.parametrize("brands", [b"heic\0\0\0\0mif1heic", b"mif1\0\0\0\0mif1heic"])
def test_heic_is_named_with_its_extra_where_it_is_not_read(brands: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zoo.data.picture_formats.find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"is a HEIC picture, .*\[heic\].* or save the picture as PNG or JPEG"):
        preprocess(b"\0\0\0\x18ftyp" + brands + bytes(2000))


def test_avif_is_read_where_pillow_can_and_named_where_not(monkeypatch: pytest.MonkeyPatch) -> None:
    content = b"\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf" + bytes(100)
    reason = "damaged" if features.check("avif") else "is an AVIF picture"
    with pytest.raises(UsageError, match=reason):
        preprocess(content)
    monkeypatch.setattr("zoo.data.picture_formats.FORMATS", ("PNG",))
    with pytest.raises(UsageError, match="is an AVIF picture"):
        preprocess(content)


def test_scans_are_counted_in_the_first_image_only() -> None:
    page = np.full((60, 50), 255, np.uint8)
    page[10:50, 22:30] = 0
    honest = encoded(Image.fromarray(page), "JPEG", progressive=True)
    followed = honest + b"\xff\xda" * 1_000_000  # as telephones append a short film
    assert read_digit(followed).pixels.equal(read_digit(honest).pixels)
    commented = honest[:2] + (b"\xff\xfe\xff\xff" + b"\xff\xda" * 32_766 + b"\0") * 20 + honest[2:]
    assert read_digit(commented).pixels.equal(read_digit(honest).pixels)
    with pytest.raises(UsageError, match="is a JPEG of 406 scans"):
        preprocess(jpeg_of_scans(400, side=2000))


def test_damaged_orientation_does_not_hide_the_picture() -> None:
    page = np.full((60, 50), 255, np.uint8)
    page[10:50, 22:30] = 0
    image = Image.fromarray(page)
    for exif in (b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0" + bytes(200_000), b"Exif\0\0MM\0*\0\0\0\x08\xff\xff"):
        assert preprocess(encoded(image, "PNG", exif=exif)).equal(preprocess(page))


def test_paths_that_are_no_files_are_refused_unopened() -> None:
    os.mkfifo("pipe")
    for path, reason in {
        "pipe": "is a pipe",
        "/dev/zero": "is a device",
        ".": "is a folder",
        "missing": "There is no picture",
        "a" * 5000: "cannot be read: File name too long",
        "nul\0": "holds a NUL character",
    }.items():
        with pytest.raises(UsageError, match=reason):
            preprocess(path)


def test_file_that_is_too_large_is_refused_unread() -> None:
    with Path("large.png").open("wb") as file:
        file.write(png(9, 9))
        file.truncate(10 * 2**30)  # takes no room on the disk
    with pytest.raises(UsageError, match="has more than 256 MiB"):
        preprocess("large.png")


@pytest.mark.parametrize("pixels", [np.full((9, 9), "a"), np.full((9, 9), None), np.full((9, 9), 1j)])
def test_arrays_of_other_things_than_numbers_are_refused(pixels: Any) -> None:
    with pytest.raises(UsageError, match="are no picture"):
        preprocess(pixels)
