"""Safe reading and writing of checkpoints: local files that contain only weights and plain values.

No code from a file is executed. A file may name a class, but the class is never imported because of that.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from lightning_fabric.plugins.io import TorchCheckpointIO
from torch import Tensor, nn

from zoo.runs.container import DATA, PICKLE, canonical_archive, damaged, read_records
from zoo.runs.pickle_checks import check_pickle, check_tensors
from zoo.utils.class_paths import class_path_of
from zoo.utils.errors import UsageError
from zoo.utils.files import write_bytes
from zoo.utils.wording import with_article

CLASS_PATH = "_class_path"

Network = TypeVar("Network", bound=nn.Module)


@dataclass(frozen=True)
class Checkpoint:
    """The content of a checkpoint file."""

    path: Path
    class_path: str | None
    """The dotted path of the model's class; None if the file does not name it."""
    arguments: dict[str, Any]
    """The arguments that the model was created with."""
    state_dict: dict[str, Tensor]
    content: dict[str, Any]
    """The whole checkpoint as Lightning wrote it."""

    def make(self, cls: type[Network], **arguments: Any) -> Network:
        """Create a network with the checkpoint's arguments, without loading the weights.

        Args:
            cls: The class of the network.
            **arguments: Arguments that replace the checkpoint's.

        Raises:
            UsageError: The class does not take these arguments.
        """
        try:
            return cls(**{**self.arguments, **arguments})
        except TypeError as error:
            raise UsageError(f"{self.path} has arguments that {cls.__name__} does not take: {error}.") from error


def read_checkpoint(path: str | Path) -> Checkpoint:
    """Read a checkpoint without executing code from it.

    Raises:
        UsageError: The file is missing, damaged or not a checkpoint, or contains more than weights and plain values.
    """
    return _parse(Path(path), _read(path))


def _read(path: str | Path) -> Any:
    """Return the content of a file that contains only weights and plain values."""
    if "://" in str(path):
        raise UsageError(f"{path} is a URL, but checkpoints are read from local files only: download it first.")
    path = Path(path)
    records = read_records(path)
    sizes = {name.removeprefix(DATA): len(record.data) for name, record in records.items() if name.startswith(DATA)}
    try:
        check_pickle(bytes(records[PICKLE].data), sizes)
        archive = io.BytesIO(canonical_archive(records))
        del records  # the file's bytes are no longer needed
        content = torch.load(archive, map_location="cpu", weights_only=True, mmap=False)
        check_tensors(content)
        return content
    except pickle.UnpicklingError as error:
        raise UsageError(
            f"{path} is refused: it is no checkpoint, or it holds code or objects beyond weights and plain values."
        ) from error
    except Exception as error:  # a malformed pickle can raise anything
        raise damaged(path) from error


def _parse(path: Path, content: Any) -> Checkpoint:
    state_dict = content.get("state_dict") if isinstance(content, dict) else None
    arguments = content.get("hyper_parameters", {}) if isinstance(content, dict) else None
    if not _is_state_dict(state_dict) or not isinstance(arguments, Mapping):
        raise UsageError(f"{path} holds no network that this zoo could load: it needs a Lightning checkpoint.")
    arguments = {name: value for name, value in arguments.items() if name != "_instantiator"}
    if not is_plain(arguments):
        raise UsageError(f"{path} is refused: a network's arguments are plain values, and some of these are not.")
    class_path = arguments.pop(CLASS_PATH, None)
    if class_path is not None and not isinstance(class_path, str):
        raise UsageError(f"{path} is refused: its {CLASS_PATH} is no name of a class.")
    return Checkpoint(path, class_path, arguments, dict(state_dict or {}), content)


class AtomicCheckpointIO(TorchCheckpointIO):
    """Lightning's checkpoint plugin with atomic writing and safe reading.

    Lightning writes to the system's temporary folder and then moves the file. Across file systems this is a copy, and
    an interrupted copy leaves an incomplete checkpoint.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write a checkpoint to a temporary file in the folder of ``path`` and rename it to ``path``.

        Raises:
            UsageError: The file cannot be written, for example because the disk is full. An existing file is kept.
        """
        write_bytes(Path(path), _serialize(checkpoint), replace=True)

    def load_checkpoint(
        self, path: str | Path, map_location: Any = None, weights_only: bool | None = True
    ) -> dict[str, Any]:
        """Read a checkpoint as `read_checkpoint` does; ``map_location`` and ``weights_only`` are ignored.

        The state of Lightning's own `ModelCheckpoint` is dropped. It lists the files of another run, which this run
        would delete once it has better checkpoints.
        """
        content = _read(path)
        if _is_state_dict(content):
            return dict(content)  # the weights that a spawned process returns at its end
        content = _parse(Path(path), content).content
        states = content.get("callbacks", {})
        kept = {name: state for name, state in states.items() if not name.startswith("ModelCheckpoint")}
        return {**content, "callbacks": kept} if "callbacks" in content else content


def check_class(
    checkpoint: Checkpoint, accepted: Collection[str | None], expected: str, hint: str | None = None
) -> None:
    """Check the class that a checkpoint names. The class is only compared and never imported.

    Args:
        checkpoint: The checkpoint.
        accepted: The accepted class paths. Include None to accept a checkpoint that does not name a class.
        expected: The expected class, as the error message names it.
        hint: What the user can do, for the end of the error message.

    Raises:
        UsageError: The checkpoint's class is not accepted.
    """
    if checkpoint.class_path not in accepted:
        found = checkpoint.class_path or "network of unknown class"
        advice = f": {hint}" if hint else ""
        raise UsageError(f"{checkpoint.path} holds {with_article(found)}, not {with_article(expected)}{advice}.")


def load_into(model: nn.Module, checkpoint: Checkpoint) -> None:
    """Load all weights of a checkpoint into ``model``.

    Raises:
        UsageError: The weights do not fit the model; see `check_fits`.
    """
    check_fits(model, checkpoint)
    model.load_state_dict(checkpoint.state_dict)


def check_fits(model: nn.Module, checkpoint: Checkpoint) -> None:
    """Check that the checkpoint's weights fit a model.

    Raises:
        UsageError: A name, shape or kind of tensor differs from the model's, or a weight is not finite.
    """
    expected, found = model.state_dict(), checkpoint.state_dict
    for name in sorted(expected.keys() | found.keys()):
        in_file, in_network = (_signature(tensors.get(name)) for tensors in (found, expected))
        if in_file != in_network:
            raise UsageError(
                f"{checkpoint.path} is of another architecture than the {type(model).__name__} it should go into: "
                f"{name} is {in_file} in the file and {in_network} in the network."
            )
        if not found[name].isfinite().all():
            raise UsageError(f"{checkpoint.path} holds numbers that are not finite ({name}): its training diverged.")


def _signature(tensor: Tensor | None) -> str:
    """Return a tensor's kind and shape, for example ``real (256,)``; floating-point types are all ``real``."""
    if tensor is None:
        return "absent"
    kind = "real" if tensor.is_floating_point() else str(tensor.dtype).removeprefix("torch.")
    if tensor.layout != torch.strided or tensor.is_meta or tensor.is_quantized:
        kind = "unusual"
    return f"{kind} {tuple(tensor.shape)}"


def write_weights(model: nn.Module, arguments: Mapping[str, Any], path: Path, *, half: bool = False) -> None:
    """Write the checkpoint that ships: the weights on the CPU, the model's arguments and its class path.

    Args:
        model: The network.
        arguments: Its arguments.
        path: The file.
        half: Whether real numbers are written in half precision, in half as many bytes. What reads the file converts
            them back. They are rounded unless `round_to_half` has rounded them before.

    Raises:
        UsageError: The file cannot be written.
    """
    from importlib.metadata import version

    weights = {name: tensor.detach().cpu() for name, tensor in model.state_dict().items()}
    content = {
        "state_dict": {
            name: tensor.half() if half and tensor.is_floating_point() else tensor for name, tensor in weights.items()
        },
        "hyper_parameters": {CLASS_PATH: class_path_of(type(model)), **arguments},
        # Lightning uses the version to migrate old files and warns if it is missing.
        "pytorch-lightning_version": version("pytorch-lightning"),
    }
    write_bytes(path, _serialize(content), CLASS_PATH)


@torch.no_grad()
def round_to_half(model: nn.Module) -> None:
    """Round a network's weights and buffers to numbers of half precision, which has 11 binary digits.

    Raises:
        UsageError: A number is too large for half precision.
    """
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point():
            if not tensor.half().isfinite().all():
                raise UsageError(f"{name} holds numbers too large for half precision: publish without --half.")
            tensor.copy_(tensor.half())


def _serialize(content: dict[str, Any]) -> bytes:
    # In memory, because torch writes a file's name into the file, so that equal networks would give different files.
    # Its error for a full disk also does not name the reason.
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def is_plain(value: object) -> bool:
    """Return whether a value consists of numbers, strings, bools, None, and lists, tuples and dicts of them."""
    if isinstance(value, dict):
        return all(isinstance(name, str | int) and is_plain(item) for name, item in value.items())
    if isinstance(value, list | tuple):
        return all(map(is_plain, value))
    return value is None or isinstance(value, str | int | float | bool)


def _is_state_dict(value: object) -> bool:
    return isinstance(value, Mapping) and all(
        isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in value.items()
    )
