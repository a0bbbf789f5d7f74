"""``zoo export``: write a trained member in another format."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.cli.arguments import ShortErrorParser
from zoo.pretrained.registry import best_members
from zoo.pretrained.sources import check_source, is_checkpoint, name_of_checkpoint, on_hub
from zoo.utils.denormals import flush_denormals
from zoo.utils.errors import UsageError
from zoo.utils.files import check_output, display_path, is_stream

if TYPE_CHECKING:
    from zoo.pretrained.trained_classifier import TrainedClassifier

SUFFIXES = {"onnx": ".onnx", "safetensors": ".safetensors", "torch_export": ".pt2"}
"""Name of a format to the suffix of its files."""


def run(verb: str, arguments: list[str]) -> int:
    """Export the member and return the exit status."""
    options = _parser().parse_args(arguments)
    names = options.names if options.best is None else best_members(options.best)
    if not names or (options.best is not None and options.names):
        raise UsageError("Name a member, or several for a committee, or give --best without names.")
    for each in names:
        check_source(each)  # report a misspelled name before the slow imports
    name = _name_of(names[0]) if len(names) == 1 else "committee"
    by_suffix = {suffix: format_name for format_name, suffix in SUFFIXES.items()}
    format_name = options.format or by_suffix.get(options.output.suffix if options.output else "")
    if format_name is None:
        _export_folder(names, name, options.output or Path(f"{name}-onnx"))
    else:
        _export_file(names, name, format_name, options.output or Path(name + SUFFIXES[format_name]))
    return 0


def _parser() -> ShortErrorParser:
    parser = ShortErrorParser(
        prog="zoo export",
        description="Write a trained network for other programs. Images are float32 (B, 1, 28, 28) in [0, 1] under the "
        "name `images`, and the output is the logits (B, 10) under the name `logits`, for any B. What was written is "
        "read back and compared. Without --format, a folder is written: the network as ONNX in float32, float16 and "
        "int8, with the test errors of each, and Python files that make pictures ready without the zoo and torch.",
        epilog="Several networks are written as one: a committee, whose logits are the log of the mean probability.",
    )
    parser.add_argument("names", metavar="NAME", nargs="*", help="a trained member, or a checkpoint of `zoo fit`")
    parser.add_argument(
        "--best", type=int, metavar="N", help="the N members with the highest accuracy on the validation images"
    )
    parser.add_argument(
        "--format",
        choices=tuple(SUFFIXES),
        help="write a single file; onnx and safetensors need the extra `export` (default: by the suffix of --output)",
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="PATH",
        help="the file (default: NAME, or committee, and a suffix) or the folder (default: NAME-onnx)",
    )
    return parser


def _export_file(names: list[str], name: str, format_name: str, path: Path) -> None:
    check_output(path)
    from zoo.inference.export import export, metadata_of

    flush_denormals()
    trained = _load(names)
    deviation = export(trained.model, format_name, path, metadata_of(trained))
    differs = f"differs from {name} by at most {deviation:.1e} of the largest logit" if deviation else f"equals {name}"
    comparison = f"read back, it {differs}"
    if is_stream(path):  # standard output perhaps
        print(f"{name}: {comparison}", file=sys.stderr)
    else:
        print(f"{display_path(path)}: {path.stat().st_size:,} bytes; {comparison}")


def _export_folder(names: list[str], name: str, folder: Path) -> None:
    if is_stream(folder) or folder.is_file():
        raise UsageError(f"{folder} is no folder: name one, or say by --format which kind of file is to be written.")
    check_output(folder / f"{name}.onnx")
    from zoo.inference.onnx_folder import export_folder

    flush_denormals()
    exported = export_folder(_load(names), name, folder)
    for file in exported.models:
        errors = "" if file.errors is None else f", {file.errors:,} errors on the 10,000 test images"
        print(f"{display_path(file.path)}: {file.path.stat().st_size:,} bytes{errors}")
    if exported.errors is None:
        print("int8 is left out: it is made with images of MNIST, and this network has other classes.")
    else:
        print(f"{name} itself makes {exported.errors:,} errors.")
    print(f"In float32, the logits differ by at most {exported.deviation:.1e} of the largest one.")
    example = display_path(folder / "example.py")
    print(
        "To classify pictures without the zoo: pip install onnxruntime numpy pillow (for photographs also "
        f"opencv-python-headless), then python {example} PICTURE"
    )


def _name_of(source: str) -> str:
    if is_checkpoint(source):
        return name_of_checkpoint(Path(source)).replace("/", "-")
    return source.partition("@")[0].rpartition("/")[2] if on_hub(source) else source


def _load(names: list[str]) -> TrainedClassifier:
    """Return a network, or several as a committee."""
    from zoo.inference.ensemble import Committee
    from zoo.pretrained.loading import load_classifier
    from zoo.pretrained.trained_classifier import TrainedClassifier

    if len(names) == 1:
        return load_classifier(names[0])
    committee = Committee(names)
    files, digests = ([getattr(each, name) for each in committee.members.values()] for name in ("file_name", "sha256"))
    return TrainedClassifier(
        committee,
        committee.class_names,
        committee.mnist_like,
        file_name=", ".join(files),
        sha256=", ".join(digests),
    )
