"""Export of trained members to other programs' formats. Each file is read back and compared with the network."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from zoo.data.mnist import load_test_data
from zoo.inference.ensemble import Committee
from zoo.inference.onnx_files import ONNX_PACKAGES, read_onnx, write_onnx
from zoo.inference.tracing import quiet, traced
from zoo.models import Classifier
from zoo.pretrained.evaluation import golden_images
from zoo.pretrained.trained_classifier import TrainedClassifier
from zoo.utils.class_paths import class_path_of
from zoo.utils.errors import UsageError, unknown_name
from zoo.utils.files import MARKER, atomic_path
from zoo.utils.wording import install_extra
from zoo.version import __version__

MAX_DEVIATION = 1e-4
"""Maximum deviation of a logit, relative to the largest logit. Other programs sum in another order."""


class Format(NamedTuple):
    """A file format for export."""

    suffix: str
    packages: tuple[str, ...]
    """Packages that the format requires and the zoo does not depend on."""
    write: Callable[[Classifier, Path, dict[str, str]], None]
    """Writes the network and its metadata."""
    read: Callable[[Classifier, Path], Callable[[Tensor], Tensor]]
    """Returns the exported network as a function from images to logits."""


NO_METADATA: Mapping[str, str] = {}


def export(model: Classifier, format_name: str, path: Path, metadata: Mapping[str, str] = NO_METADATA) -> float:
    """Export a trained network, read the file back and compare its logits with the network's on real images.

    Args:
        model: A network in eval mode.
        format_name: A name in `FORMATS`.
        path: The file, or a device or pipe. An existing file is replaced only if the zoo has written it, and only after
            the comparison has succeeded.
        metadata: What is stored in the file besides the graph and the weights, as `metadata_of` returns it.

    Returns:
        The maximum deviation of a logit, relative to the largest logit.

    Raises:
        UsageError: The format is unknown or needs a package that is missing, the file cannot be written, or the
            exported network deviates.
    """
    if format_name not in FORMATS:
        raise unknown_name("format", format_name, FORMATS)
    if isinstance(model, Committee) and format_name == "safetensors":
        raise UsageError("A committee has no weights of its own: export each member, or take onnx.")
    chosen = FORMATS[format_name]
    check_packages(format_name, chosen.packages)
    images = golden_images(load_test_data())
    with atomic_path(path) as temporary, torch.inference_mode():
        with quiet():
            chosen.write(model, temporary, {"source": MARKER, **metadata})
            exported = chosen.read(model, temporary)
        deviations: list[float] = []
        for batch in (images, images[:1]):
            expected, actual = model(batch), exported(batch)
            if actual.shape != expected.shape:
                raise UsageError(
                    f"What was written as {format_name} gives {tuple(actual.shape)} for {len(batch)} images."
                )
            deviations.append(float((actual - expected).abs().max() / expected.abs().max()))
        if not all(deviation <= MAX_DEVIATION for deviation in deviations):  # also if it is NaN
            raise UsageError(
                f"What was written as {format_name} gives logits that deviate from the network's by "
                f"{max(deviations):.1e}."
            )
    return max(deviations)


def metadata_of(trained: TrainedClassifier) -> dict[str, str]:
    """Return what an exported file says of itself, all as text.

    Returns:
        ``temperature``, which divides the logits for calibrated probabilities; ``classes``, a list in JSON;
        ``preprocessing``, the function of ``preprocess.py`` and of `zoo.data.preprocessing` that makes an image of a
        picture; ``images``, what such an image is; ``checkpoint`` and ``checkpoint_sha256``, the file that was
        exported; ``zoo``, the version; and ``members`` of a committee, a list in JSON.
    """
    return {
        "temperature": str(trained.temperature),
        "classes": json.dumps(trained.class_names),
        "preprocessing": "preprocess" if trained.mnist_like else "resize",
        "images": "float32 (batch, 1, 28, 28) in [0, 1], " + ("white on black" if trained.mnist_like else "grey"),
        "checkpoint": trained.file_name,
        "checkpoint_sha256": trained.sha256,
        "zoo": __version__,
        **({"members": json.dumps(list(trained.model.members))} if isinstance(trained.model, Committee) else {}),
    }


def check_packages(format_name: str, packages: tuple[str, ...]) -> None:
    """Check that packages are installed.

    Raises:
        UsageError: One is missing.
    """
    from importlib.util import find_spec

    if missing := [package for package in packages if find_spec(package) is None]:
        raise UsageError(f"The format {format_name} needs {', '.join(missing)}: {install_extra('export')}.")


def _write_torch_export(model: Classifier, path: Path, metadata: dict[str, str]) -> None:
    buffer = io.BytesIO()
    program = traced(model).run_decompositions({})  # torch 2.11 cannot save the functions of torch.vmap
    torch.export.save(program, buffer, extra_files=metadata)
    path.write_bytes(buffer.getvalue())  # torch.export.save(path) reports a full disk only as a failed write


def _read_torch_export(model: Classifier, path: Path) -> Callable[[Tensor], Tensor]:
    with path.open("rb") as file:
        exported: Callable[[Tensor], Tensor] = torch.export.load(file).module()
    return exported


def _write_safetensors(model: Classifier, path: Path, metadata: dict[str, str]) -> None:
    from safetensors.torch import save

    tensors = {name: value.detach().contiguous().clone() for name, value in model.state_dict().items()}
    metadata = {
        **metadata,
        "class_path": class_path_of(type(model)),
        "arguments": json.dumps(dict(model.hparams)),
    }
    path.write_bytes(save(tensors, metadata=metadata))


def _read_safetensors(model: Classifier, path: Path) -> Callable[[Tensor], Tensor]:
    from safetensors import safe_open

    with safe_open(str(path), framework="pt") as file:
        arguments = json.loads(file.metadata()["arguments"])
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # not a dict
    with torch.inference_mode(mode=False):
        exported = type(model)(**arguments)
        exported.load_state_dict(weights)
    return exported.eval()


FORMATS = {
    "onnx": Format(".onnx", ONNX_PACKAGES, write_onnx, read_onnx),
    "safetensors": Format(".safetensors", ("safetensors",), _write_safetensors, _read_safetensors),
    "torch_export": Format(".pt2", (), _write_torch_export, _read_torch_export),
}
"""Name to format: a graph for other programs, weights and arguments alone, and a graph for torch."""
