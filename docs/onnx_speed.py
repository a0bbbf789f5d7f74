"""Measure how long the members take in PyTorch and in onnxruntime, for one image and for a hundred.

Usage, on a machine with nothing else to do::

    python -m docs.onnx_speed             # writes docs/data/onnx_speed.json, in a few minutes
    python -m docs.generate               # writes the table from it

PyTorch and onnxruntime, in float32 and in 8 bits, take turns. Each number is the median of `ROUNDS` rounds, in each of
which the same images are classified for at least `LEAST` seconds. All have the same number of threads.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from zoo.data.mnist import load_test_data
from zoo.inference.onnx_folder import export_folder
from zoo.models import Classifier
from zoo.pretrained.loading import load_classifier
from zoo.pretrained.registry import list_models
from zoo.utils.denormals import flush_denormals
from zoo.utils.environment import machine, versions

PATH = Path(__file__).parent / "data" / "onnx_speed.json"
ROUNDS = 7
LEAST = 0.05
BATCHES = (1, 100)


def milliseconds(contenders: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Return the milliseconds of one call of each contender, which take turns."""
    calls = {}
    for name, call in contenders.items():
        call()
        started, done = time.perf_counter(), 0
        while time.perf_counter() - started < LEAST:
            call()
            done += 1
        calls[name] = done
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(ROUNDS):
        for name, call in contenders.items():
            started = time.perf_counter()
            for _ in range(calls[name]):
                call()
            seconds[name].append((time.perf_counter() - started) / calls[name])
    return {name: round(1000 * statistics.median(each), 4) for name, each in seconds.items()}


def in_torch(model: Classifier, images: torch.Tensor) -> torch.Tensor:
    """Return the logits ``(B, 10)`` of images ``(B, 1, 28, 28)``."""
    with torch.inference_mode():
        logits: torch.Tensor = model(images)
    return logits


def measure(name: str, folder: Path, images: torch.Tensor) -> dict[str, dict[str, float]]:
    """Return the milliseconds of a member for each number of images, by contender."""
    import onnxruntime

    trained = load_classifier(name)
    exported = export_folder(trained, name, folder)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    sessions = {
        file.precision: onnxruntime.InferenceSession(str(file.path), options)
        for file in exported.models
        if file.precision in ("float32", "int8")
    }
    found = {}
    for count in BATCHES:
        batch = images[:count]
        given = {"images": batch.numpy()}

        contenders: dict[str, Callable[[], object]] = {"torch": partial(in_torch, trained.model, batch)}
        for precision, session in sessions.items():
            contenders[precision] = partial(session.run, ["logits"], given)
        found[str(count)] = milliseconds(contenders)
    return found


def main() -> int:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    flush_denormals()
    data = load_test_data()
    images, *_ = data.splits["test"].get_batch(range(max(BATCHES)))
    result: dict[str, Any] = {
        "versions": {**versions(), "onnxruntime": version("onnxruntime")},
        "machine": machine(),
        "milliseconds": {},
    }
    with tempfile.TemporaryDirectory() as folder:
        for name in list_models(pretrained=True):
            result["milliseconds"][name] = measure(name, Path(folder), images)
            print(name, result["milliseconds"][name], flush=True)
    PATH.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
