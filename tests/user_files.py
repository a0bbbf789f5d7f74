"""Files of a user's own digits, in each form that is read."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tests.helpers import idx_bytes

Part = tuple[NDArray[np.uint8], NDArray[np.uint8]]
"""Images ``(N, 28, 28)`` and labels ``(N,)``."""


def make_part(count: int, seed: int = 0) -> Part:
    """Return images that are easy to tell apart, of which none is the same when it is transposed."""
    generator = np.random.default_rng(seed)
    labels = generator.permutation(np.arange(count) % 10).astype(np.uint8)
    images = generator.integers(0, 40, (count, 28, 28), dtype=np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[2 * label : 2 * label + 6, 3:9] = 255
    return images, labels


def npz(folder: Path, train: Part, test: Part) -> Path:
    path = folder / "mnist.npz"
    np.savez_compressed(path, x_train=train[0], y_train=train[1], x_test=test[0], y_test=test[1])
    return path


def npz_of_floats(folder: Path, train: Part, test: Part) -> Path:
    (x_train, y_train), (x_test, y_test) = train, test
    arrays = {
        "x_train": (x_train / 255).astype(np.float32)[..., None],
        "x_test": np.asfortranarray((x_test / 255).astype(">f8").reshape(-1, 784)),
        "y_train": y_train.astype(np.int64)[:, None],
        "y_test": y_test.astype(np.float32),
    }
    np.savez(folder / "floats.npz", **arrays)  # type: ignore[arg-type]  # numpy takes a name for allow_pickle
    return folder / "floats.npz"


def npz_of_each_part(folder: Path, train: Part, test: Part) -> Path:
    for name, (images, labels) in (("train", train), ("test", test)):
        np.savez(folder / f"{name}.npz", images=images, labels=labels)
    return folder


def csv_text(part: Part, heading: bool = True, labels: bool = True, delimiter: str = ",", scale: float = 1) -> str:
    """Return the content of a CSV file like Kaggle's."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter)
    if heading:
        writer.writerow([*(["label"] if labels else []), *(f"pixel{index}" for index in range(784))])
    for image, label in zip(*part, strict=True):
        pixels = image.flatten().tolist() if scale == 1 else [round(level * scale, 5) for level in image.flatten()]
        writer.writerow([*([label] if labels else []), *pixels])
    return text.getvalue()


def kaggle(folder: Path, train: Part, test: Part) -> Path:
    (folder / "train.csv").write_text(csv_text(train))
    (folder / "test.csv").write_text(csv_text(test))
    return folder


def csv_of_other_programs(folder: Path, train: Part, test: Part) -> Path:
    with gzip.open(folder / "mnist_train.csv.gz", "wt") as file:
        file.write(csv_text(train, heading=False))
    rows = csv_text(test, delimiter=";", scale=1 / 255).splitlines()
    numbered = [f'"";{rows[0]}', *(f"{index};{row}" for index, row in enumerate(rows[1:]))]
    (folder / "mnist_test.csv").write_bytes(b"\xef\xbb\xbf" + "\r\n".join(numbered).encode())
    return folder


def write_idx(folder: Path, train: Part, test: Part, name: str, pack: Callable[[bytes], bytes] = bytes) -> None:
    """Write idx files under names such as ``{part}-{kind}s.idx{dimensions}-ubyte``."""
    folder.mkdir(parents=True, exist_ok=True)
    for part, arrays in (("train", train), ("t10k", test)):
        for kind, numbers in zip(("image", "label"), arrays, strict=True):
            path = folder / name.format(part=part, kind=kind, dimensions=numbers.ndim)
            path.write_bytes(pack(idx_bytes(numbers)))


def idx(folder: Path, train: Part, test: Part) -> Path:
    write_idx(folder, train, test, "{part}-{kind}s-idx{dimensions}-ubyte")
    return folder


def idx_with_a_point(folder: Path, train: Part, test: Part) -> Path:
    write_idx(folder, train, test, "{part}-{kind}s.idx{dimensions}-ubyte")
    return folder


def idx_where_mnist_lies(folder: Path, train: Part, test: Part) -> Path:
    write_idx(folder / "MNIST/raw", train, test, "{part}-{kind}s-idx{dimensions}-ubyte.gz", gzip.compress)
    return folder


def idx_of_several_sets(folder: Path, train: Part, test: Part) -> Path:
    for name in ("digits", "letters"):
        other = train if name == "digits" else (train[0][::-1], train[1])
        write_idx(folder, other, test, f"emnist-{name}-{{part}}-{{kind}}s-idx{{dimensions}}-ubyte.gz", gzip.compress)
    for path in folder.glob("*t10k*"):
        path.rename(str(path).replace("t10k", "test"))
    return folder / "emnist-digits-test-labels-idx1-ubyte.gz"


def write_pngs(folder: Path, part: Part) -> None:
    """Write ``folder/LABEL/NUMBER.png``."""
    for number, (image, label) in enumerate(zip(*part, strict=True)):
        path = folder / str(label) / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)


def mnist_png(folder: Path, train: Part, test: Part) -> Path:
    write_pngs(folder / "mnist_png/training", train)
    write_pngs(folder / "mnist_png/testing", test)
    return folder


def png_folders(folder: Path, train: Part, test: Part) -> Path:
    write_pngs(folder / "train", train)
    write_pngs(folder / "test", test)
    return folder


def parquet_table(part: Part, labels: bool = True) -> Any:
    """Return a table with the columns of the hub's."""
    import pyarrow

    cells = []
    for number, image in enumerate(part[0]):
        file = io.BytesIO()
        Image.fromarray(image).save(file, "PNG")
        cells.append({"bytes": file.getvalue(), "path": f"{number}.png"})
    columns: dict[str, Sequence[Any]] = {"image": cells}
    return pyarrow.table({**columns, **({"label": part[1].astype(np.int64)} if labels else {})})


def parquet(folder: Path, train: Part, test: Part) -> Path:
    import pyarrow.parquet

    (folder / "mnist").mkdir()
    half = len(train[0]) // 2
    pieces = {
        "train-00000-of-00002": (train[0][:half], train[1][:half]),
        "train-00001-of-00002": (train[0][half:], train[1][half:]),
        "test-00000-of-00001": test,
    }
    for name, part in pieces.items():
        pyarrow.parquet.write_table(parquet_table(part), folder / "mnist" / f"{name}.parquet")
    return folder


FORMS = {
    form.__name__: form
    for form in (
        *(npz, npz_of_floats, npz_of_each_part, kaggle, csv_of_other_programs, idx, idx_with_a_point),
        *(idx_where_mnist_lies, idx_of_several_sets, mnist_png, png_folders, parquet),
    )
}
"""Functions that write both parts of a data set into a folder and return what ``data_dir`` names."""
