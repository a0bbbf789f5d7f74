"""Run the tests that an earlier run skipped for want of an extra, and fail if any is skipped again.

The reason of such a skip names the extra, as in "needs JAX, which is in .[bench]", or the system's package, as in
"apt install chromium". Usage: ``python .ci/extras.py REPORT.xml``, with the file that ``pytest --junitxml`` wrote.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path
from xml.etree import ElementTree

FOR_WANT_OF_AN_EXTRA = re.compile(r"\.\[\w+\]|apt install")


def skipped_tests(report: Path) -> dict[str, str]:
    """Return the skipped tests of a JUnit report, as pytest's command line takes them, and the reasons."""
    found = {}
    for case in ElementTree.parse(report).iter("testcase"):
        skipped = case.find("skipped")
        if skipped is not None:
            reason = f"{skipped.get('message', '')} {skipped.text or ''}"
            found[_node_id(case.get("classname", ""), case.get("name", ""))] = reason
    return found


def _node_id(class_name: str, name: str) -> str:
    # A module that was skipped as a whole has no class name, and its own dotted name for a name.
    module = (class_name or name).replace(".", "/") + ".py"
    return f"{module}::{name}" if class_name else module


def main() -> int:
    """Run them and return the exit status."""
    tests = [test for test, reason in skipped_tests(Path(sys.argv[1])).items() if FOR_WANT_OF_AN_EXTRA.search(reason)]
    if not tests:
        print("No test was skipped for want of an extra: this check finds them by their reasons, see .ci/extras.py.")
        return 1
    print("Skipped for want of an extra, and run now:", *tests, sep="\n  ", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "extras.xml")
        status = subprocess.call([sys.executable, "-m", "pytest", "-n", "2", f"--junitxml={report}", *tests])
        again = skipped_tests(report) if report.is_file() else {}
    for test, reason in again.items():
        print(f"Skipped again: {test}: {' '.join(reason.split())}")
    return status or int(bool(again))


if __name__ == "__main__":
    sys.exit(main())
