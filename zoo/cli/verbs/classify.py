"""``zoo classify IMAGE…``: ask the trained members about pictures of one's own."""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.cli.arguments import ShortErrorParser
from zoo.pretrained.registry import list_models, model_info
from zoo.utils.errors import UsageError
from zoo.utils.files import as_typed, atomic_path

if TYPE_CHECKING:
    from torch import Tensor

    from zoo.data.preprocessing import Digit
    from zoo.inference.ensemble import Answers

CHUNK = 500
"""Pictures that are read before the members are asked."""
ENLARGED = 10
"""How many pixels of a saved picture show one that the networks saw."""


@dataclass(frozen=True)
class Verdict:
    """What was found out about a picture."""

    path: Path
    digit: Digit
    probabilities: Tensor
    """Of each member, ``(K, 10)``."""
    mean: Tensor
    votes: Tensor
    class_names: Sequence[str]


def run(verb: str, arguments: list[str]) -> int:
    """Classify and return the exit status: 0, or 2 when a picture could not be read."""
    options = _parser().parse_args(arguments)
    paths = list(_pictures(options.images))
    names = list(dict.fromkeys(options.model or list_models(pretrained=True)))  # each asked once
    for name in names:
        if not Path(name).is_file():
            model_info(name)  # a misspelt name is found before seconds are spent
    complaints: list[str] = []
    verdicts = _classify(paths, names, options, complaints)
    if options.json:
        print(json.dumps([_as_json(verdict, names) for verdict in verdicts], indent=1))
    elif len(paths) == 1:
        for verdict in verdicts:
            print(_table(verdict, names))
    else:
        width = max(len(str(path)) for path in paths)
        for verdict in verdicts:
            print(_line(verdict, width))
    for complaint in complaints:
        print(f"zoo: {complaint}", file=sys.stderr)
    if complaints and len(paths) > 1:
        print(f"zoo: {len(complaints):,} of {len(paths):,} files were passed over.", file=sys.stderr)
    return 2 if complaints else 0


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
    parser.add_argument("--save", type=Path, metavar="FOLDER", help="write what the networks saw, as PNG")
    parser.add_argument(
        "--no_centre",
        action="store_true",
        help="put the middle of the digit's box into the middle, and not its centre of mass as MNIST has it",
    )
    return parser


def _pictures(named: list[Path]) -> Iterator[Path]:
    for path in named:
        if not path.is_dir():
            yield path
            continue
        # A link that leads nowhere is a picture that cannot be read, and is listed as one.
        try:
            files = [each for each in path.iterdir() if each.is_file() or not each.exists()]
        except PermissionError:
            raise UsageError(f"The folder {path} may not be read: change its permissions.") from None
        inside = sorted(each for each in files if not each.name.startswith("."))
        if not inside:
            raise UsageError(f"The folder {path} holds no files: name one with pictures in it.")
        yield from inside


def _classify(
    paths: list[Path], names: list[str], options: argparse.Namespace, complaints: list[str]
) -> Iterator[Verdict]:
    import torch
    from tqdm import tqdm

    from zoo.data.preprocessing import Digit, read_digit, resize
    from zoo.inference.ensemble import Committee
    from zoo.utils.console import is_watched

    committee = Committee(names)
    saved: Counter[str] = Counter()
    silent = len(paths) < 100 or not is_watched()
    with tqdm(total=len(paths), desc="Classifying", leave=False, disable=silent) as bar:
        for start in range(0, len(paths), CHUNK):
            read: list[tuple[Path, Digit]] = []
            for path in paths[start : start + CHUNK]:
                bar.update()
                try:
                    if committee.mnist_like:
                        read.append((path, read_digit(path, centre=not options.no_centre)))
                    else:
                        read.append((path, Digit(resize(path))))
                except UsageError as error:
                    complaints.append(_with_name(path, error))
            if not read:
                continue
            answers = committee.ask(torch.stack([digit.pixels for _, digit in read]))
            if options.save:
                for path, digit in read:
                    saved[path.stem] += 1
                    number = f"-{saved[path.stem]}" * (saved[path.stem] > 1)  # of one name in several folders
                    _save(options.save / f"{path.stem}-seen{number}.png", digit.pixels)
            yield from _verdicts(read, answers, committee.class_names)


def _verdicts(read: list[tuple[Path, Digit]], answers: Answers, class_names: Sequence[str]) -> Iterator[Verdict]:
    by_picture = zip(answers.probabilities.unbind(dim=1), answers.mean, answers.votes, strict=True)
    for (path, digit), (probabilities, mean, votes) in zip(read, by_picture, strict=True):
        yield Verdict(path, digit, probabilities, mean, votes, class_names)


def _with_name(path: Path, error: UsageError) -> str:
    return str(error) if str(path) in str(error) else f"{path}: {error}"


def _line(verdict: Verdict, width: int) -> str:
    answer = int(verdict.mean.argmax())
    agreeing = f", {int(verdict.votes[answer])} of {len(verdict.probabilities)} members" * (
        len(verdict.probabilities) > 1
    )
    notes = "".join(f"  {note}" for note in verdict.digit.notes)
    told = verdict.class_names[answer]
    return f"{verdict.path!s:<{width}}  {told}  {float(verdict.mean[answer]):.3f}{agreeing}{notes}"


def _table(verdict: Verdict, names: list[str]) -> str:
    answer = int(verdict.mean.argmax())
    rows = list(zip(names, verdict.probabilities, strict=True))
    told = verdict.class_names
    lines = [f"{as_typed(verdict.path)}: {told[answer]}, probability {float(verdict.mean[answer]):.3f}"]
    if len(names) > 1:
        lines[0] += f", {int(verdict.votes[answer])} of {len(names)} members agree"
        rows.append(("mean", verdict.mean))
    lines += [f"  {note}" for note in verdict.digit.notes]
    width = max(len(name) for name, _ in rows)
    widths = [max(5, len(name)) for name in told]
    widest = max(6, *map(len, told))
    head = " ".join(f"{name:>{each}}" for name, each in zip(told, widths, strict=True))
    lines.append(f"  {'':<{width}}  {'answer':>{widest}} {head}")
    for name, probabilities in rows:
        figures = " ".join(f"{value:{each}.3f}" for value, each in zip(probabilities.tolist(), widths, strict=True))
        lines.append(f"  {name:<{width}}  {told[int(probabilities.argmax())]:>{widest}} {figures}")
    return "\n".join(lines)


def _as_json(verdict: Verdict, names: list[str]) -> dict[str, Any]:
    classes = list(verdict.class_names)
    are_digits = classes == [str(digit) for digit in range(10)]

    def told(probabilities: Tensor) -> dict[str, Any]:
        answer = int(probabilities.argmax())
        return {
            "answer": answer if are_digits else classes[answer],
            "probabilities": [round(value, 6) for value in probabilities.tolist()],
        }

    return {
        "file": str(verdict.path),
        **told(verdict.mean),
        "votes": verdict.votes.tolist(),
        "members": {
            name: told(probabilities) for name, probabilities in zip(names, verdict.probabilities, strict=True)
        },
        "notes": list(verdict.digit.notes),
        **({} if are_digits else {"classes": classes}),
    }


def _save(path: Path, pixels: Tensor) -> None:
    import numpy as np
    from PIL import Image

    grey = (pixels[0] * 255).round().byte().numpy()
    with atomic_path(path) as temporary:
        Image.fromarray(np.kron(grey, np.ones((ENLARGED, ENLARGED), np.uint8))).save(temporary, format="png")
