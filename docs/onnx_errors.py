"""Measure the test errors of all members as ONNX, and how the exported preprocessing reads pictures without OpenCV.

Usage::

    python -m docs.onnx_errors            # writes docs/data/onnx.json, in a few minutes
    python -m docs.generate               # writes the tables from it

The errors are those on the 10,000 official test images. The pictures are those of `tests.drawn_digits` and
`tests.photographs`, classified by all members together.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import tempfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from PIL import Image

from tests.drawn_digits import pictures
from tests.photographs import photographs
from zoo.data import preprocessing_core
from zoo.inference.ensemble import Committee
from zoo.inference.onnx_folder import export_folder
from zoo.pretrained.loading import load_classifier
from zoo.pretrained.registry import list_models
from zoo.utils.denormals import flush_denormals
from zoo.utils.environment import machine, versions

PATH = Path(__file__).parent / "data" / "onnx.json"
PACKAGES = ("onnx", "onnxscript", "onnxruntime", "numpy", "pillow")


def errors() -> dict[str, dict[str, int | None]]:
    """Return the errors of each member: by the zoo, and of each of its ONNX files."""
    found: dict[str, dict[str, int | None]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in list_models(pretrained=True):
            exported = export_folder(load_classifier(name), name, Path(folder))
            found[name] = {"zoo": exported.errors, **{file.precision: file.errors for file in exported.models}}
            print(name, found[name], flush=True)
    return found


def read(named: Iterator[tuple[str, int, Any]]) -> dict[str, int]:
    """Return how many pictures all members together read right after the exported preprocessing without OpenCV."""
    images, labels, total = [], [], 0
    for _, label, picture in named:
        total += 1
        without_opencv = patch.object(preprocessing_core, "find_spec", return_value=None)
        with without_opencv, contextlib.suppress(ValueError):  # nothing stands out
            image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
            images.append(torch.from_numpy(preprocessing_core.preprocess(image)))
            labels.append(label)
    predictions = Committee().predict(torch.stack(images)).mean.argmax(dim=1)
    return {"pictures": total, "right": int((predictions == torch.tensor(labels)).sum())}


def main() -> int:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    flush_denormals()
    result = {
        "versions": {**versions(), **{package: version(package) for package in PACKAGES}},
        "machine": machine(),
        "errors": errors(),
        "reading": {"drawn digits": read(pictures()), "photographs": read(photographs())},
    }
    PATH.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
