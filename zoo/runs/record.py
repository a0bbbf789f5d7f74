"""Reading the record of a run from its checkpoint: config, versions, machine and training time."""

from __future__ import annotations

from typing import Any

RUN_RECORD = "RunRecord"
"""The class name of the callback that writes the record, which Lightning uses as the key of its state."""


def read_run_record(content: dict[str, Any]) -> dict[str, Any] | None:
    """Return the record that `RunRecord` stored in a checkpoint.

    Args:
        content: The whole checkpoint as Lightning wrote it.

    Returns:
        The ``config``, ``versions``, ``machine`` and ``seconds`` of the run and the ``run``'s id, which is empty before
        version 0.2; or None if the checkpoint contains weights only or was not written by ``zoo fit``.
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
    return {**record, "seconds": seconds, "run": str(state.get("run", ""))}
