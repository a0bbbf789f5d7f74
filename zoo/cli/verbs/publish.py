"""``zoo publish NAME RUN.ckpt``: write a pretrained checkpoint and its entry in the index."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from zoo.cli.arguments import ShortErrorParser
from zoo.pretrained.registry import (
    demonstrations_path,
    index_path,
    model_info,
    read_demonstrations,
    read_index,
    table_path,
)
from zoo.utils.denormals import flush_denormals
from zoo.utils.errors import UsageError
from zoo.utils.files import display_path

if TYPE_CHECKING:
    from zoo.pretrained.entries import Entry, LikelihoodEntry


def run(verb: str, arguments: list[str]) -> int:
    """Publish a network, the runs of a study, or the index of all tables, and return the exit status."""
    parser = ShortErrorParser(
        prog="zoo publish",
        description="Ship a member's trained network of seed 0, and add runs of its recipe to the published ones.",
    )
    parser.add_argument("name", nargs="?", help="the member")
    parser.add_argument("runs", nargs="*", help="checkpoints of finished runs: seed 0, and 1, 2, … if any")
    parser.add_argument("--study", type=Path, metavar="DIR", help="add the runs of a study; the network stays")
    parser.add_argument(
        "--index", action="store_true", help="write the runs of all members in the index from checkpoints/studies"
    )
    parser.add_argument(
        "--half",
        action="store_true",
        help="write half as many bytes, in half precision, if that changes no prediction",
    )
    options = parser.parse_args(arguments)
    shipped_in_half = options.half and not options.runs
    what = sum((bool(options.runs), options.study is not None, options.index, shipped_in_half))
    if what != 1 or options.index == bool(options.name):
        raise UsageError(
            "Say what is published: `zoo publish NAME RUN.ckpt …` a network, `zoo publish NAME --half` the one that "
            "ships, rounded, `zoo publish NAME --study DIR` the runs of a study, or `zoo publish --index` the index "
            "of all tables."
        )
    flush_denormals()
    if options.index:
        from zoo.pretrained.publishing import publish_runs

        for name in (*read_index(), *read_demonstrations()):
            _report(name, publish_runs(name, []))
    elif options.study is not None:
        from zoo.studies.publishing import publish_study

        _report(options.name, publish_study(options.name, options.study))
    else:
        from zoo.pretrained.publishing import publish, publish_in_half

        name, runs = options.name, options.runs
        entry = publish_in_half(name) if shipped_in_half else publish(name, runs, half=options.half)
        print(f"{name}: {entry['bytes']:,} bytes, sha256 {entry['sha256'][:16]}…")
        if not shipped_in_half:
            _report(name, entry)
        print(f"Wrote {display_path(model_info(options.name).checkpoint)}.")
    print("In a clone, `python -m docs.generate` writes the documentation's tables anew.")
    return 0


def _report(name: str, entry: Entry | LikelihoodEntry) -> None:
    """Print the published runs of a member or demonstration, and the files."""
    form = "seed {seed}: {test_errors} errors" if "test_errors" in entry else "seed {seed}: {log_likelihood:.2f} nats"
    for each in (entry, *entry["elsewhere"]):
        print(f"{name} on {each['runs_on']}: {', '.join(form.format(**run) for run in each['runs'])}")
    index = index_path() if "test_errors" in entry else demonstrations_path()
    print(f"Wrote {display_path(table_path(name))} and {display_path(index)}.")
