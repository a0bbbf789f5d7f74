"""ONNX files of networks: one contract for all of them, in single precision, half precision and 8-bit integers."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from zoo.inference.tracing import traced
from zoo.models import Classifier

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto

ONNX_PACKAGES = ("onnx", "onnxscript", "onnxruntime")
"""Packages that are needed to write a file."""
OPSET = 20
"""Version of ONNX's operators. onnxruntime has them since 1.17."""
INPUT, OUTPUT, BATCH = "images", "logits", "batch"
CALIBRATION_BATCH_SIZE = 100
DYNAMIC = {"LSTM", "GRU", "RNN", "Softplus"}
"""Operators of networks that `quantize_dynamic` quantizes. Only it quantizes the weights of recurrent layers; and free
energies are sums of hundreds of softplus terms, of which 8 bits leave too little."""


def write_onnx(model: Classifier, path: Path, metadata: Mapping[str, str]) -> None:
    """Write a network from ``images`` float32 ``(batch, 1, 28, 28)`` to ``logits`` float32 ``(batch, classes)``.

    Args:
        model: A network in eval mode.
        path: The file.
        metadata: What the file says of itself.
    """
    names: dict[str, Any] = {"input_names": [INPUT], "output_names": [OUTPUT], "opset_version": OPSET}
    program: Any = torch.onnx.export(traced(model), dynamo=True, verbose=False, **names)
    proto = program.model_proto  # made anew at each access
    _name_batch(proto)
    _write(proto, path, metadata)


def _name_batch(proto: ModelProto) -> None:
    """Give the batch axis its name, for which tracing has one of its own, such as ``s34``."""
    graph = proto.graph
    traced_name = graph.input[0].type.tensor_type.shape.dim[0].dim_param
    for value in (*graph.input, *graph.output, *graph.value_info):
        for dimension in value.type.tensor_type.shape.dim:
            if dimension.dim_param == traced_name:
                dimension.dim_param = BATCH


def _write(proto: ModelProto, path: Path, metadata: Mapping[str, str]) -> None:
    del proto.metadata_props[:]
    for key, value in metadata.items():
        proto.metadata_props.add(key=key, value=value)
    path.write_bytes(proto.SerializeToString())


def read_onnx(model: Classifier, path: Path) -> Callable[[Tensor], Tensor]:
    """Return a written network as a function from images to logits."""
    session = open_session(path)
    return lambda images: torch.from_numpy(session.run([OUTPUT], {INPUT: images.numpy()})[0])


def open_session(path: Path) -> Any:
    """Return an onnxruntime session on the CPU, with as many threads as torch has."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3  # errors
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def write_float16(source: Path, path: Path, metadata: Mapping[str, str]) -> None:
    """Write a network with weights and activations in half precision. Images and logits stay in single precision.

    Args:
        source: What `write_onnx` has written.
        path: The file.
        metadata: What the file says of itself.
    """
    import onnx
    from onnxruntime.transformers.float16 import convert_float_to_float16

    _write(convert_float_to_float16(onnx.load(str(source)), keep_io_types=True), path, metadata)


def write_int8(source: Path, path: Path, metadata: Mapping[str, str], images: Tensor) -> None:
    """Write a network with 8-bit weights and activations, by onnxruntime's quantizer. Images and logits stay float32.

    The ranges of activations are those on the given images (`quantize_static`). Recurrent networks, for which
    onnxruntime's documentation recommends it, and generative DBNs are quantized as they run (`quantize_dynamic`).

    Weights have one scale for each output, except those of an ensemble, for which onnxruntime 1.20 to 1.30 have no
    such product. They have 7 of the 8 bits: with more, sums saturate on processors without VNNI.

    Args:
        source: What `write_onnx` has written.
        path: The file.
        metadata: What the file says of itself.
        images: Images as the network sees them, ``(N, 1, 28, 28)``. Test images must not be among them.
    """
    import onnx
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_dynamic, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with tempfile.TemporaryDirectory() as folder:
        prepared, quantized = Path(folder, "prepared.onnx"), Path(folder, "quantized.onnx")
        # Folds constants, so that the weights of an LSTM are seen as such.
        quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
        proto = onnx.load(str(prepared))
        graph = proto.graph
        if DYNAMIC & {node.op_type for node in graph.node}:
            _forget_weight_shapes(proto)
            onnx.save(proto, str(prepared))
            quantize_dynamic(prepared, quantized, weight_type=QuantType.QInt8)
        else:
            quantize_static(
                prepared,
                quantized,
                _Calibration(images),
                quant_format=QuantFormat.QDQ,
                per_channel=not _has_stacked_weights(graph),
                reduce_range=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
            )
        _write(onnx.load(str(quantized)), path, metadata)


def _forget_weight_shapes(proto: ModelProto) -> None:
    """Remove the second entry of each weight's shape. onnxruntime 1.20 leaves it as it was when it transposes one."""
    graph = proto.graph
    weights = {tensor.name for tensor in graph.initializer}
    kept = [value for value in graph.value_info if value.name not in weights]
    del graph.value_info[:]
    graph.value_info.extend(kept)


def _has_stacked_weights(graph: GraphProto) -> bool:
    """Return whether a matrix product has the weights of several networks."""
    stacked = {tensor.name for tensor in graph.initializer if len(tensor.dims) > 2}
    return any(node.op_type == "MatMul" and stacked & set(node.input) for node in graph.node)


class _Calibration:
    """Images in batches, as onnxruntime's quantizer takes them."""

    def __init__(self, images: Tensor) -> None:
        self._batches: Iterator[Tensor] = iter(images.split(CALIBRATION_BATCH_SIZE))

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        batch = next(self._batches, None)
        return None if batch is None else {INPUT: batch.numpy()}
