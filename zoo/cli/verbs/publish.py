"""``zoo publish NAME RUN.ckpt``: write a pretrained checkpoint and its entry in the index."""

from __future__ import annotations

from zoo.cli.arguments import ShortErrorParser
from zoo.pretrained.registry import demonstrations_path, index_path, model_info
from zoo.utils.denormals import flush_denormals
from zoo.utils.files import display_path


def run(verb: str, arguments: list[str]) -> int:
    """Publish the runs and return the exit status."""
    parser = ShortErrorParser(
        prog="zoo publish",
        description="Ship a member's trained network of seed 0, with the metrics of all its seeds.",
    )
    parser.add_argument("name", help="the member")
    parser.add_argument("runs", nargs="+", help="checkpoints of finished runs: seed 0, and 1, 2, … if any")
    options = parser.parse_args(arguments)

    from zoo.pretrained.publishing import publish

    flush_denormals()
    entry = publish(options.name, options.runs)
    form = "seed {seed}: {test_errors} errors" if "test_errors" in entry else "seed {seed}: {log_likelihood:.2f} nats"
    runs = ", ".join(form.format(**run) for run in entry["runs"])
    print(f"{options.name}: {entry['bytes']:,} bytes, sha256 {entry['sha256'][:16]}…, {runs}")
    info = model_info(options.name)
    index = index_path() if info.metrics else demonstrations_path()
    print(f"Wrote {display_path(info.checkpoint)} and {display_path(index)}.")
    print("In a clone, `python -m docs.generate` writes the documentation's tables anew.")
    return 0
