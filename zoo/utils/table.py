"""A small table that shows itself in a notebook and prints in a terminal."""

from __future__ import annotations

import html
import importlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, overload

from zoo.utils.printable import printable

Value = str | int | float | None


class Table(Sequence[dict[str, Value]]):
    """Rows of values by the names of their columns.

    >>> table = Table([{"epoch": 1, "val_acc": 0.95}, {"epoch": 2, "val_acc": 0.97}])
    >>> table[-1]["val_acc"]
    0.97
    >>> table["val_acc"]
    [0.95, 0.97]

    Args:
        rows: The rows. A value that a row lacks is None.
        digits: Digits of a number after the point, where a column holds numbers that are not whole.
    """

    def __init__(self, rows: Sequence[Mapping[str, Value]], digits: int = 4) -> None:
        self.columns = list(dict.fromkeys(name for row in rows for name in row))
        self._rows = [{name: row.get(name) for name in self.columns} for row in rows]
        self._digits = digits

    @overload
    def __getitem__(self, place: int) -> dict[str, Value]: ...
    @overload
    def __getitem__(self, place: slice) -> list[dict[str, Value]]: ...
    @overload
    def __getitem__(self, place: str) -> list[Value]: ...
    def __getitem__(self, place: int | slice | str) -> Any:
        """Return a row, some rows, or by a name the values of a column."""
        if isinstance(place, str):
            if place not in self.columns:
                raise KeyError(f"{place!r} is no column; the columns are {', '.join(self.columns)}")
            return [row[place] for row in self._rows]
        return self._rows[place]

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[dict[str, Value]]:
        return iter(self._rows)

    def to_pandas(self) -> Any:
        """Return the table as a `pandas.DataFrame`.

        Raises:
            ImportError: pandas is not installed.
        """
        pandas = importlib.import_module("pandas")
        return pandas.DataFrame(self._rows, columns=self.columns)

    def __repr__(self) -> str:
        cells = [self.columns, *([self._text(value) for value in row.values()] for row in self._rows)]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        numeric = [all(isinstance(value, int | float | None) for value in self[name]) for name in self.columns]
        lines = [
            "  ".join(
                f"{cell:{'>' if is_number else '<'}{width}}"
                for cell, width, is_number in zip(row, widths, numeric, strict=True)
            ).rstrip()
            for row in cells
        ]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{html.escape(printable(name))}</th>" for name in self.columns)
        rows = "".join(
            f"<tr>{''.join(f'<td>{html.escape(self._text(value))}</td>' for value in row.values())}</tr>"
            for row in self._rows
        )
        return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"

    def _text(self, value: Value) -> str:
        if value is None:
            return ""
        return f"{value:.{self._digits}f}" if isinstance(value, float) else printable(str(value))
