"""A user's own digits in every form that people have them in: found, read as they are, and never replaced by MNIST."""

from __future__ import annotations

import os
import pickle
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from pytorch_lightning import Trainer

import zoo
from tests import user_files
from tests.helpers import idx_bytes, snapshot
from tests.user_files import FORMS, Part, make_part
from zoo import MNISTDataModule
from zoo.utils.errors import UsageError

TRAIN, TEST = make_part(60), make_part(30, seed=1)


@pytest.fixture(params=FORMS)
def form(request: pytest.FixtureRequest) -> Callable[[Path, Part, Part], Path]:
    if request.param == "parquet":
        pytest.importorskip("pyarrow", reason="needs pyarrow, which is in .[parquet]")
    return FORMS[request.param]


def load(path: Path | str, **arguments: Any) -> MNISTDataModule:
    data = MNISTDataModule(str(path), **{"val_size": 10, **arguments})
    data.prepare_data()
    data.setup()
    return data


def make_folder() -> Path:
    folder = Path("own")
    folder.mkdir()
    return folder


def training_images(data: MNISTDataModule) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Return all images that are not for the test, and their labels, in one order for all forms."""
    images, labels = (
        torch.cat([getattr(data.splits[name], part) for name in ("validation", "train")]).numpy()
        for part in ("images", "labels")
    )
    return in_order(images, labels)


def in_order(images: np.ndarray[Any, Any], labels: np.ndarray[Any, Any]) -> tuple[Any, Any]:
    order = sorted(range(len(labels)), key=lambda index: images[index].tobytes())
    return images[order], labels[order]


def test_every_form_is_read_as_it_is_and_left_as_it_is(
    form: Callable[[Path, Part, Part], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    path = form(make_folder(), TRAIN, TEST)
    before = snapshot(Path())
    data = load(path)
    for found, expected in zip(training_images(data), in_order(*TRAIN), strict=True):
        assert np.array_equal(found, expected)
    test = data.splits["test"]
    for found, expected in zip(in_order(test.images.numpy(), test.labels.numpy()), in_order(*TEST), strict=True):
        assert np.array_equal(found, expected)
    output = capsys.readouterr().out
    counts = " ".join(["6"] * 10)
    assert f"60 training images of 28 × 28 pixels, 0 to {'1' if 'floats' in str(path) else '255'}; of the" in output
    assert f"of the digits 0 to 9 {counts}" in output
    assert "30 test images" in output
    assert snapshot(Path()) == before


def test_a_spawned_process_gets_what_was_read_or_reads_it(form: Callable[[Path, Part, Part], Path]) -> None:
    data = MNISTDataModule(str(form(make_folder(), TRAIN, TEST)), val_size=10)
    for prepare in (data._own_files.find, data.prepare_data):  # it is sent after either
        prepare()
        sent = pickle.loads(pickle.dumps(data))
        sent.setup()
        assert (len(sent.splits["train"]), len(sent.splits["test"])) == (50, 30)


def test_rows_are_those_of_the_file() -> None:
    data = load(user_files.npz(make_folder(), TRAIN, TEST), with_indices=True)
    images, _, rows = next(iter(data.train_dataloader()))
    assert torch.equal((images[:, 0] * 255).round().byte(), torch.from_numpy(TRAIN[0])[rows])
    assert data.splits["test"].rows.tolist() == list(range(30))


def test_transpose_swaps_rows_and_columns() -> None:
    transposed = [(images.transpose(0, 2, 1), labels) for images, labels in (TRAIN, TEST)]
    data = load(user_files.idx(make_folder(), *transposed), transpose=True)
    assert np.array_equal(data.splits["test"].images.numpy(), TEST[0])
    assert np.array_equal(data.splits["validation"].images.numpy(), TRAIN[0][:10])


@pytest.mark.parametrize("kind", ["npz", "csv", "pictures"])
def test_data_that_lies_class_by_class_is_mixed_before_the_validation_images_are_taken(kind: str) -> None:
    images, labels = TRAIN
    order = np.argsort(labels, kind="stable")
    forms = {"npz": user_files.npz, "csv": user_files.kaggle, "pictures": user_files.png_folders}
    data = load(forms[kind](make_folder(), (images[order], labels[order]), TEST), val_size=30)
    assert len(data.splits["validation"].labels.unique()) > 5
    for split in ("validation", "train"):
        found = data.splits[split]
        if kind != "pictures":  # whose order is another one
            assert np.array_equal(found.images.numpy(), images[order][found.rows.numpy()])
        assert np.array_equal(found.labels.numpy(), labels[order][found.rows.numpy()])


@pytest.mark.parametrize("labelled", [True, False])
def test_a_single_file_is_what_it_is_asked_for(labelled: bool) -> None:
    Path("digits.csv").write_text(user_files.csv_text(TEST, labels=labelled))
    data = MNISTDataModule("digits.csv", val_size=10)
    data.setup("predict")
    assert np.array_equal(data.splits["test"].images.numpy(), TEST[0])
    assert set(data.splits["test"].labels.tolist()) == (set(range(10)) if labelled else {-1})
    if labelled:
        data = load("digits.csv")
        assert len(data.splits["train"]) == 20
        assert not list(data.test_dataloader())  # not the images that it is trained on
    else:
        with pytest.raises(UsageError, match=r"training images in digits\.csv have no labels"):
            MNISTDataModule("digits.csv").setup("fit")


@pytest.mark.parametrize("name", ["digits.csv", "."])
def test_the_test_at_the_end_of_a_training_in_other_processes_takes_no_training_images(name: str) -> None:
    """Spawned processes train, and the process that evaluates has not loaded the training images."""
    Path("digits.csv").write_text(user_files.csv_text(TEST))
    if name == ".":
        Path("digits.csv").rename("train.csv")
        Path("test.csv").write_text(user_files.csv_text(TEST, labels=False))
    data = MNISTDataModule(name, val_size=10)
    data.command = "fit"
    Trainer(logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False).test(
        zoo.create_model("softmax"), data, verbose=False
    )
    assert not list(data.test_dataloader())


def test_test_set_without_labels_is_predicted_and_not_tested() -> None:
    folder = user_files.kaggle(make_folder(), TRAIN, TEST)
    (folder / "test.csv").write_text(user_files.csv_text(TEST, labels=False))
    (folder / "sample_submission.csv").write_text("ImageId,Label\n1,0\n")
    data = load(folder)
    assert not list(data.test_dataloader())
    images, labels, rows = next(iter(data.predict_dataloader()))
    assert (len(images), labels.tolist(), rows.tolist()) == (30, [-1] * 30, list(range(30)))


def test_pictures_without_labels_are_in_the_order_of_their_numbers() -> None:
    folder = user_files.png_folders(make_folder(), TRAIN, TEST)
    shutil.rmtree(folder / "test")
    (folder / "test").mkdir()
    for number in (10, 9, 1):
        shutil.copy(next((folder / "train/3").iterdir()), folder / "test" / f"img_{number}.png")
    data = load(folder)
    assert [path.name for path in data.files] == ["img_1.png", "img_9.png", "img_10.png"]
    assert data.splits["test"].labels.tolist() == [-1] * 3


def test_more_test_than_training_images_are_pointed_out(capsys: pytest.CaptureFixture[str]) -> None:
    load(user_files.npz(make_folder(), TEST, TRAIN))
    sentence = "has 30 training images and 60 test images: if the files are swapped, rename them."
    assert capsys.readouterr().out.count(sentence) == 1


def test_what_is_not_read_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    folder = user_files.png_folders(make_folder(), TRAIN, TEST)
    (folder / "train/3/0.png").write_text("no picture")
    (folder / "notes\n.txt").write_text("mine")
    data = load(folder)
    captured = capsys.readouterr()
    assert r"not read: notes\n.txt" in captured.out
    assert "train/3/0.png cannot be read as a picture" in captured.err
    assert len(data.splits["train"]) in (49, 50)


def empty_folder() -> str:
    make_folder()
    return "own"


def named_sets() -> str:
    user_files.write_idx(make_folder() / "KMNIST/raw", TRAIN, TEST, "{part}-{kind}s-idx{dimensions}-ubyte")
    return "own"


@pytest.mark.parametrize("make", [empty_folder, named_sets, lambda: "missing"])
def test_where_no_data_of_the_users_is_mnist_is_read_and_said_to_be(
    make: Callable[[], str], capsys: pytest.CaptureFixture[str]
) -> None:
    path = make()
    assert len(load(path).splits["test"]) == 10_000
    assert capsys.readouterr().out == f"{path} holds no data of your own, so the data is MNIST.\n"
    with pytest.raises(UsageError, match=f"There is no data in {path}"):
        load(path, dataset="own")


def text(content: str = "words", name: str = "notes.txt") -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_text(content)


def idx_file(name: str, numbers: np.ndarray[Any, Any]) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(idx_bytes(numbers))


def labels_in_two_files(folder: Path) -> None:
    user_files.idx(folder, TRAIN, TEST)
    idx_file("train-labels-idx2-int", TRAIN[1][:, None])(folder)


def several(folder: Path) -> None:
    user_files.npz(folder, TRAIN, TEST)
    user_files.idx(folder, TRAIN, TEST)


def in_two_folders(folder: Path) -> None:
    for name in ("one", "two"):
        (folder / name).mkdir()
        user_files.npz(folder / name, TRAIN, TEST)


def large_pictures(folder: Path) -> None:
    user_files.png_folders(folder, TRAIN, TEST)
    for path in folder.glob("*/3/*"):
        Image.new("L", (64, 32)).save(path)


def official_and_others(folder: Path) -> None:
    from zoo.data.archives import ARCHIVES, read_packaged

    (folder / "MNIST/raw").mkdir(parents=True)
    (folder / "MNIST/raw" / ARCHIVES[3].name).write_bytes(read_packaged(ARCHIVES[3]))
    user_files.npz(folder, TRAIN, TEST)


UNREADABLE: list[tuple[Callable[[Path], object], str]] = [
    (text(), r"own holds notes\.txt, and nothing that is read as data: name a Keras npz, CSV"),
    (text("", "train.csv"), r"own/train\.csv cannot be read as data: it is empty"),
    (text("a,b\n1,2\n", "train.csv"), r"own/train\.csv .* its first line has 2 columns"),
    (lambda folder: os.mkfifo(folder / "train.npz"), r"own holds train\.npz, and nothing that is read"),
    (lambda folder: os.mkfifo(folder / "t10k-images-idx3-ubyte"), r"own/t10k-images-idx3-ubyte is no file, but a"),
    (idx_file("t10k-labels-idx1-ubyte", TEST[1]), r"it holds t10k-labels-idx1-ubyte, but no file of the images"),
    (idx_file("t10k-images.idx3-ubyte", TEST[1]), r"t10k-images.idx3-ubyte .* its images are 30, but"),
    (idx_file("t10k-images.idx3-ubyte", TEST[0].astype(np.int32)), "whole numbers of 4 bytes"),
    (labels_in_two_files, "it holds train-labels-idx1-ubyte and train-labels-idx2-int, which are for the same"),
    (several, r"own holds data of several kinds, npz, idx: name one"),
    (in_two_folders, r"several folders in it hold data, one, two: name one"),
    (large_pictures, r"/3/\d+\.png has 64 × 32 pixels and not 28 × 28.*ImageFolderDataModule"),
    (official_and_others, "it holds MNIST's official files and other data"),
    (
        lambda folder: user_files.idx_of_several_sets(folder, TRAIN, TEST),
        "several data sets, emnist-digits, emnist-let",
    ),
]


@pytest.mark.parametrize(("make", "sentence"), UNREADABLE)
def test_a_folder_that_is_no_data_is_refused_in_a_sentence(make: Callable[[Path], object], sentence: str) -> None:
    make(make_folder())
    before = snapshot(Path())
    with pytest.raises(UsageError, match=sentence):
        load("own")
    assert snapshot(Path()) == before


@pytest.mark.parametrize(
    ("content", "name", "sentence"),
    [
        (b"", "digits", "it is empty"),
        (b"\x80\x04\x95", "mnist.pkl", "it is a pickle, which can run code"),
        (b"\x89HDF\r\n", "digits.h5", "it is an HDF5 file"),
        (b"\x93NUMPY\x01\0", "digits.npy", "it is a NumPy array"),
        (b"MATLAB 5.0 MAT-file", "emnist.mat", "it is a MATLAB file"),
        (b"\x89PNG\r\n\x1a\n", "7.png", "it is a picture, for `zoo classify`"),
        (b"\0\0\x08\x01\0\0\0\1\0", "digits.idx", "known by its name"),
        (b"\x1f\x8b\x08", "digits.csv.gz", "its compressed content is damaged"),
        (b"\0" * 100, "digits", "it is of an unknown format"),
        (b"7\n", "digits.txt", "its first line has 1 columns"),
        (b"PK\x03\x04", "digits.zip", "damaged, or no archive"),
    ],
)
def test_a_file_that_is_no_data_is_refused_in_a_sentence(content: bytes, name: str, sentence: str) -> None:
    Path(name).write_bytes(content)
    with pytest.raises(UsageError, match=f"{name} cannot be read as data: .*{sentence}.*, or name another data_dir"):
        load(name)


def test_the_extra_that_parquet_needs_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    Path("digits.parquet").write_bytes(b"PAR1")
    with pytest.raises(UsageError, match=r"digits\.parquet needs pyarrow: install the zoo with its extra `parquet`"):
        load("digits.parquet")


def test_a_missing_file_is_not_replaced_by_mnist() -> None:
    for name in ("mnist.npz", "train.csv", "train.csv.gz", "digits.parquet"):
        with pytest.raises(UsageError, match=f"There is no file {name}"):
            load(name)


@pytest.mark.parametrize("part", ["train", "test"])
def test_a_missing_part_is_named(part: str) -> None:
    arrays = {f"x_{part}": TEST[0], f"y_{part}": TEST[1]}
    np.savez("mnist.npz", **arrays)  # type: ignore[arg-type]  # numpy takes a name for allow_pickle
    stage = "predict" if part == "train" else "fit"
    missing = "test" if part == "train" else "training"
    with pytest.raises(UsageError, match=rf"mnist\.npz holds no {missing} images"):
        MNISTDataModule("mnist.npz", val_size=10).setup(stage)
    assert len(load("mnist.npz").splits["test"]) == (0 if part == "train" else 30)


def test_labels_that_do_not_belong_to_the_images_are_refused() -> None:
    folder = make_folder()
    for labels, sentence in (
        (np.full(60, 200, np.uint8), "its labels include 200"),
        (TRAIN[1][:50], "60 images, but 50 labels"),
    ):
        user_files.idx(folder, (TRAIN[0], labels), TEST)
        with pytest.raises(UsageError, match=sentence):
            load(folder)


def test_too_few_training_images_are_reported() -> None:
    path = user_files.npz(make_folder(), TRAIN, TEST)
    for val_size, num_train in ((5000, None), (30, 31)):
        data = MNISTDataModule(str(path), val_size=val_size, num_train=num_train)
        for call in (data.prepare_data, data.setup):
            with pytest.raises(UsageError, match=r"own/mnist\.npz has 60 training images, but [0-9,]+ are wanted"):
                call()
