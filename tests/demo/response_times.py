"""Measure how long the demo page takes from the end of a stroke to the answer of all members, and to the saliency.

Usage, on a machine with nothing else to do::

    python -m tests.demo.response_times

The browser runs on the same machine. Each of 30 digits is drawn on the empty page; the time is counted in the browser,
from the end of the last stroke until the answer, or the saliency map, is on the page.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.demo.browser import demo_server, draw, opened_page
from tests.drawn_digits import digit_strokes
from zoo.utils.environment import machine

WATCH = """() => {
  const times = window.times = {};
  const main = document.getElementById("main");
  const panel = document.getElementById("panel-saliency");
  let ended = 0;
  document.getElementById("canvas").addEventListener("pointerup", () => { ended = performance.now(); });
  // What is asked during a stroke may be answered after it: the last change is that of the whole drawing.
  const watch = (element, name, attribute, counts) => new MutationObserver(() => {
    if (counts()) times[name] = performance.now() - ended;
  }).observe(element, { attributes: true, attributeFilter: [attribute] });
  watch(main, "answer", "aria-busy", () => main.getAttribute("aria-busy") === "false");
  if (panel) watch(panel, "saliency", "data-shown", () => true);
}"""
QUIET = 700
"""Milliseconds after a stroke in which everything is answered."""


def measure(page: Any, name: str) -> list[float]:
    """Return the milliseconds for each of 30 digits, until the ``answer`` or the ``saliency``."""
    found = []
    page.evaluate(WATCH)
    for number in range(33):
        page.click("#clear")
        *first, last = digit_strokes(number % 10, number // 10)
        for stroke in first:
            draw(page, [(0.2 + 0.6 * x, 0.15 + 0.7 * y) for x, y in stroke])
        page.wait_for_timeout(QUIET)
        page.evaluate("() => { for (const name in window.times) delete window.times[name]; }")
        draw(page, [(0.2 + 0.6 * x, 0.15 + 0.7 * y) for x, y in last])
        page.wait_for_timeout(QUIET)
        if number > 2:  # the first ones warm up
            found.append(page.evaluate("name => window.times[name]", name))
    return found


def main() -> int:
    """Print the medians and the longest times."""
    print(machine())
    with tempfile.TemporaryDirectory() as folder, demo_server(Path(folder)) as address, opened_page(address) as page:
        for name in ("answer", "saliency"):
            if name == "saliency":
                page.click("#tab-saliency")
            times = measure(page, name)
            median, longest = statistics.median(times), max(times)
            print(f"{name}: median {median:.0f} ms, longest {longest:.0f} ms, n = {len(times)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
