"""The pages on the command line and the configs."""

from __future__ import annotations

import contextlib
import io
import os

from zoo.cli import VERBS, main
from zoo.pretrained.registry import packaged_config, packaged_configs


def commands() -> str:
    """Return what each command prints for ``--help``."""
    parts = ["# Command line", "What `zoo COMMAND --help` prints. `zoo fit --help_all` prints all settings."]
    for verb, (_, purpose) in VERBS.items():
        parts += [f"## zoo {verb}", f"{purpose[0].upper()}{purpose[1:]}.", f"```text\n{_help(verb)}\n```"]
    return "\n\n".join(parts) + "\n"


def configs() -> str:
    """Return the configs that ship, except those of the members, which their cards have."""
    parts = [
        "# Configs",
        "`--config NAME` takes any of these, and again for a second one, which changes settings of the first. The "
        "configs of the members are on [their cards](../members/index.md).",
    ]
    for name in packaged_configs():
        path = packaged_config(name)
        if path is not None and "/" in name:
            parts += [f"## {name}", f"```yaml\n{path.read_text(encoding='utf-8').strip()}\n```"]
    return "\n\n".join(parts) + "\n"


def _help(verb: str) -> str:
    output = io.StringIO()
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = "100"
    try:
        with contextlib.redirect_stdout(output), contextlib.suppress(SystemExit):
            main([verb, "--help"])
    finally:
        if before is None:
            del os.environ["COLUMNS"]
        else:
            os.environ["COLUMNS"] = before
    return output.getvalue().strip()
