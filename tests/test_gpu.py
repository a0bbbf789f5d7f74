"""The tests with the mark ``gpu``, in a process that sees the GPUs, where there are any."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import GPUS
from tests.helpers import SOURCE

if any(Path("/dev").glob("nvidia[0-9]*")):  # without a GPU there is nothing to skip

    @pytest.mark.timeout(600)
    def test_gpu_tests_pass() -> None:
        path = os.pathsep.join(filter(None, (SOURCE, os.environ.get("PYTHONPATH"))))
        environment = {**os.environ, "CUDA_VISIBLE_DEVICES": os.environ.get(GPUS) or "0", "PYTHONPATH": path}
        words = ["-m", "pytest", "-q", "-m", "gpu", "-p", "no:cacheprovider", "tests/gpu"]
        run = subprocess.run([sys.executable, *words], cwd=SOURCE, env=environment, capture_output=True, text=True)
        assert run.returncode == 0, run.stdout[-3000:]
        assert " passed" in run.stdout  # and not all skipped
