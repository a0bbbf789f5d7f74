"""Draw the figures of ``zoo figures all`` and measure how long each takes.

Usage::

    python -m docs.time_figures FOLDER [NAME ...]

Each figure is drawn by a process of its own. Its seconds go to ``docs/data/figure_seconds.json``, beside those of the
figures that are not named.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

from zoo.figures.catalogue import FIGURES
from zoo.utils.environment import machine, versions

SECONDS = Path(__file__).parent / "data/figure_seconds.json"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output_dir", metavar="FOLDER")
    parser.add_argument("names", nargs="*", metavar="NAME")
    options = parser.parse_args()
    measured = json.loads(SECONDS.read_text(encoding="utf-8"))["seconds"] if SECONDS.exists() else {}
    for name in options.names or [name for name, figure in FIGURES.items() if figure.in_all]:
        started = time.perf_counter()
        subprocess.run([sys.executable, "-m", "zoo", "figures", name, "--output_dir", options.output_dir], check=True)
        measured[name] = round(time.perf_counter() - started, 1)
        print(f"{name}: {measured[name]} s", flush=True)
        ordered = {name: measured[name] for name in FIGURES if name in measured}
        content = {"versions": versions(), "machine": machine(), "seconds": ordered}
        SECONDS.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
