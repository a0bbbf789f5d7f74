"""Reading of images from files, bytes, arrays and tensors, with and without transparency, as RGB colors."""

from __future__ import annotations

import io
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torch import Tensor

from zoo.utils.errors import UsageError

FORMATS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM", "ICO", "TGA", "MPO")
"""Raster formats only. For PostScript, Pillow would start an interpreter."""

MAX_PIXELS = 50_000_000
"""Larger images would take long to decode, and most of the memory of a small machine."""
WORKING_SIZE = 256
"""Images are downscaled to at most this size in pixels before they are analyzed."""


def open_picture(picture: Any, notes: list[str]) -> Image.Image:
    """Return an image as a PIL image, with its EXIF orientation applied.

    Args:
        picture: A path, the bytes of a file, a PIL image or an array of pixels, as for `zoo.preprocess`.
        notes: List to which a sentence is appended for everything unusual that the user should know.

    Raises:
        UsageError: It cannot be read, or is not an image.
    """
    if isinstance(picture, str | Path):
        return _decode(Path(picture), str(picture), notes)
    if isinstance(picture, bytes):
        return _decode(io.BytesIO(picture), "The picture", notes)
    if isinstance(picture, Image.Image):
        if 0 in picture.size:
            raise UsageError(f"A picture of {picture.size[0]} × {picture.size[1]} pixels shows nothing.")
        return ImageOps.exif_transpose(picture)
    if isinstance(picture, Tensor):
        picture = picture.detach().cpu()
        picture = picture.float() if picture.is_floating_point() else picture
    pixels = np.asarray(picture)
    if pixels.ndim == 3 and pixels.shape[0] in (1, 3, 4) and pixels.shape[2] not in (1, 3, 4):
        pixels = pixels.transpose(1, 2, 0)
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    if pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[2] not in (3, 4)) or 0 in pixels.shape:
        raise UsageError(f"Pixels of the shape {pixels.shape} are no picture: give (H, W), (H, W, C) or (C, H, W).")
    if not np.issubdtype(pixels.dtype, np.integer):
        if not np.isfinite(pixels).all() or pixels.min() < 0 or pixels.max() > 1:
            raise UsageError("Pixels that are no whole numbers must lie between 0 and 1.")
        pixels = (pixels * 255).round()
    if pixels.min() < 0 or pixels.max() > 255:
        raise UsageError("Pixels that are whole numbers must lie between 0 and 255.")
    return Image.fromarray(pixels.astype(np.uint8))


def _decode(source: Path | io.BytesIO, name: str, notes: list[str]) -> Image.Image:
    """Decode an image file or its bytes. Error messages refer to it as ``name``."""
    megapixels = MAX_PIXELS // 1_000_000
    if isinstance(source, Path) and os.path.exists(source) and not (source.is_file() or source.is_dir()):
        # Opening a pipe or a terminal would wait for another process or for the user.
        raise UsageError(f"{name} is {'a pipe' if source.is_fifo() else 'a device'}: name a file.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the limit below replaces Pillow's
            with Image.open(source, formats=FORMATS) as image:
                # JPEGs can be decoded at down to an eighth of their size, which is much faster.
                image.draft("RGB", (4 * WORKING_SIZE, 4 * WORKING_SIZE))
                if image.size[0] * image.size[1] > MAX_PIXELS:
                    raise UsageError(
                        f"{name} has {image.size[0]:,} × {image.size[1]:,} pixels: make it smaller, at most "
                        f"{megapixels} megapixels."
                    )
                if getattr(image, "n_frames", 1) > 1:
                    notes.append("It holds several pictures, and this is about the first.")
                return ImageOps.exif_transpose(image.copy())
    except UsageError:
        raise
    except FileNotFoundError:
        raise UsageError(f"There is no picture {name}.") from None
    except PermissionError:
        raise UsageError(f"{name} may not be read: change its permissions.") from None
    except IsADirectoryError:
        raise UsageError(f"{name} is a folder: name a picture.") from None
    except Image.DecompressionBombError:
        raise UsageError(f"{name} has too many pixels: make it smaller, at most {megapixels} megapixels.") from None
    except Exception as error:  # a damaged file can make a decoder raise anything
        size = source.stat().st_size if isinstance(source, Path) and os.path.isfile(source) else None
        size = len(source.getbuffer()) if isinstance(source, io.BytesIO) else size
        reason = "it is empty" if size == 0 else "it is no picture, or damaged"
        if isinstance(error, OSError) and error.errno:  # Pillow's own have none
            reason = os.strerror(error.errno)
        raise UsageError(f"{name} cannot be read as a picture: {reason}.") from error


def downscaled_colors(image: Image.Image) -> NDArray[np.floating[Any]]:
    """Return an image's colors ``(H, W, 3)`` in [0, 1], its longer side downscaled to at most `WORKING_SIZE` pixels."""
    if image.mode in ("I;16", "I;16B", "I;16L", "I", "F"):
        values = np.nan_to_num(np.asarray(image, dtype=np.float64))
        top = 65535.0 if values.max() > 255 else 255.0 if values.max() > 1 else 1.0
        image = Image.fromarray((values / top * 255).clip(0, 255).astype(np.uint8))
    if "A" in image.getbands() or "transparency" in image.info:
        image = _composite(image.convert("RGBA"))
    image = image.convert("RGB")
    image.thumbnail((WORKING_SIZE, WORKING_SIZE), Image.Resampling.BOX)
    return np.asarray(image, dtype=np.float32) / 255


def _composite(image: Image.Image) -> Image.Image:
    """Composite a transparent image on white, or on black if its opaque part is light."""
    alpha = np.asarray(image.getchannel("A"), dtype=np.float32)
    if alpha.min() == 255:
        return image
    light = np.asarray(image.convert("L"), dtype=np.float32)
    mean = float((light * alpha).sum() / max(float(alpha.sum()), 1.0))
    background = Image.new("RGBA", image.size, "white" if mean < 128 else "black")
    return Image.alpha_composite(background, image)
