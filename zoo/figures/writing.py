"""Every picture in three files: PNG to show, SVG to print, CSV with the numbers behind it."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from zoo.files import as_typed, atomic_path

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
"""Okabe and Ito's, which colour-blind people can tell apart."""

Row = Sequence[str | int | float | None]


def write(figure: Any, columns: Sequence[str], rows: Iterable[Row], folder: Path, name: str) -> None:
    """Write ``name.png``, ``name.svg`` and ``name.csv`` and say where.

    Args:
        figure: A `matplotlib.figure.Figure`.
        columns: The table's head.
        rows: The numbers that the figure shows.
        folder: Made when absent.
        name: The files' name.

    Raises:
        UsageError: A file cannot be written.
    """
    for form in ("png", "svg"):
        with atomic_path(folder / f"{name}.{form}") as temporary:
            figure.savefig(temporary, format=form, dpi=120)
    with atomic_path(folder / f"{name}.csv") as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(rows)
    print(f"Picture:    {as_typed(folder / name)}.png, .svg, .csv", flush=True)


def write_images(
    images: Tensor, title: str, row_names: Sequence[str], column_names: Sequence[str], folder: Path, name: str
) -> None:
    """Draw images in rows and columns, dark where they are large, and write them as `write` does.

    Args:
        images: ``(R, C, 784)``; drawn from the smallest value, white, to the largest, black, or from 0 to 1 where
            they lie in between.
        title: What is shown.
        row_names: R names, or none.
        column_names: C names, or none.
        folder: As in `write`.
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
    write(figure, ["row", "column", *(f"pixel{number}" for number in range(784))], table, folder, name)
