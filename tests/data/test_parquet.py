"""Parquet files of the hub's form, and others, which are refused in a sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.user_files import make_part, parquet_table
from zoo.data.parquet import read_parquet
from zoo.data.reading_errors import read_reported
from zoo.utils.errors import UsageError

pyarrow: Any = pytest.importorskip("pyarrow.parquet", reason="needs pyarrow, which is in .[parquet]")

PART = make_part(12)


def refused(table: Any, reason: str) -> None:
    pyarrow.write_table(table, "file.parquet")
    with pytest.raises(UsageError, match=rf"^file\.parquet cannot be read as data: .*{reason}"):
        read_reported(Path("file.parquet"), read_parquet, [Path("file.parquet")])


def test_labels_may_be_missing_and_pictures_stand_alone() -> None:
    table = parquet_table(PART, labels=False)
    alone = [cell["bytes"] for cell in table["image"].to_pylist()]
    for changed in (table, table.set_column(0, "img", [alone])):
        pyarrow.write_table(changed, "file.parquet", row_group_size=5)
        examples = read_parquet([Path("file.parquet")])
        assert np.array_equal(examples.images.numpy(), PART[0])
        assert examples.labels is None


def test_other_tables_are_refused() -> None:
    table = parquet_table(PART)
    refused(table.drop(["image"]), "it has the columns label, and none of the name image")
    refused(table.slice(0, 0), "it holds no rows")
    refused(table.set_column(0, "image", [["text"] * 12]), "its row 0 holds no bytes of a picture")
    refused(table.set_column(0, "image", [[b"damaged"] * 12]), "row 0.* cannot be read as a picture")
    refused(table.set_column(1, "label", [[10] * 12]), "its labels include 10")
    refused(table.set_column(1, "label", [["a"] * 12]), "its labels include other things than whole numbers")
    refused(table.set_column(1, "label", [[None] * 12]), "its labels include other things than whole numbers")


@pytest.mark.parametrize("cut", [8, 100, 500])
def test_damaged_files_are_refused(cut: int) -> None:
    pyarrow.write_table(parquet_table(PART), "file.parquet")
    content = Path("file.parquet").read_bytes()
    Path("file.parquet").write_bytes(content[:cut] + content[cut + 50 :])
    with pytest.raises(UsageError, match=r"file\.parquet cannot be read as data"):
        read_reported(Path("file.parquet"), read_parquet, [Path("file.parquet")])
