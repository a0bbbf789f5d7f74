"""Colors of figures, and saving of figures and images with the marker by which the zoo knows its own files."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from zoo.utils.files import MARKER, atomic_path

if TYPE_CHECKING:
    from PIL.Image import Image

COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
"""The palette of Okabe and Ito, whose colors are distinct with color blindness too."""


def save_figure(figure: Any, path: Path, file_format: Literal["png", "svg"] = "png", dpi: int = 120) -> None:
    """Write a figure.

    Args:
        figure: A `matplotlib.figure.Figure`.
        path: The file.
        file_format: Its format.
        dpi: Dots per inch.

    Raises:
        UsageError: As for `atomic_path`.
    """
    metadata = {"png": {"Software": MARKER}, "svg": {"Creator": MARKER}}[file_format]
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format=file_format, dpi=dpi, metadata=metadata)


def figure_bytes(figure: Any, dpi: int = 120) -> bytes:
    """Return a figure as the content of a PNG file, which `zoo.utils.files.write_bytes` may write and replace.

    Args:
        figure: A `matplotlib.figure.Figure`.
        dpi: Dots per inch.
    """
    output = io.BytesIO()
    figure.savefig(output, format="png", dpi=dpi, metadata={"Software": MARKER})
    return output.getvalue()


def save_image(image: Image, path: Path) -> None:
    """Write an image as PNG.

    Raises:
        UsageError: As for `atomic_path`.
    """
    from PIL.PngImagePlugin import PngInfo

    metadata = PngInfo()
    metadata.add_text("Software", MARKER)
    with atomic_path(path) as temporary:
        image.save(temporary, format="png", pnginfo=metadata)
