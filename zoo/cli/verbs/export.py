"""``zoo export``: write a trained member in another format."""

from __future__ import annotations

import sys
from pathlib import Path

from zoo.cli.arguments import ShortErrorParser
from zoo.pretrained.registry import best_members, list_models, model_info
from zoo.utils.denormals import flush_denormals
from zoo.utils.errors import UsageError
from zoo.utils.files import check_output, display_path, is_stream

FORMATS = ("onnx", "safetensors", "torch_export")


def run(verb: str, arguments: list[str]) -> int:
    """Export the member and return the exit status."""
    parser = ShortErrorParser(
        prog="zoo export",
        description="Write a trained network for other programs. Images are float32 (B, 1, 28, 28) in [0, 1] under the "
        "name `images`, and the output is the logits (B, 10), for any B. What was written is read back and compared.",
        epilog="Several networks are written as one: a committee, whose logits are the log of the mean probability.",
    )
    parser.add_argument("names", metavar="NAME", nargs="*", help="a trained member, or a checkpoint of `zoo fit`")
    parser.add_argument(
        "--best", type=int, metavar="N", help="the N members with the highest accuracy on the validation images"
    )
    parser.add_argument("--format", choices=FORMATS, required=True, help="onnx and safetensors need the extra `export`")
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="the file (default: NAME, or committee, and a suffix)"
    )
    options = parser.parse_args(arguments)
    names = options.names if options.best is None else best_members(options.best)
    if not names or (options.best is not None and options.names):
        raise UsageError("Name a member, or several for a committee, or give --best without names.")
    for each in names:
        if each in list_models() or not Path(each).is_file():
            model_info(each)  # report a misspelled name before the slow imports
    name = "committee" if len(names) > 1 else Path(names[0]).stem if names[0] not in list_models() else names[0]
    if options.output:
        check_output(options.output)

    from zoo.inference import export
    from zoo.inference.ensemble import create_committee
    from zoo.pretrained.loading import TrainedClassifier, load_classifier

    path = options.output or Path(name + export.FORMATS[options.format].suffix)
    check_output(path)
    flush_denormals()
    if len(names) == 1:
        trained = load_classifier(names[0])
    else:
        committee = create_committee(names)
        trained = TrainedClassifier(committee, committee.class_names, committee.mnist_like)
    deviation = export.export(trained.model, options.format, path, trained.temperature)
    differs = f"differs from {name} by at most {deviation:.1e} of the largest logit" if deviation else f"equals {name}"
    comparison = f"read back, it {differs}"
    if is_stream(path):  # standard output perhaps
        print(f"{name}: {comparison}", file=sys.stderr)
    else:
        print(f"{display_path(path)}: {path.stat().st_size:,} bytes; {comparison}")
    return 0
