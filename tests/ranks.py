"""Program for torchrun that evaluates members on several processes and writes the output of each command to a file.

``tests/test_ranks.py`` runs it. It evaluates all given members in one start, because starting processes takes seconds.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from pathlib import Path

import zoo
from zoo.cli import main


def run() -> int:
    processes = os.environ["WORLD_SIZE"]
    ddp = ["--trainer.accelerator", "cpu", "--trainer.devices", processes, "--trainer.strategy", "ddp"]
    for name in sys.argv[1:]:
        trained = ["--config", name, "--ckpt_path", str(zoo.model_info(name).checkpoint)]
        for verb in ("test", "predict"):
            output = io.StringIO()
            where = ["--output_dir", f"{name}-{processes}"] if verb == "predict" else []
            with contextlib.redirect_stdout(output):
                status = main([verb, *trained, *ddp, *where, "--data.eval_batch_size", "300"])
            if status:
                return status
            if os.environ["RANK"] == "0":
                Path(f"{name}-{processes}-{verb}.txt").write_text(output.getvalue())
    return 0


if __name__ == "__main__":
    sys.exit(run())
