"""The kill test: kill a training at random moments, let it go on, and compare with one that was left alone.

    python -m tests.kill dropout_batchnorm --trials 20
    python -m tests.kill dbn --epochs 8 --model.pretrain_epochs 2

Exits with 0 when every resumed training ended with the weights of the undisturbed one, bit for bit.
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
    # What is left is for `zoo fit`.
    options, more = parser.parse_known_args()
    fit = ["fit", "--config", options.name, "--trainer.accelerator", "cpu"]
    fit += ["--data.num_train", str(options.images), "--trainer.max_epochs", str(options.epochs)]
    fit += ["--checkpoint.every_n_train_steps", "37", *more]
    moments, equal = random.Random(options.seed), 0
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        whole = train(fit, f"{folder}/whole")
        wait_for_training(whole)
        started = time.monotonic()
        whole.communicate()
        seconds = time.monotonic() - started
        wanted = weights(last_checkpoint(f"{folder}/whole", options.name))
        print(f"undisturbed: {time.monotonic() - began:.0f} s, {seconds:.1f} s of them training, weights {wanted[:16]}")
        for trial in range(options.trials):
            # One in each equal part of the training, so that every stage of it is met.
            root, moment = f"{folder}/{trial}", seconds * (trial + moments.random()) / options.trials
            victim = train(fit, root)
            wait_for_training(victim)
            time.sleep(moment)
            victim.kill()
            victim.communicate()
            found = checkpoints_in(Path(root))
            heir = train([*fit, "--ckpt_path", "last"] if found else fit, root)
            _, complaint = heir.communicate()
            if heir.returncode:
                print(complaint)
                return 1
            same = weights(last_checkpoint(root, options.name)) == wanted
            equal += same
            where = found[0].name if found else "the beginning"
            print(f"{trial + 1:>2}: killed after {moment:.1f} s, went on from {where}: {same}", flush=True)
    print(f"{equal} of {options.trials} equal, bit for bit")
    return 0 if equal == options.trials else 1


def train(fit: list[str], root: str) -> subprocess.Popen[str]:
    return start_zoo(*fit, "--trainer.default_root_dir", root)


def wait_for_training(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    while "training on" not in process.stdout.readline():
        if process.poll() is not None:
            raise SystemExit(process.communicate()[1])


def last_checkpoint(root: str, name: str) -> Path:
    """The newest checkpoint of the newest run: a run that found nothing left to train has none."""
    return checkpoints_in(Path(root, name))[0]


if __name__ == "__main__":
    sys.exit(main())
