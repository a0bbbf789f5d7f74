"""A folder with a network as ONNX, and all that another program needs to use it on pictures."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from zoo.data import MNISTDataModule
from zoo.data.base import DIGITS
from zoo.data.mnist import load_test_data
from zoo.inference.bundling import PREPROCESSING, bundle
from zoo.inference.export import check_packages, export, metadata_of
from zoo.inference.onnx_files import INPUT, ONNX_PACKAGES, OUTPUT, open_session, write_float16, write_int8
from zoo.inference.tracing import quiet
from zoo.pretrained.evaluation import logits_and_labels
from zoo.pretrained.trained_classifier import TrainedClassifier
from zoo.utils.files import MARKER, check_output, write_bytes

CALIBRATION_IMAGES = 1000
"""Validation images by which the ranges of 8-bit activations are set."""
BATCH_SIZE = 1000

EXAMPLE = '''"""Classify pictures with {model}: `python example.py seven.png`. {marker}"""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from preprocess import {function}

pictures = sys.argv[1:]
if not pictures:
    sys.exit("Name one picture or more: python example.py seven.png")
if missing := [each for each in pictures if not Path(each).is_file()]:
    sys.exit(f"There is no file {{missing[0]}}.")
session = onnxruntime.InferenceSession(Path(__file__).with_name({model!r}), providers=["CPUExecutionProvider"])
about = session.get_modelmeta().custom_metadata_map
try:
    images = np.stack([{function}(path) for path in pictures])
except (OSError, ValueError) as error:
    sys.exit(f"A picture cannot be read: {{error}}")
(logits,) = session.run(["logits"], {{"images": images}})
odds = np.exp((logits - logits.max(axis=1, keepdims=True)) / float(about["temperature"]))
for path, row in zip(pictures, odds / odds.sum(axis=1, keepdims=True)):
    print(f"{{path}}: {{json.loads(about['classes'])[row.argmax()]}}, probability {{row.max():.3f}}")
'''


@dataclass(frozen=True)
class OnnxFile:
    """A file with a network and the number of its test errors."""

    path: Path
    precision: str
    """``float32``, ``float16`` or ``int8``."""
    errors: int | None
    """Errors on the 10,000 test images; None if the classes are not the ten digits."""


@dataclass(frozen=True)
class OnnxFolder:
    """What `export_folder` has written."""

    models: list[OnnxFile]
    errors: int | None
    """Errors of the network itself."""
    deviation: float
    """The maximum deviation of a logit in single precision, relative to the largest logit."""


def export_folder(trained: TrainedClassifier, name: str, folder: Path) -> OnnxFolder:
    """Write ``NAME.onnx``, ``NAME-float16.onnx``, ``NAME-int8.onnx``, ``preprocess.py`` and ``example.py``.

    A network whose classes are not the ten digits has no file in 8 bits, because validation images of MNIST set the
    ranges of its activations.

    Args:
        trained: The network.
        name: Its name.
        folder: The folder, created if it does not exist. Files in it that the zoo has written are replaced.

    Raises:
        UsageError: A package is missing, a file cannot be written, or the exported network deviates.
    """
    check_packages("onnx", ONNX_PACKAGES)
    digits = trained.class_names == DIGITS
    precisions = {"float32": f"{name}.onnx", "float16": f"{name}-float16.onnx"}
    if digits:
        precisions["int8"] = f"{name}-int8.onnx"
    example = EXAMPLE.format(
        model=precisions["float32"],
        marker=MARKER,
        function=metadata_of(trained)["preprocessing"],
    )
    texts = {"preprocess.py": bundle(PREPROCESSING), "example.py": example}
    for file_name in (*precisions.values(), *texts):
        check_output(folder / file_name)
    data = load_test_data()
    metadata = {"source": MARKER, **metadata_of(trained)}
    with tempfile.TemporaryDirectory() as temporary:
        written = {precision: Path(temporary, precision) for precision in precisions}
        deviation = export(trained.model, "onnx", written["float32"], metadata)
        with quiet():
            write_float16(written["float32"], written["float16"], {**metadata, "precision": "float16"})
            if digits:
                images = _calibration_images(data)
                write_int8(written["float32"], written["int8"], {**metadata, "precision": "int8"}, images)
        files = [
            OnnxFile(folder / precisions[precision], precision, count_test_errors(path, data) if digits else None)
            for precision, path in written.items()
        ]
        for file in files:
            write_bytes(file.path, written[file.precision].read_bytes())
    for file_name, text in texts.items():
        write_bytes(folder / file_name, text.encode())
    errors = None
    if digits:
        logits, labels = logits_and_labels(trained.model, data.test_dataloader())
        errors = int((logits.argmax(dim=1) != labels).sum())
    return OnnxFolder(files, errors, deviation)


def _calibration_images(data: MNISTDataModule) -> Tensor:
    batches = [images for images, *_ in data.val_dataloader()]
    return torch.cat(batches)[:CALIBRATION_IMAGES]


def count_test_errors(path: Path, data: MNISTDataModule) -> int:
    """Return the number of errors of an ONNX file on the test images."""
    session = open_session(path)
    errors = 0
    for images, labels, *_ in data.test_dataloader():
        for some, expected in zip(images.split(BATCH_SIZE), labels.split(BATCH_SIZE), strict=True):
            (logits,) = session.run([OUTPUT], {INPUT: some.numpy()})
            errors += int((torch.from_numpy(logits).argmax(dim=1) != expected).sum())
    return errors
