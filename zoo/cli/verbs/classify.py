"""``zoo classify IMAGE…``: classify image files with the trained members."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.cli.arguments import ShortErrorParser
from zoo.pretrained.registry import list_models
from zoo.pretrained.sources import check_source
from zoo.utils.denormals import flush_denormals
from zoo.utils.errors import UsageError
from zoo.utils.files import check_output, display_path
from zoo.utils.pictures import save_image
from zoo.utils.printable import printable

if TYPE_CHECKING:
    from torch import Tensor

    from zoo.data.preprocessing import Digit
    from zoo.inference.classification import Classification

PICTURES_PER_BATCH = 500
"""Number of pictures read before each forward pass."""
SCALE = 10
"""Factor by which the 28 by 28 input is enlarged when it is saved."""


def run(verb: str, arguments: list[str]) -> int:
    """Classify the pictures and return the exit status: 0, or 2 if a picture could not be read."""
    options = _parser().parse_args(arguments)
    paths = list(_picture_files(options.images))
    names = list(dict.fromkeys(options.model or list_models(pretrained=True)))  # without duplicates
    for name in names:
        check_source(name)  # report a misspelled name before the slow imports
    if len(paths) == 1 and not os.path.lexists(paths[0]):
        raise UsageError(f"There is no picture {paths[0]}.")
    flush_denormals()
    errors: list[str] = []
    results = _classify(paths, names, options, errors)
    if options.json:
        print(json.dumps([_as_json(result, names) for result in results], indent=1))
    elif len(paths) == 1:
        for result in results:
            print(_table(result, names))
    else:
        width = max(len(printable(path)) for path in paths)
        for result in results:
            print(_line(result, width))
    for error in errors:
        print(f"zoo: {error}", file=sys.stderr)
    if errors and len(paths) > 1:
        print(f"zoo: {len(errors):,} of {len(paths):,} files were passed over.", file=sys.stderr)
    return 2 if errors else 0


def _parser() -> ShortErrorParser:
    parser = ShortErrorParser(
        prog="zoo classify",
        description="Say which digit a picture shows: a PNG, JPEG or other file with one digit, painted or "
        "photographed, dark on light or light on dark.",
    )
    parser.add_argument("images", nargs="+", type=Path, metavar="IMAGE", help="pictures, or folders of them")
    parser.add_argument(
        "--model",
        action="append",
        metavar="NAME",
        help="ask this trained member, or a checkpoint of your own; again for more (default: all members)",
    )
    parser.add_argument("--json", action="store_true", help="print every probability as JSON")
    parser.add_argument(
        "--save",
        type=Path,
        metavar="FOLDER",
        help="write what the networks saw, and the steps that led to it, as PNG",
    )
    parser.add_argument(
        "--no_center",
        action="store_true",
        help="put the middle of the digit's box into the middle, and not its center of mass as MNIST has it",
    )
    return parser


def _picture_files(paths: list[Path]) -> Iterator[Path]:
    """Yield the given files, and the visible files of the given folders in alphabetical order."""
    for path in paths:
        if not os.path.isdir(path):  # False too where a path is too long
            yield path
            continue
        # Broken links are included, so that they are reported as unreadable.
        try:
            files = [file for file in path.iterdir() if file.is_file() or not file.exists()]
        except PermissionError:
            raise UsageError(f"The folder {path} may not be read: change its permissions.") from None
        visible = sorted(file for file in files if not file.name.startswith("."))
        if not visible:
            raise UsageError(f"The folder {path} holds no files: name one with pictures in it.")
        yield from visible


def _output_files(paths: list[Path], folder: Path) -> dict[Path, tuple[Path, Path]]:
    """Return the files for what the networks see of each picture and for the steps, checked to be writable."""
    outputs: dict[Path, tuple[Path, Path]] = {}
    named: Counter[str] = Counter()
    for path in dict.fromkeys(paths):
        named[path.stem] += 1
        # Pictures in different folders may have the same name.
        number = f"-{named[path.stem]}" * (named[path.stem] > 1)
        outputs[path] = (folder / f"{path.stem}-seen{number}.png", folder / f"{path.stem}-steps{number}.png")
        for output in outputs[path]:
            check_output(output)
    return outputs


def _classify(
    paths: list[Path], names: list[str], options: argparse.Namespace, errors: list[str]
) -> Iterator[Classification]:
    from tqdm import tqdm

    from zoo.inference.classification import Classifiers
    from zoo.utils.console import is_interactive

    outputs = _output_files(paths, options.save) if options.save else {}
    classifiers = Classifiers(names)
    hide_progress = len(paths) < 100 or not is_interactive()
    with tqdm(total=len(paths), desc="Classifying", leave=False, disable=hide_progress) as bar:
        for start in range(0, len(paths), PICTURES_PER_BATCH):
            read: list[tuple[Path, Digit]] = []
            for path in paths[start : start + PICTURES_PER_BATCH]:
                bar.update()
                try:
                    digit = classifiers.read(path, center=not options.no_center, with_steps=bool(options.save))
                except UsageError as error:
                    errors.append(_error_with_path(path, error))
                    continue
                if path in outputs:
                    _save(digit, *outputs[path])
                read.append((path, replace(digit, steps=())))  # hundreds of them would take much memory
            if read:
                yield from classifiers(read)


def _error_with_path(path: Path, error: UsageError) -> str:
    return str(error if printable(path.name) in str(error) else UsageError(f"{path}: {error}"))


def _line(result: Classification, width: int) -> str:
    prediction = int(result.mean.argmax())
    agreement = f", {int(result.votes[prediction])} of {len(result.probabilities)} members" * (
        len(result.probabilities) > 1
    )
    notes = "".join(f"  {note}" for note in result.notes())
    class_name = printable(result.class_names[prediction])
    return f"{printable(result.path):<{width}}  {class_name}  {float(result.mean[prediction]):.3f}{agreement}{notes}"


def _table(result: Classification, names: list[str]) -> str:
    prediction = int(result.mean.argmax())
    rows = list(zip(map(printable, names), result.probabilities, strict=True))
    classes = [printable(name) for name in result.class_names]
    lines = [f"{display_path(result.path)}: {classes[prediction]}, probability {float(result.mean[prediction]):.3f}"]
    if len(names) > 1:
        lines[0] += f", {int(result.votes[prediction])} of {len(names)} members agree"
        rows.append(("mean", result.mean))
    lines += [f"  {note}" for note in result.notes()]
    width = max(len(name) for name, _ in rows)
    class_widths = [max(5, len(name)) for name in classes]
    prediction_width = max(len("prediction"), *map(len, classes))
    header = " ".join(f"{name:>{size}}" for name, size in zip(classes, class_widths, strict=True))
    lines.append(f"  {'':<{width}}  {'prediction':>{prediction_width}} {header}")
    for name, probabilities in rows:
        values = " ".join(f"{p:{size}.3f}" for p, size in zip(probabilities.tolist(), class_widths, strict=True))
        lines.append(f"  {name:<{width}}  {classes[int(probabilities.argmax())]:>{prediction_width}} {values}")
    return "\n".join(lines)


def _as_json(result: Classification, names: list[str]) -> dict[str, Any]:
    classes = list(result.class_names)
    are_digits = classes == [str(digit) for digit in range(10)]

    def prediction_of(probabilities: Tensor) -> dict[str, Any]:
        prediction = int(probabilities.argmax())
        return {
            "answer": prediction if are_digits else classes[prediction],
            "probabilities": [round(value, 6) for value in probabilities.tolist()],
        }

    return {
        "file": str(result.path),
        **prediction_of(result.mean),
        "votes": result.votes.tolist(),
        "members": {
            name: prediction_of(probabilities) for name, probabilities in zip(names, result.probabilities, strict=True)
        },
        "notes": list(result.digit.notes),
        "no_digit": result.no_digit,
        **({} if are_digits else {"classes": classes}),
    }


def _save(digit: Digit, seen: Path, steps: Path) -> None:
    import numpy as np
    from PIL import Image

    from zoo.data.photographs.steps import draw_steps

    grey = (digit.pixels[0] * 255).round().byte().numpy()
    save_image(Image.fromarray(np.kron(grey, np.ones((SCALE, SCALE), np.uint8))), seen)
    if digit.steps:
        save_image(draw_steps(digit.steps), steps)
