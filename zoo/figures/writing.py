"""Every picture in three files: PNG to show, SVG to print, CSV with the numbers behind it."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from zoo.utils.environment import machine, versions
from zoo.utils.files import as_typed, atomic_path

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
"""Okabe and Ito's, which color-blind people can tell apart."""

Row = Sequence[str | int | float | None]


@dataclass(frozen=True)
class Sheet:
    """Where pictures go, and what is said of where their numbers come from.

    Args:
        folder: Made when absent.
        command: What makes the numbers again.
        seeds: Those of all that is random in them.
    """

    folder: Path
    command: str
    seeds: Sequence[int]

    def write(self, figure: Any, columns: Sequence[str], rows: Iterable[Row], name: str) -> None:
        """Write ``name.png``, ``name.svg`` and ``name.csv`` and say where.

        Args:
            figure: A `matplotlib.figure.Figure`.
            columns: The table's head.
            rows: The numbers that the figure shows.
            name: The files' name.

        Raises:
            UsageError: A file cannot be written.
        """
        for form in ("png", "svg"):
            with atomic_path(self.folder / f"{name}.{form}") as temporary:
                figure.savefig(temporary, format=form, dpi=120)
        path = self.folder / f"{name}.csv"
        with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
            file.writelines(f"# {line}\n" for line in self._origin())
            writer = csv.writer(file)
            writer.writerow(columns)
            # Seven digits are what single precision holds.
            writer.writerows([f"{value:.7g}" if isinstance(value, float) else value for value in row] for row in rows)
        print(f"Picture:    {as_typed(self.folder / name)}.png, .svg, .csv", flush=True)

    def write_images(
        self, images: Tensor, title: str, row_names: Sequence[str], column_names: Sequence[str], name: str
    ) -> None:
        """Draw images in rows and columns, dark where they are large, and write them as `write` does.

        Args:
            images: ``(R, C, 784)``; drawn from the smallest value, white, to the largest, black, or from 0 to 1 where
                they lie in between.
            title: What is shown.
            row_names: R names, or none.
            column_names: C names, or none.
            name: As in `write`.
        """
        from matplotlib.figure import Figure

        rows, columns, _ = images.shape
        pixels = images.detach().cpu()
        lowest, highest = min(0.0, float(pixels.min())), max(1.0, float(pixels.max()))
        figure = Figure(figsize=(0.62 * columns + (1.0 if row_names else 0.2), 0.62 * rows + 0.7), layout="constrained")
        figure.suptitle(title, fontsize=10)
        for place, axes in enumerate(figure.subplots(rows, columns, squeeze=False).flat):
            row, column = divmod(place, columns)
            axes.imshow(pixels[row, column].view(28, 28).numpy(), cmap="gray_r", vmin=lowest, vmax=highest)
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_color("0.8")
            if row_names and column == 0:
                axes.set_ylabel(row_names[row], fontsize=8, rotation=0, ha="right", va="center")
            if column_names and row == 0:
                axes.set_title(column_names[column], fontsize=8)
        table = (
            [row, column, *(round(pixel, 5) for pixel in pixels[row, column].tolist())]
            for row in range(rows)
            for column in range(columns)
        )
        self.write(figure, ["row", "column", *(f"pixel{number}" for number in range(784))], table, name)

    def _origin(self) -> Iterator[str]:
        yield f"command: {self.command}"
        yield f"seeds: {' '.join(map(str, self.seeds)) or 'none'}"
        yield f"versions: {', '.join(f'{package} {version}' for package, version in versions().items())}"
        here = machine()
        yield f"machine: {here['processor']}, cores {here['cores']}, threads {here['threads']}"


def read_table(path: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV that `Sheet.write` has written.

    Raises:
        OSError: It cannot be read.
    """
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(line for line in file if not line.startswith("#")))
