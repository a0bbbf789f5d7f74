"""Reading the record of a run from its checkpoint: config, versions, machine and training time."""

from __future__ import annotations

from typing import Any

from zoo.runs.checkpoint import is_plain
from zoo.runs.training_state import is_number

RUN_RECORD = "RunRecord"
"""The class name of the callback that writes the record, which Lightning uses as the key of its state."""


def read_run_record(content: dict[str, Any]) -> dict[str, Any] | None:
    """Return the record that `RunRecord` stored in a checkpoint.

    Args:
        content: The whole checkpoint as Lightning wrote it.

    Returns:
        The ``config``, ``versions``, ``machine`` and ``seconds`` of the run and the ``run``'s id, which is empty before
        version 0.2; or None if the checkpoint contains weights only, was not written by ``zoo fit``, or the record is
        damaged.
    """
    callbacks = content.get("callbacks")
    state = callbacks.get(RUN_RECORD) if isinstance(callbacks, dict) else None
    if not isinstance(state, dict):
        return None
    record: dict[str, Any] = {name: state.get(name) for name in ("config", "versions", "machine")}
    elapsed = state.get("time_elapsed")
    seconds = elapsed.get("train") if isinstance(elapsed, dict) else None
    if not all(isinstance(part, dict) and is_plain(part) for part in record.values()) or not is_number(seconds):
        return None
    if not _is_config(record["config"]):
        return None
    return {**record, "seconds": seconds, "run": str(state.get("run", ""))}


def _is_config(config: dict[str, Any]) -> bool:
    """Return whether a recorded config has the parts that are compared, each of the right type."""
    parts = [config.get("model"), config.get("data")]
    return isinstance(config.get("trainer", {}), dict | None) and all(
        isinstance(part, dict)
        and isinstance(part.get("class_path"), str)
        and isinstance(part.get("init_args", {}), dict | None)
        for part in parts
    )
