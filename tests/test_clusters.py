"""The scripts for clusters and containers, with stand-ins for the programs of SLURM."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.helpers import SOURCE


@pytest.mark.parametrize("status", [143, 0, 1])
@pytest.mark.parametrize("task", [None, "0", "3"])
@pytest.mark.parametrize("restarts", [None, "2"])
def test_a_job_requeues_itself_and_not_its_array(status: int, task: str | None, restarts: str | None) -> None:
    for name, content in (("srun", f'echo "$@" >> started; exit {status}'), ("scontrol", 'echo "$@" >> requeued')):
        Path(name).write_text(f"#!/bin/sh\n{content}\n")
        Path(name).chmod(0o755)
    variables = {"SLURM_JOB_ID": "70", "PATH": f"{Path.cwd()}:{os.environ['PATH']}"}
    if task is not None:
        variables |= {"SLURM_JOB_ID": "71", "SLURM_ARRAY_JOB_ID": "70", "SLURM_ARRAY_TASK_ID": task}
    if restarts is not None:
        variables["SLURM_RESTART_COUNT"] = restarts
    script = Path(SOURCE, "configs/trainer/slurm.sbatch")
    assert subprocess.run(["bash", str(script)], env=variables).returncode == status
    started = Path("started").read_text()
    assert started.startswith("zoo fit --config dropout_batchnorm --config trainer/slurm")
    assert (f"--seed_everything {task}" in started) == (task is not None)
    assert ("--ckpt_path last" in started) == (restarts is not None)
    requeued = Path("requeued").read_text() if Path("requeued").exists() else ""
    assert requeued == ("" if status != 143 else "requeue 70\n" if task is None else f"requeue 70_{task}\n")


def test_the_dockerfile_copies_what_exists_and_runs_the_command() -> None:
    lines = Path(SOURCE, "Dockerfile").read_text().replace("\\\n", " ").splitlines()
    instructions = [line.split(maxsplit=1) for line in lines if line and not line.startswith("#")]
    copied = [word for name, rest in instructions if name == "COPY" for word in rest.split()[:-1]]
    assert {"pyproject.toml", "zoo", "configs", "checkpoints"} <= {word.rstrip("/") for word in copied}
    assert [word for word in copied if not Path(SOURCE, word).exists()] == []
    assert [rest for name, rest in instructions if name == "ENTRYPOINT"] == ['["zoo"]']
    bases = [rest.split()[0] for name, rest in instructions if name == "FROM"]
    assert bases
    assert all(re.search(r":[\w.$-]+|^\$", base) for base in bases)
    assert any(name == "USER" for name, _ in instructions)
