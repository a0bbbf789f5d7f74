"""The record of its run that a checkpoint carries: config, versions, machine and seconds."""

from __future__ import annotations

from typing import Any

RUN_RECORD = "RunRecord"
"""The callback that writes the record, by whose class Lightning names its state in a checkpoint."""


def recorded_run(content: dict[str, Any]) -> dict[str, Any] | None:
    """Return what `RunRecord` put into a checkpoint: ``config``, ``versions``, ``machine`` and ``seconds``.

    Args:
        content: A whole checkpoint, as Lightning wrote it.

    Returns:
        The record, or None when there is none: weights alone, or a run that was not started by ``zoo fit``.
    """
    callbacks = content.get("callbacks")
    state = callbacks.get(RUN_RECORD) if isinstance(callbacks, dict) else None
    if not isinstance(state, dict):
        return None
    record = {name: state.get(name) for name in ("config", "versions", "machine")}
    elapsed = state.get("time_elapsed")
    seconds = elapsed.get("train") if isinstance(elapsed, dict) else None
    if not all(isinstance(part, dict) for part in record.values()) or not isinstance(seconds, int | float):
        return None
    return {**record, "seconds": seconds}
