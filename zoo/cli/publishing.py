"""``zoo publish NAME RUN.ckpt``: make the checkpoint that ships and its entry in the index."""

from __future__ import annotations

from pathlib import Path

from zoo.cli.arguments import ShortErrorParser
from zoo.publishing import publish


def run(verb: str, arguments: list[str]) -> int:
    """Publish and return the exit status."""
    parser = ShortErrorParser(prog="zoo publish", description="Ship a member's trained network.")
    parser.add_argument("name", help="the member")
    parser.add_argument("run", type=Path, help="the checkpoint of a finished run with seed 0")
    parser.add_argument("others", type=Path, nargs="*", help="checkpoints of other seeds, for the mean")
    options = parser.parse_args(arguments)
    entry = publish(options.name, options.run, options.others)
    errors = ", ".join(f"seed {run['seed']}: {run['test_errors']}" for run in entry["runs"])
    print(f"{options.name}: {entry['bytes']:,} bytes, sha256 {entry['sha256'][:16]}…, test errors {errors}")
    return 0
