"""A picture that shows itself in a notebook."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo.utils.files import write_bytes
from zoo.utils.pictures import figure_bytes


@dataclass(frozen=True)
class Picture:
    """A picture as PNG.

    A notebook shows it as the value of a cell. `save` writes it to a file.

    Args:
        png: The content of the PNG file.
        title: What it shows, in a few words.
    """

    png: bytes
    title: str

    @classmethod
    def of_figure(cls, figure: Any, title: str, dpi: int = 100) -> Picture:
        """Return a `matplotlib.figure.Figure` as a picture."""
        return cls(figure_bytes(figure, dpi), title)

    def save(self, path: str | Path) -> Path:
        """Write the picture to a PNG file and return its path.

        Raises:
            UsageError: The file cannot be written, or is not a picture of the zoo.
        """
        write_bytes(Path(path), self.png)
        return Path(path)

    def __repr__(self) -> str:
        return f"<{self.title}: a picture of {len(self.png) / 1024:,.0f} KiB; .save(FILE) writes it>"

    def _repr_png_(self) -> bytes:
        return self.png
