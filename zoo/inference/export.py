"""Export of trained members to other programs' formats. Each file is read back and compared with the network."""

from __future__ import annotations

import io
import json
import logging
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.export import Dim

from zoo.data.mnist import load_test_data
from zoo.inference.ensemble import Committee
from zoo.models import Classifier
from zoo.pretrained.evaluation import golden_images
from zoo.utils.class_paths import class_path_of
from zoo.utils.errors import UsageError, unknown_name
from zoo.utils.files import MARKER, atomic_path

MAX_DEVIATION = 1e-4
"""Maximum deviation of a logit, relative to the largest logit. Other programs sum in another order."""
TRACING_BATCH_SIZE = 3
"""Batch size for tracing. The exported network accepts any batch size."""


class Format(NamedTuple):
    """A file format for export."""

    suffix: str
    packages: tuple[str, ...]
    """Packages that the format requires and the zoo does not depend on."""
    write: Callable[[Classifier, Path, dict[str, str]], None]
    """Writes the network and its metadata."""
    read: Callable[[Classifier, Path], Callable[[Tensor], Tensor]]
    """Returns the exported network as a function from images to logits."""


def export(model: Classifier, format_name: str, path: Path, temperature: float = 1.0) -> float:
    """Export a trained network, read the file back and compare its logits with the network's on real images.

    Args:
        model: A network in eval mode.
        format_name: A name in `FORMATS`.
        path: The file, or a device or pipe. An existing file is replaced only if the zoo has written it, and only after
            the comparison has succeeded.
        temperature: What divides the logits for calibrated probabilities. It is stored in the metadata.

    Returns:
        The maximum deviation of a logit, relative to the largest logit.

    Raises:
        UsageError: The format is unknown or needs a package that is missing, the file cannot be written, or the
            exported network deviates.
    """
    if format_name not in FORMATS:
        raise unknown_name("format", format_name, FORMATS)
    metadata = {"source": MARKER, "temperature": str(temperature)}
    if isinstance(model, Committee):
        if format_name == "safetensors":
            raise UsageError("A committee has no weights of its own: export each member, or take onnx.")
        metadata["members"] = json.dumps(list(model.members))
    chosen = FORMATS[format_name]
    _check_packages(format_name, chosen.packages)
    images = golden_images(load_test_data())
    with atomic_path(path) as temporary, torch.inference_mode():
        with _quiet():
            chosen.write(model, temporary, metadata)
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


def _check_packages(format_name: str, packages: tuple[str, ...]) -> None:
    from importlib.util import find_spec

    if missing := [package for package in packages if find_spec(package) is None]:
        raise UsageError(
            f"The format {format_name} needs {', '.join(missing)}: install the zoo with its extra `export`, in a clone "
            'by `pip install -e ".[export]"`.'
        )


class _quiet:
    """Suppress the exporters' warnings and log messages."""

    def __enter__(self) -> None:
        self._caught = warnings.catch_warnings()
        self._caught.__enter__()
        warnings.simplefilter("ignore")
        self._before = logging.root.manager.disable
        logging.disable(logging.WARNING)

    def __exit__(self, *_: object) -> None:
        logging.disable(self._before)
        self._caught.__exit__(None, None, None)


def _traced(model: Classifier) -> Any:
    images = torch.rand(TRACING_BATCH_SIZE, *model.input_shape)
    # Inference mode must be off: a network that is trained by autograd cannot be traced in it.
    with torch.inference_mode(mode=False), torch.no_grad():
        return torch.export.export(model, (images.clone(),), dynamic_shapes={"images": {0: Dim("batch", min=1)}})


def _write_onnx(model: Classifier, path: Path, metadata: dict[str, str]) -> None:
    names: dict[str, Any] = {"input_names": ["images"], "output_names": ["logits"]}
    program: Any = torch.onnx.export(_traced(model), dynamo=True, verbose=False, **names)
    model_proto = program.model_proto  # made anew at each access
    for key, value in metadata.items():
        model_proto.metadata_props.add(key=key, value=value)
    path.write_bytes(model_proto.SerializeToString())


def _read_onnx(model: Classifier, path: Path) -> Callable[[Tensor], Tensor]:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (name,) = (each.name for each in session.get_inputs())
    return lambda images: torch.from_numpy(session.run(None, {name: images.numpy()})[0])


def _write_torch_export(model: Classifier, path: Path, metadata: dict[str, str]) -> None:
    buffer = io.BytesIO()
    torch.export.save(_traced(model), buffer, extra_files=metadata)
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
    "onnx": Format(".onnx", ("onnx", "onnxscript", "onnxruntime"), _write_onnx, _read_onnx),
    "safetensors": Format(".safetensors", ("safetensors",), _write_safetensors, _read_safetensors),
    "torch_export": Format(".pt2", (), _write_torch_export, _read_torch_export),
}
"""Name to format: a graph for other programs, weights and arguments alone, and a graph for torch."""
