"""Writing of figures: each as PNG, SVG and a CSV file with its data."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from zoo.utils.environment import machine, versions
from zoo.utils.files import MARKER, atomic_path, check_output, display_path
from zoo.utils.pictures import save_figure

Row = Sequence[str | int | float | None]


@dataclass(frozen=True)
class FigureWriter:
    """Writes figures to a folder, with the origin of their data in the head of the CSV file.

    Args:
        folder: The output folder, which is created if absent.
        command: The command that reproduces the figure.
        seeds: The seeds of the training runs and of the sampling. Empty where nothing is random.
    """

    folder: Path
    command: str
    seeds: Sequence[int]

    def check(self, names: Iterable[str]) -> None:
        """Check that the files of figures can be written, before they are drawn.

        Args:
            names: Names of the files, without extension.

        Raises:
            UsageError: As for `check_output`.
        """
        for name in names:
            for extension in ("png", "svg", "csv"):
                check_output(self.folder / f"{name}.{extension}")

    def write(self, figure: Any, columns: Sequence[str], rows: Iterable[Row], name: str) -> None:
        """Write ``name.png``, ``name.svg`` and ``name.csv``, and print their paths.

        Args:
            figure: A `matplotlib.figure.Figure`.
            columns: Column names of the CSV file.
            rows: The data that the figure shows.
            name: Name of the files, without extension.

        Raises:
            UsageError: A file cannot be written.
        """
        save_figure(figure, self.folder / f"{name}.png", "png")
        save_figure(figure, self.folder / f"{name}.svg", "svg")
        path = self.folder / f"{name}.csv"
        with (
            atomic_path(path) as temporary,
            temporary.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file,
        ):
            file.writelines(f"# {line}\n" for line in self._origin())
            writer = csv.writer(file)
            writer.writerow(columns)
            # Single precision has about seven significant digits.
            writer.writerows([f"{value:.7g}" if isinstance(value, float) else value for value in row] for row in rows)
        print(f"Picture:    {display_path(self.folder / name)}.png, .svg, .csv", flush=True)

    def write_images(
        self, images: Tensor, title: str, row_names: Sequence[str], column_names: Sequence[str], name: str
    ) -> None:
        """Draw a grid of images, large values dark, and write it as `write` does.

        Args:
            images: Grid of R rows and C columns, ``(R, C, 784)``. The grey scale runs from the minimum or 0, whichever
                is smaller (white), to the maximum or 1, whichever is larger (black).
            title: Title of the figure.
            row_names: R names, or empty for none.
            column_names: C names, or empty for none.
            name: Name of the files, without extension.

        Raises:
            UsageError: A file cannot be written.
        """
        from matplotlib.figure import Figure

        rows, columns, _ = images.shape
        pixels = images.detach().cpu()
        low, high = min(0.0, float(pixels.min())), max(1.0, float(pixels.max()))
        figure = Figure(figsize=(0.62 * columns + (1.0 if row_names else 0.2), 0.62 * rows + 0.7), layout="constrained")
        figure.suptitle(title, fontsize=10)
        for index, ax in enumerate(figure.subplots(rows, columns, squeeze=False).flat):
            row, column = divmod(index, columns)
            ax.imshow(pixels[row, column].view(28, 28).numpy(), cmap="gray_r", vmin=low, vmax=high)
            ax.set(xticks=[], yticks=[])
            ax.spines[:].set_color("0.8")
            if row_names and column == 0:
                ax.set_ylabel(row_names[row], fontsize=8, rotation=0, ha="right", va="center")
            if column_names and row == 0:
                ax.set_title(column_names[column], fontsize=8)
        table = (
            [row, column, *(round(pixel, 5) for pixel in pixels[row, column].tolist())]
            for row in range(rows)
            for column in range(columns)
        )
        self.write(figure, ["row", "column", *(f"pixel{number}" for number in range(784))], table, name)

    def _origin(self) -> Iterator[str]:
        """Yield the lines of the CSV file's head: the marker, command, seeds, package versions and machine."""
        yield MARKER
        yield f"command: {self.command}"
        yield f"seeds: {' '.join(map(str, self.seeds)) or 'none'}"
        yield f"versions: {', '.join(f'{package} {version}' for package, version in versions().items())}"
        hardware = machine()
        yield f"machine: {hardware['processor']}, cores {hardware['cores']}, threads {hardware['threads']}"


def read_table(path: Path) -> list[dict[str, str]]:
    """Read a CSV file written by `FigureWriter.write`.

    Returns:
        One dictionary per row, by column name.

    Raises:
        OSError: The file cannot be read.
    """
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(line for line in file if not line.startswith("#")))
