"""What `zoo info` says of a checkpoint of one's own."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from zoo.data.base import CLASS_NAMES
from zoo.runs.checkpoint import read_checkpoint


def checkpoint_facts(path: str) -> dict[str, Any]:
    """Return what a checkpoint says of itself, as values for JSON.

    The class that it names is not imported.

    Raises:
        UsageError: It cannot be read, or holds more than weights and plain values.
    """
    checkpoint = read_checkpoint(path)
    content = checkpoint.content
    states = [value for value in content.values() if isinstance(value, dict)]
    names: list[Any] = next((state[CLASS_NAMES] for state in states if isinstance(state.get(CLASS_NAMES), list)), [])
    file = Path(path).read_bytes()
    return {
        "class_path": checkpoint.class_path,
        "arguments": checkpoint.arguments,
        "tensors": len(checkpoint.state_dict),
        "parameters": sum(tensor.numel() for tensor in checkpoint.state_dict.values()),
        "epoch": content.get("epoch"),
        "step": content.get("global_step"),
        "classes": [str(name) for name in names],
        "resumable": bool(content.get("optimizer_states")),
        "bytes": len(file),
        "sha256": hashlib.sha256(file).hexdigest(),
    }
