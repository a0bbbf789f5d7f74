"""``zoo.create_committee``: several trained networks as one."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from zoo.api.runs import TrainingRun, source_of
from zoo.inference.ensemble import Committee
from zoo.utils.errors import UsageError


def create_committee(members: Iterable[str | Path | TrainingRun] = ()) -> Committee:
    """Return an ensemble of trained networks, on the CPU and in eval mode.

    Args:
        members: Members that ship trained, paths of checkpoints, or runs of `zoo.fit`. If empty, all members that ship
            trained.

    Returns:
        A LightningModule that maps float32 images ``(B, 1, 28, 28)`` in [0, 1] to logits ``(B, C)``, C = 10 for digits:
        the log of the mean over the members of the calibrated probabilities, so that ``model(images).exp()`` are the
        probabilities of ``zoo classify``.

    Raises:
        UsageError: See `zoo.inference.ensemble.Committee`, or a run has no checkpoint. It is a `ValueError`.
    """
    if isinstance(members, str | Path | TrainingRun):
        shown = "run" if isinstance(members, TrainingRun) else repr(str(members))
        raise UsageError(f"A committee takes a list of members: write [{shown}].")
    return Committee([source_of(member) for member in members])
