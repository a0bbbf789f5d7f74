"""Measure how well the probabilities of the published networks agree with their accuracy, for the members' cards.

Usage::

    python -m docs.calibration    # writes docs/data/calibration.json

Each network has two lists of bins, of its probabilities as predicted and calibrated: the mean probability of the
predicted class, the accuracy, and the number of the 10,000 test images.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path

import torch
from torch import Tensor

from zoo.data.mnist import load_test_data
from zoo.models import Classifier
from zoo.pretrained.evaluation import logits_and_labels
from zoo.pretrained.loading import load_pretrained
from zoo.pretrained.registry import list_models, read_index
from zoo.utils.environment import machine, versions

BINS = 15
CALIBRATION = Path(__file__).parent / "data" / "calibration.json"


def bins_of(logits: Tensor, labels: Tensor) -> list[list[float]]:
    """Return the mean probability, accuracy and number of images of each bin of equal width that has any.

    Args:
        logits: ``(N, 10)``.
        labels: ``(N,)``.
    """
    probabilities, predictions = logits.double().softmax(dim=1).max(dim=1)
    places = (probabilities * BINS).ceil().clamp(1, BINS)
    found = []
    for place in places.unique():
        inside = places == place
        accuracy = (predictions == labels)[inside].double().mean()
        found.append([round(float(probabilities[inside].mean()), 4), round(float(accuracy), 4), int(inside.sum())])
    return found


def main() -> int:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    data = load_test_data()
    members = {}
    for name in list_models(pretrained=True):
        model = load_pretrained(name)
        assert isinstance(model, Classifier)
        with torch.inference_mode():
            logits, labels = logits_and_labels(model, data.test_dataloader())
        temperature = read_index()[name]["temperature"]
        members[name] = {"predicted": bins_of(logits, labels), "calibrated": bins_of(logits / temperature, labels)}
        print(name, flush=True)
    content = {"versions": versions(), "machine": machine(), "members": members}
    text = json.dumps(content, indent=1)
    # Each bin is a line.
    text = re.sub(r"\[([\d.,\s]+)\]", lambda row: "[" + " ".join(row[1].split()) + "]", text)
    CALIBRATION.write_text(text + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
