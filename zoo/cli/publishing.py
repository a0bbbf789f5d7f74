"""``zoo publish NAME RUN.ckpt``: make the checkpoint that ships and its entry in the index."""

from __future__ import annotations

from zoo.cli.arguments import ShortErrorParser
from zoo.files import as_typed
from zoo.members import index_path, model_info


def run(verb: str, arguments: list[str]) -> int:
    """Publish and return the exit status."""
    parser = ShortErrorParser(
        prog="zoo publish",
        description="Ship a member's trained network of seed 0, with the figures of all its seeds.",
    )
    parser.add_argument("name", help="the member")
    parser.add_argument("runs", nargs="+", help="checkpoints of finished runs: seed 0, and 1, 2, … if any")
    options = parser.parse_args(arguments)

    from zoo.publishing import publish

    entry = publish(options.name, options.runs)
    errors = ", ".join(f"seed {run['seed']}: {run['test_errors']}" for run in entry["runs"])
    print(f"{options.name}: {entry['bytes']:,} bytes, sha256 {entry['sha256'][:16]}…, test errors {errors}")
    print(f"Wrote {as_typed(model_info(options.name).checkpoint)} and {as_typed(index_path())}.")
    print("The README's table is what `zoo list --pretrained --sort accuracy --markdown` prints.")
    return 0
