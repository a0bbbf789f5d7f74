"""The environment of a measurement: package versions and the machine."""

from __future__ import annotations

import functools
import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from zoo.version import __version__


@functools.cache
def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that can affect the result of a training."""
    packages = ("torch", "torchvision", "pytorch-lightning", "torchmetrics")
    return {
        "zoo": __version__,
        "python": platform.python_version(),
        **{package: version(package) for package in packages},
    }


def machine() -> dict[str, Any]:
    """Return the processor's name, the number of its cores and the number of threads that torch uses."""
    return {"processor": _processor_name(), "cores": os.cpu_count(), "threads": torch.get_num_threads()}


def device_name(device: torch.device) -> str:
    """Return a readable name of a device, for example ``CPU with 2 threads``."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type == "cpu":
        threads = torch.get_num_threads()
        return f"CPU with {threads} thread{'s' * (threads > 1)}"
    return device.type.upper()


def gpu_names() -> set[str]:
    """Return the names of this machine's NVIDIA GPUs, without starting CUDA, which takes memory on each of them."""
    try:
        query = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
        found = subprocess.run(query, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.SubprocessError):
        return set()
    return set(found.stdout.splitlines()) if found.returncode == 0 else set()


def _processor_name() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
