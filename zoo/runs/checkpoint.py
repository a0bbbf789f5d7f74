"""Reading and writing checkpoints: local files, weights and primitives only, no code from the file.

A file may name a class, and naming is all it may do: nothing is imported because a file says so.
"""

from __future__ import annotations

import io
import pickle
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from lightning_fabric.plugins.io import TorchCheckpointIO
from torch import Tensor, nn

from zoo.utils.class_paths import class_path_of
from zoo.utils.errors import UsageError
from zoo.utils.files import write_bytes

CLASS_PATH = "_class_path"

Network = TypeVar("Network", bound=nn.Module)


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

    def make(self, cls: type[Network], **arguments: Any) -> Network:
        """Return a new network of a class, made with the checkpoint's arguments and not yet with its weights.

        Args:
            cls: The class.
            **arguments: What replaces the checkpoint's.

        Raises:
            UsageError: The class does not take these arguments.
        """
        try:
            return cls(**{**self.arguments, **arguments})
        except TypeError as error:
            raise UsageError(f"{self.path} has arguments that {cls.__name__} does not take: {error}.") from error


def read_checkpoint(path: str | Path) -> Checkpoint:
    """Read a checkpoint without running anything in it.

    Raises:
        UsageError: The file is missing, damaged, not a checkpoint, or holds more than weights and plain values.
    """
    return _interpreted(Path(path), _read(path))


def _read(path: str | Path) -> Any:
    """Return what a file holds, if that is weights and plain values only."""
    if "://" in str(path):
        raise UsageError(f"{path} is a URL, but checkpoints are read from local files only: download it first.")
    path = Path(path)
    if not path.is_file():
        raise UsageError(f"There is no checkpoint {path}: check the path, or train one with `zoo fit`.")
    if not _is_sound_archive(path):
        raise UsageError(f"{path} is damaged, truncated or no checkpoint: take another copy of it.")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UsageError(
            f"{path} is refused: it is no checkpoint, or it holds code or objects beyond weights and plain values."
        ) from error
    except Exception as error:  # whatever else a malformed pickle makes of torch's reader
        raise UsageError(f"{path} is damaged, truncated or no checkpoint: take another copy of it.") from error


def _interpreted(path: Path, content: Any) -> Checkpoint:
    state_dict = content.get("state_dict") if isinstance(content, dict) else None
    arguments = content.get("hyper_parameters", {}) if isinstance(content, dict) else None
    if not _is_state_dict(state_dict) or not isinstance(arguments, Mapping):
        raise UsageError(f"{path} holds no network that this zoo could load: it needs a Lightning checkpoint.")
    arguments = {name: value for name, value in arguments.items() if name != "_instantiator"}
    if not _is_plain(arguments):
        raise UsageError(f"{path} is refused: a network's arguments are plain values, and some of these are not.")
    class_path = arguments.pop(CLASS_PATH, None)
    if class_path is not None and not isinstance(class_path, str):
        raise UsageError(f"{path} is refused: its {CLASS_PATH} is no name of a class.")
    return Checkpoint(path, class_path, arguments, dict(state_dict or {}), content)


class AtomicCheckpointIO(TorchCheckpointIO):
    """Lightning's reading and writing of checkpoints, made safe: nobody ever sees half of one.

    Lightning writes to the system's folder for temporary files and moves the file from there, which copies it where
    that is another file system.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write a checkpoint under a temporary name beside ``path`` and rename it.

        Raises:
            UsageError: The file cannot be written, because the disk is full for example; what was there stays.
        """
        write_bytes(Path(path), _serialized(checkpoint))

    def load_checkpoint(
        self, path: str | Path, map_location: Any = None, weights_only: bool | None = True
    ) -> dict[str, Any]:
        """Read a checkpoint as `read_checkpoint` does, whatever is asked for.

        The state of Lightning's own `ModelCheckpoint` is left out: it is a list of another run's files, which this one
        would delete when it has better ones.
        """
        content = _read(path)
        if _is_state_dict(content):
            return dict(content)  # what a spawned process hands over at its end
        content = _interpreted(Path(path), content).content
        states = content.get("callbacks", {})
        kept = {name: state for name, state in states.items() if not name.startswith("ModelCheckpoint")}
        return {**content, "callbacks": kept} if "callbacks" in content else content


def load_into(model: nn.Module, checkpoint: Checkpoint) -> None:
    """Give ``model`` the checkpoint's weights, all of them and no others.

    Raises:
        UsageError: The weights are another architecture's.
    """
    check_fits(model, checkpoint)
    model.load_state_dict(checkpoint.state_dict)


def check_fits(model: nn.Module, checkpoint: Checkpoint) -> None:
    """Raise `UsageError` unless the checkpoint's weights are of the model's names, shapes and kind, and finite."""
    wanted, found = model.state_dict(), checkpoint.state_dict
    for name in sorted(wanted.keys() | found.keys()):
        here, there = (_form(tensors.get(name)) for tensors in (found, wanted))
        if here != there:
            raise UsageError(
                f"{checkpoint.path} is of another architecture than the {type(model).__name__} it should go into: "
                f"{name} is {here} in the file and {there} in the network."
            )
        if not found[name].isfinite().all():
            raise UsageError(f"{checkpoint.path} holds numbers that are not finite ({name}): its training diverged.")


def _form(tensor: Tensor | None) -> str:
    if tensor is None:
        return "absent"
    kind = "real" if tensor.is_floating_point() else str(tensor.dtype).removeprefix("torch.")
    if tensor.layout != torch.strided or tensor.is_meta or tensor.is_quantized:
        kind = "unusual"
    return f"{kind} {tuple(tensor.shape)}"


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
    write_bytes(path, _serialized(content))


def _is_sound_archive(path: Path) -> bool:
    """Whether the file is a zip archive, as torch writes them, and every part has the checksum that it should have."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except (OSError, zipfile.BadZipFile, EOFError, RuntimeError, NotImplementedError, zlib.error):
        return False


def _serialized(content: dict[str, Any]) -> bytes:
    # Through memory: torch would put a file's own name inside, and then equal networks would not make equal files; and
    # of a full disk it says no more than that writing failed.
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def _is_plain(value: object) -> bool:
    if isinstance(value, dict):
        return all(isinstance(name, str) and _is_plain(item) for name, item in value.items())
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, str | int | float | bool)


def _is_state_dict(candidate: object) -> bool:
    return isinstance(candidate, Mapping) and all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in candidate.items()
    )
