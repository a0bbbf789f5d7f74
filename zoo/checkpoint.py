"""Reading and writing checkpoints: local files, weights and primitives only, no code from the file.

A file may name a class, and naming is all it may do: nothing is imported because a file says so.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from zoo.class_paths import class_path_of
from zoo.errors import UsageError
from zoo.files import write_bytes

CLASS_PATH = "_class_path"


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint file holds."""

    path: Path
    class_path: str | None
    """The model's class as a dotted path; None when the file does not say."""
    arguments: dict[str, Any]
    """The arguments that the model was made with."""
    state_dict: dict[str, Tensor]
    content: dict[str, Any]
    """Everything, as Lightning wrote it."""


def read_checkpoint(path: str | Path) -> Checkpoint:
    """Read a checkpoint without running anything in it.

    Raises:
        UsageError: The file is missing, damaged, not a checkpoint, or holds more than weights and plain values.
    """
    if "://" in str(path):
        raise UsageError(f"{path} is a URL, but checkpoints are read from local files only: download it first.")
    path = Path(path)
    if not path.is_file():
        raise UsageError(f"There is no checkpoint {path}: check the path, or train one with `zoo fit`.")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UsageError(
            f"{path} is refused: it is no checkpoint, or it holds code or objects beyond weights and plain values."
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise UsageError(f"{path} is damaged, truncated or no checkpoint: take another copy of it.") from error
    state_dict = content.get("state_dict") if isinstance(content, dict) else None
    arguments = content.get("hyper_parameters", {}) if isinstance(content, dict) else None
    if not _is_state_dict(state_dict) or not isinstance(arguments, Mapping):
        raise UsageError(f"{path} holds no network that this zoo could load: it needs a Lightning checkpoint.")
    arguments = {name: value for name, value in arguments.items() if name != "_instantiator"}
    class_path = arguments.pop(CLASS_PATH, None)
    if class_path is not None and not isinstance(class_path, str):
        raise UsageError(f"{path} is refused: its {CLASS_PATH} is no name of a class.")
    return Checkpoint(path, class_path, arguments, dict(state_dict or {}), content)


def load_into(model: nn.Module, checkpoint: Checkpoint) -> None:
    """Give ``model`` the checkpoint's weights, all of them and no others.

    Raises:
        UsageError: The weights are another architecture's.
    """
    check_fits(model, checkpoint)
    model.load_state_dict(checkpoint.state_dict)


def check_fits(model: nn.Module, checkpoint: Checkpoint) -> None:
    """Raise `UsageError` unless the checkpoint's weights have the names and shapes of the model's."""
    wanted = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    found = {name: tuple(tensor.shape) for name, tensor in checkpoint.state_dict.items()}
    for name in sorted(wanted.keys() | found.keys()):
        if wanted.get(name) != found.get(name):
            raise UsageError(
                f"{checkpoint.path} is of another architecture than the {type(model).__name__} it should go into: "
                f"{name} is {found.get(name, 'absent')} in the file and {wanted.get(name, 'absent')} in the network."
            )


def write_weights(model: nn.Module, arguments: Mapping[str, Any], path: Path) -> None:
    """Write the checkpoint that ships: weights on the CPU, the model's arguments and its class's name.

    Raises:
        UsageError: The file cannot be written.
    """
    from importlib.metadata import version

    content = {
        "state_dict": {name: tensor.detach().cpu() for name, tensor in model.state_dict().items()},
        "hyper_parameters": {CLASS_PATH: class_path_of(type(model)), **arguments},
        # Lightning migrates files by the version that wrote them and warns of files without one.
        "pytorch-lightning_version": version("pytorch-lightning"),
    }
    # Through memory, because torch would put the file's own name inside: equal networks make equal files.
    buffer = io.BytesIO()
    torch.save(content, buffer)
    write_bytes(path, buffer.getvalue())


def _is_state_dict(candidate: object) -> bool:
    return isinstance(candidate, Mapping) and all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in candidate.items()
    )
