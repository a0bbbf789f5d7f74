"""``zoo.figures.draw``: the figures in Python, which show themselves in a notebook."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zoo.figures.catalogue import FIGURES, FigureOptions
from zoo.figures.writing import FigureWriter, Row
from zoo.utils.denormals import denormals_given_back, flush_denormals
from zoo.utils.errors import UsageError, unknown_name
from zoo.utils.picture import Picture
from zoo.utils.table import Table

DPI = 100


@dataclass(frozen=True)
class DrawnFigure:
    """A figure, whose pictures a notebook shows.

    Args:
        pictures: Its pictures by name; most figures have one.
        tables: The numbers that each picture shows, by the same names.
    """

    pictures: dict[str, Picture]
    tables: dict[str, Table] = field(repr=False)

    def save(self, folder: str | Path) -> list[Path]:
        """Write each picture to ``folder/NAME.png`` and return the paths.

        Raises:
            UsageError: A file cannot be written, or is not a picture of the zoo.
        """
        return [picture.save(Path(folder) / f"{name}.png") for name, picture in self.pictures.items()]

    def __repr__(self) -> str:
        return "\n".join(map(repr, self.pictures.values()))

    def _repr_html_(self) -> str:
        images = []
        for name, picture in self.pictures.items():
            content = base64.b64encode(picture.png).decode()
            images.append(f'<img alt="{html.escape(name)}" src="data:image/png;base64,{content}">')
        return "<br>".join(images)


@dataclass(frozen=True)
class _Keeper(FigureWriter):
    """Keeps figures in place of writing them."""

    pictures: dict[str, Picture] = field(default_factory=dict)
    tables: dict[str, Table] = field(default_factory=dict)

    def write(self, figure: Any, columns: Sequence[str], rows: Iterable[Row], name: str) -> None:
        """Keep a figure and its table."""
        self.pictures[name] = Picture.of_figure(figure, f"The figure {name}", DPI)
        self.tables[name] = Table([dict(zip(columns, row, strict=True)) for row in rows])


def draw(
    name: str,
    *,
    model: str | Path = "dropout_batchnorm",
    picture: str | Path | None = None,
    seeds: int | None = None,
    seed: int = 0,
) -> DrawnFigure:
    """Draw a figure, as ``zoo figures NAME`` does, and return it without writing a file.

    >>> zoo.figures.draw("weights", model="softmax")

    A figure that trains networks shows its progress in a notebook or terminal, and may take minutes. ``rbm`` keeps the
    deep belief net that it trains in ``figures/rbm``.

    Args:
        name: The figure, a name in `zoo.figures.catalogue.FIGURES`. Curves of runs are those of `TrainingRun.plot`.
        model: For figures of a trained network: a member, or the path of a checkpoint.
        picture: For ``layers``: the file of a picture; None for a 7 of the test images.
        seeds: How many seeds each setting is trained with, where a figure trains; None for the figure's own number.
        seed: For ``xor`` and ``rbm``: the seed of all that is random.

    Raises:
        UsageError: There is no such figure or network. It is a `ValueError`.
    """
    if name not in FIGURES:
        raise unknown_name("figure", name, FIGURES)
    if seeds is not None and not 1 <= seeds <= 100:
        raise UsageError(f"seeds is {seeds}, but it must be 1 to 100.")
    figure = FIGURES[name]
    chosen = [seed] if figure.seeds == 1 else list(range(seeds or figure.seeds)) if figure.seeds else []
    keeper = _Keeper(Path("figures"), "zoo.figures.draw", chosen)
    with denormals_given_back():
        flush_denormals()
        figure.draw(keeper, FigureOptions(str(model), None if picture is None else Path(picture)))
    return DrawnFigure(keeper.pictures, keeper.tables)
