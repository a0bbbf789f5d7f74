"""``zoo verify``: verify the pretrained networks."""

from __future__ import annotations

import sys

from zoo.cli.arguments import ShortErrorParser
from zoo.pretrained.registry import list_models, model_info, read_demonstrations
from zoo.utils.denormals import flush_denormals
from zoo.utils.errors import UsageError


def run(verb: str, arguments: list[str]) -> int:
    """Verify the networks and return the exit status: 0, or 1 if one differs from what was published."""
    parser = ShortErrorParser(
        prog="zoo verify",
        description="Check trained networks that ship: the file's sha256, the logits of ten images, the validation "
        "accuracy, and on the 10,000 test images the exact number of errors, the likelihood and the calibration.",
    )
    parser.add_argument("names", nargs="*", help="members, or the demonstration rbm; none means all")
    parser.add_argument("--all", action="store_true", help="everything that ships")
    options = parser.parse_args(arguments)
    if options.all and options.names:
        parser.error("give names or --all, not both")
    names = options.names or [*list_models(pretrained=True), *read_demonstrations()]
    if not names:
        raise UsageError("No member ships a trained network, so there is nothing to verify.")
    for name in names:
        model_info(name)  # report a misspelled name before the slow imports

    from zoo.data.mnist import load_test_data
    from zoo.pretrained.evaluation import Evaluation
    from zoo.pretrained.verification import verify

    flush_denormals()
    data = load_test_data()
    width = max(map(len, names))
    failures = 0
    for name in names:
        try:
            measured = verify(name, data)
        except UsageError as error:
            failures += 1
            print(f"{name:<{width}}  FAILED", flush=True)
            print(f"zoo: {error}", file=sys.stderr, flush=True)
        else:
            summary = (
                f"ten images' logits, {measured.errors:,} errors of {measured.images:,}"
                if isinstance(measured, Evaluation)
                else f"ten images' free energies, log-likelihood {measured.log_likelihood:.2f} nats"
            )
            print(f"{name:<{width}}  ok: sha256, {summary}", flush=True)
    return 1 if failures else 0
