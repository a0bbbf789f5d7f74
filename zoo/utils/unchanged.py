"""A training in a user's own program, which finds its process afterwards as it was before."""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from zoo.utils.denormals import denormals_given_back
from zoo.utils.lightning_logging import lightning_given_back

_ONE_AT_A_TIME = threading.RLock()
"""Trainings in several threads wait for each other, because all use the random numbers of the process."""


@contextmanager
def unchanged_process() -> Iterator[None]:
    """Restore what a training changes in a process at the end of a block, which computes in single precision.

    That is random numbers, environment variables, the default dtype, the treatment of denormal numbers, filters of
    warnings and what Lightning logs. The blocks of several threads run one after the other.
    """
    with _ONE_AT_A_TIME, denormals_given_back(), lightning_given_back(), _in_single_precision():
        environment = dict(os.environ)
        python, numpy, cpu = random.getstate(), np.random.get_state(), torch.get_rng_state()
        gpus = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
        seed = torch.initial_seed()  # with which torch begins on a GPU, unless it was given another seed
        try:
            yield
        finally:
            for name in os.environ.keys() - environment.keys():
                del os.environ[name]
            os.environ.update(environment)
            random.setstate(python)
            np.random.set_state(numpy)
            torch.set_rng_state(cpu)
            if gpus:
                torch.cuda.set_rng_state_all(gpus)
            elif torch.cuda.is_initialized():
                torch.cuda.manual_seed_all(seed)


@contextmanager
def _in_single_precision() -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    try:
        yield
    finally:
        torch.set_default_dtype(before)
