"""``zoo export``: write a trained member in another format."""

from __future__ import annotations

import sys
from pathlib import Path

from zoo.cli.arguments import ShortErrorParser
from zoo.pretrained.registry import list_models, model_info
from zoo.utils.denormals import flush_denormals
from zoo.utils.files import check_output, display_path, is_stream

FORMATS = ("onnx", "safetensors", "torch_export")


def run(verb: str, arguments: list[str]) -> int:
    """Export the member and return the exit status."""
    parser = ShortErrorParser(
        prog="zoo export",
        description="Write a trained network for other programs. Images are float32 (B, 1, 28, 28) in [0, 1] under the "
        "name `images`, and the output is the logits (B, 10), for any B. What was written is read back and compared.",
    )
    parser.add_argument("name", metavar="NAME", help="a trained member, or a checkpoint of `zoo fit`")
    parser.add_argument("--format", choices=FORMATS, required=True, help="onnx and safetensors need the extra `export`")
    parser.add_argument("--output", type=Path, metavar="FILE", help="the file (default: NAME with the format's suffix)")
    options = parser.parse_args(arguments)
    name = (
        Path(options.name).stem if Path(options.name).is_file() and options.name not in list_models() else options.name
    )
    if name == options.name:
        model_info(name)  # report a misspelled name before the slow imports
    if options.output:
        check_output(options.output)

    from zoo.inference import export
    from zoo.pretrained.loading import load_classifier

    path = options.output or Path(name + export.FORMATS[options.format].suffix)
    check_output(path)
    flush_denormals()
    trained = load_classifier(options.name)
    deviation = export.export(trained.model, options.format, path, trained.temperature)
    differs = f"differs from {name} by at most {deviation:.1e} of the largest logit" if deviation else f"equals {name}"
    comparison = f"read back, it {differs}"
    if is_stream(path):  # standard output perhaps
        print(f"{name}: {comparison}", file=sys.stderr)
    else:
        print(f"{display_path(path)}: {path.stat().st_size:,} bytes; {comparison}")
    return 0
