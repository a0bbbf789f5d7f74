"""The kill test: kill a training run at random times, resume it, and compare it with an uninterrupted run.

Usage::

    python -m tests.kill dropout_batchnorm --trials 20
    python -m tests.kill dbn --epochs 8 --model.pretrain_epochs 2
    python -m tests.kill bagging --kills 2 --every 1 --images 1000

The exit status is 0 if the final weights of every resumed run equal those of the uninterrupted run bit for bit.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.helpers import start_zoo, weights
from zoo.runs.folders import checkpoints_in


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", help="a member")
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0, help="chooses the moments")
    parser.add_argument("--images", type=int, default=10_000, help="training images, to keep a run under a minute")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--every", type=int, default=37, help="steps between two checkpoints")
    parser.add_argument("--kills", type=int, default=1, help="how often each training is killed")
    # Other arguments are passed to `zoo fit`.
    options, fit_arguments = parser.parse_known_args()
    fit = ["fit", "--config", options.name, "--trainer.accelerator", "cpu"]
    fit += ["--data.num_train", str(options.images), "--trainer.max_epochs", str(options.epochs)]
    fit += ["--checkpoint.every_n_train_steps", str(options.every), *fit_arguments]
    rng, equal = random.Random(options.seed), 0
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        uninterrupted = train(fit, f"{folder}/uninterrupted")
        wait_for_training(uninterrupted)
        started = time.monotonic()
        uninterrupted.communicate()
        seconds = time.monotonic() - started
        expected = weights(last_checkpoint(f"{folder}/uninterrupted", options.name))
        print(
            f"undisturbed: {time.monotonic() - began:.0f} s, {seconds:.1f} s of them training, weights {expected[:16]}"
        )
        for trial in range(options.trials):
            root, where = f"{folder}/{trial}", []
            for kill in range(options.kills):
                # One time in each of equal parts of the training, so that all of its stages are covered.
                part = (trial + rng.random()) / options.trials / options.kills
                interrupted = train(fit, root)
                wait_for_training(interrupted)
                time.sleep(seconds * (part + kill / options.kills / 2))
                interrupted.kill()
                interrupted.communicate()
                checkpoints = checkpoints_in(Path(root))
                where.append(checkpoints[0].name if checkpoints else "the beginning")
            resumed = train(fit, root)
            _, error_output = resumed.communicate()
            if resumed.returncode:
                print(error_output)
                return 1
            same = weights(last_checkpoint(root, options.name)) == expected
            equal += same
            print(f"{trial + 1:>2}: went on from {' and '.join(where)}: {same}", flush=True)
    print(f"{equal} of {options.trials} equal, bit for bit")
    return 0 if equal == options.trials else 1


def train(fit: list[str], root: str) -> subprocess.Popen[str]:
    """Start a training run in the folder ``root``, or resume the one that is there."""
    resume = ["--ckpt_path", "last"] if checkpoints_in(Path(root)) else []
    return start_zoo(*fit, *resume, "--trainer.default_root_dir", root)


def wait_for_training(process: subprocess.Popen[str]) -> None:
    """Wait until a run prints its first line. Exits with its standard error if the run fails."""
    assert process.stdout is not None
    while "training on" not in process.stdout.readline():
        if process.poll() is not None:
            raise SystemExit(process.communicate()[1])


def last_checkpoint(root: str, name: str) -> Path:
    """Return the newest checkpoint of all runs. A run that was resumed after its last epoch has none of its own."""
    return checkpoints_in(Path(root, name))[0]


if __name__ == "__main__":
    sys.exit(main())
