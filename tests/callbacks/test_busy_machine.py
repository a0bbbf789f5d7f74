from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from zoo.callbacks.busy_machine import processor_seconds, sentence


def test_threads_with_processors_enough_are_not_spoken_of() -> None:
    assert sentence(others=0.3, processors=2, threads=2) is None
    assert sentence(others=14, processors=16, threads=2) is None
    assert sentence(others=0.9, processors=2, threads=1) is None


@pytest.mark.parametrize(("others", "processors", "threads"), [(0.7, 2, 2), (1.5, 2, 2), (12, 16, 8)])
def test_threads_that_wait_for_each_other_are_told_of_with_the_remedy(
    others: float, processors: int, threads: int
) -> None:
    text = sentence(others, processors, threads)
    assert text is not None
    assert f"use {others:.1f} of its {processors} processors" in text
    assert "OMP_NUM_THREADS=1" in text


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says what the processors do")
def test_work_of_another_process_is_not_taken_for_ones_own() -> None:
    before = processor_seconds()
    assert before is not None
    subprocess.run([sys.executable, "-c", "import time\nwhile time.process_time() < 0.5: pass"], check=True)
    between = processor_seconds()
    assert between is not None
    assert between.busy - before.busy >= 0.4
    assert between.own - before.own < 0.3
    started = time.process_time()
    while time.process_time() < started + 0.3:
        pass
    after = processor_seconds()
    assert after is not None
    assert after.own - between.own >= 0.3


def test_processors_that_the_process_may_not_use_do_not_count(tmp_path: Path) -> None:
    if not hasattr(os, "sched_getaffinity"):
        pytest.skip("the system does not say which processors a process may use")
    own = min(os.sched_getaffinity(0))
    other = max(os.sched_getaffinity(0)) + 1
    (tmp_path / "stat").write_text(
        f"cpu  1 1 1 1 1 1 1 1 0 0\ncpu{own} 100 0 0 5 5 0 0 50 0 0\ncpu{other} 999 0 0 0 0 0 0 0\n"
    )
    found = processor_seconds(tmp_path / "stat")
    assert found is not None
    assert found.busy == 150 / os.sysconf("SC_CLK_TCK")


def test_a_system_that_says_nothing_is_let_be(tmp_path: Path) -> None:
    assert processor_seconds(tmp_path / "stat") is None
