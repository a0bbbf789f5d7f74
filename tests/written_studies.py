"""Folders of studies, written without training."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from zoo.studies.trial import TABLE, Trial, format_table


def write_study(folder: Path, errors: Sequence[int | None], config: dict[str, Any] | None = None) -> Path:
    """Write a study of seeds from 0 on.

    Args:
        folder: The folder, which does not exist.
        errors: The test errors of each run, None for one that failed.
        config: The recipe; None leaves the study's record out.

    Returns:
        The folder.
    """
    folder.mkdir(parents=True)
    trials = [
        Trial(seed, seed, {}, "failed", message="The loss is nan.")
        if count is None
        else Trial(seed, seed, {}, "finished", test_errors=count, test_images=10_000)
        for seed, count in enumerate(errors)
    ]
    (folder / TABLE).write_text(format_table(trials), encoding="utf-8")
    if config is not None:
        (folder / "study.json").write_text(json.dumps({"config": config}), encoding="utf-8")
    return folder
