"""Trained members in the formats of other programs, each read back and compared before it is called done."""

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
from zoo.models import Classifier
from zoo.pretrained.evaluation import golden_images
from zoo.utils.class_paths import class_path_of
from zoo.utils.errors import UsageError, unknown_name
from zoo.utils.files import atomic_path

LARGEST_DEVIATION = 1e-4
"""Of a logit, in parts of the largest one: another program sums in another order."""
EXAMPLES = 3
"""Images that the network is traced with; what is written takes any number."""


class Form(NamedTuple):
    """A format."""

    suffix: str
    needs: tuple[str, ...]
    """Packages that are not among the zoo's own."""
    write: Callable[[Classifier, Path], None]
    read: Callable[[Classifier, Path], Callable[[Tensor], Tensor]]
    """Returns what was written as a function from images to logits."""


def export(model: Classifier, form: str, path: Path) -> float:
    """Write a trained network, read it back and compare its logits of real images with the network's own.

    Args:
        model: In eval mode.
        form: A name in `FORMS`.
        path: The file; one that is there is replaced when the comparison has gone well.

    Returns:
        The largest deviation of a logit, in parts of the largest logit.

    Raises:
        UsageError: The format is unknown or needs a package that is missing, the file cannot be written, or what
            was read back differs.
    """
    if form not in FORMS:
        raise unknown_name("format", form, FORMS)
    chosen = FORMS[form]
    _check_packages(form, chosen.needs)
    images = golden_images(load_test_data())
    with atomic_path(path) as temporary, torch.inference_mode():
        with _quiet():
            chosen.write(model, temporary)
            again = chosen.read(model, temporary)
        deviations: list[float] = []
        for batch in (images, images[:1]):
            expected, found = model(batch), again(batch)
            if found.shape != expected.shape:
                raise UsageError(f"What was written as {form} gives {tuple(found.shape)} for {len(batch)} images.")
            deviations.append(float((found - expected).abs().max() / expected.abs().max()))
        if not all(deviation <= LARGEST_DEVIATION for deviation in deviations):  # one that is no number included
            raise UsageError(
                f"What was written as {form} answers otherwise than the network, by {max(deviations):.1e}."
            )
    return max(deviations)


def _check_packages(form: str, needs: tuple[str, ...]) -> None:
    from importlib.util import find_spec

    if missing := [package for package in needs if find_spec(package) is None]:
        raise UsageError(
            f"The format {form} needs {', '.join(missing)}: install the zoo with its extra `export`, in a clone by "
            '`pip install -e ".[export]"`.'
        )


class _quiet:
    """Keep the exporters' accounts of themselves off the screen."""

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
    images = torch.rand(EXAMPLES, *model.input_shape)
    # Autograd must be on to trace a network that is trained with it.
    with torch.inference_mode(mode=False), torch.no_grad():
        return torch.export.export(model, (images.clone(),), dynamic_shapes={"images": {0: Dim("batch", min=1)}})


def _write_onnx(model: Classifier, path: Path) -> None:
    program: Any = torch.onnx.export(_traced(model), dynamo=True, verbose=False)
    path.write_bytes(program.model_proto.SerializeToString())


def _read_onnx(model: Classifier, path: Path) -> Callable[[Tensor], Tensor]:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (name,) = (each.name for each in session.get_inputs())
    return lambda images: torch.from_numpy(session.run(None, {name: images.numpy()})[0])


def _write_torch_export(model: Classifier, path: Path) -> None:
    buffer = io.BytesIO()
    torch.export.save(_traced(model), buffer)
    path.write_bytes(buffer.getvalue())  # of a full disk torch says no more than that writing failed


def _read_torch_export(model: Classifier, path: Path) -> Callable[[Tensor], Tensor]:
    with path.open("rb") as file:
        found: Callable[[Tensor], Tensor] = torch.export.load(file).module()
    return found


def _write_safetensors(model: Classifier, path: Path) -> None:
    from safetensors.torch import save

    tensors = {name: value.detach().contiguous().clone() for name, value in model.state_dict().items()}
    about = {"class_path": class_path_of(type(model)), "arguments": json.dumps(dict(model.hparams))}
    path.write_bytes(save(tensors, metadata=about))


def _read_safetensors(model: Classifier, path: Path) -> Callable[[Tensor], Tensor]:
    from safetensors import safe_open

    with safe_open(str(path), framework="pt") as file:
        arguments = json.loads(file.metadata()["arguments"])
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # it is no dict
    with torch.inference_mode(mode=False):
        again = type(model)(**arguments)
        again.load_state_dict(weights)
    return again.eval()


FORMS = {
    "onnx": Form(".onnx", ("onnx", "onnxscript", "onnxruntime"), _write_onnx, _read_onnx),
    "safetensors": Form(".safetensors", ("safetensors",), _write_safetensors, _read_safetensors),
    "torch_export": Form(".pt2", (), _write_torch_export, _read_torch_export),
}
"""Name to format: a graph for other programs, weights and arguments alone, and a graph for torch."""
