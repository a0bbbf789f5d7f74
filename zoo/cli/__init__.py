"""The command ``zoo``: one command, many verbs."""

from __future__ import annotations

import atexit
import errno
import gc
import importlib
import io
import os
import signal
import sys
from collections.abc import Callable, Sequence

import zoo
from zoo.utils.errors import Stopped, UsageError, unknown_name

VERBS = {
    "fit": ("zoo.cli.verbs.trainer", "train a member, or a network of your own"),
    "validate": ("zoo.cli.verbs.trainer", "evaluate a checkpoint on the validation images"),
    "test": ("zoo.cli.verbs.trainer", "evaluate a checkpoint on the official 10,000 test images"),
    "predict": ("zoo.cli.verbs.trainer", "write a checkpoint's probabilities for the test images, and a picture"),
    "classify": ("zoo.cli.verbs.classify", "say which digit a picture of your own shows"),
    "compare": ("zoo.cli.verbs.compare", "set members against each other, and let them answer together"),
    "list": ("zoo.cli.verbs.list", "list the members"),
    "info": ("zoo.cli.verbs.info", "say everything that is known of a member"),
    "verify": ("zoo.cli.verbs.verify", "check that the trained networks are what they should be"),
    "reproduce": ("zoo.cli.verbs.reproduce", "train a published recipe again and compare"),
    "demo": ("zoo.cli.verbs.demo", "start a page to draw on, where every member answers"),
    "bench": ("zoo.cli.verbs.bench", "measure how fast members are trained, beside other programs"),
    "figures": ("zoo.cli.verbs.figures", "draw pictures from real runs"),
    "export": ("zoo.cli.verbs.export", "write a trained member for other programs: ONNX, safetensors, torch.export"),
    "publish": ("zoo.cli.verbs.publish", "make the trained network that ships from a run"),
}
"""Verb to (module with a ``run(verb, arguments)``, what it does); a module is imported when its verb is used."""


def program() -> int:
    """Run the command line as a process of its own, whose start and end take a second less than Python's defaults.

    The libraries define some hundred thousand objects while they are imported, and none of them is garbage.
    """
    gc.set_threshold(100_000, 50, 100)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that has no × is shown something else
    atexit.register(gc.freeze)  # the process ends: what its modules hold need not be searched for cycles
    return main()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status.

    0 when all went well, 1 when a check found something wrong, 2 after a mistake of the user's, and 128 plus the
    signal's number (130 for Ctrl-C, 143 for SIGTERM) when a signal ended it.

    Args:
        arguments: The words after ``zoo``; None takes them from the process.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        status = _dispatch(words)
        sys.stdout.flush()  # here, where what fails can be told
        return status
    except UsageError as error:
        print(f"zoo: {error}", file=sys.stderr)
        return 2
    except Stopped as stopped:
        return _report(stopped)
    except (KeyboardInterrupt, SystemExit) as end:
        # Lightning turns Ctrl-C into an exit with status 1.
        if isinstance(end, SystemExit) and not isinstance(end.__context__, KeyboardInterrupt):
            raise
        print("zoo: interrupted", file=sys.stderr)
        return 128 + signal.SIGINT
    except BrokenPipeError:
        # The reader, `head` for example, has seen enough; Python must not try to flush what is left.
        _discard_output()
        return 0
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        _discard_output()
        print("zoo: The disk is full: make room on it, or name a place on another one.", file=sys.stderr)
        return 2


def _discard_output() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _report(stopped: Stopped) -> int:
    from zoo.utils.console import print_rank_zero

    print_rank_zero(f"zoo: {stopped}")
    if stopped.checkpoint:
        print_rank_zero("zoo: the same command with --ckpt_path last goes on from there.")
    return 128 + stopped.signal


def _dispatch(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help", "help"):
        print(_help())
        return 0
    if words[0] == "--version":
        print(f"zoo {zoo.__version__}")
        return 0
    verb, *rest = words
    if verb not in VERBS:
        raise unknown_name("command", verb, VERBS)
    run: Callable[[str, list[str]], int] = importlib.import_module(VERBS[verb][0]).run
    return run(verb, rest)


def _help() -> str:
    width = max(map(len, VERBS))
    verbs = "\n".join(f"  {verb:<{width}}  {purpose}" for verb, (_, purpose) in VERBS.items())
    return f"""usage: zoo COMMAND ...

The MNIST model zoo on PyTorch Lightning.

{verbs}

  zoo fit --config configs/deep_relu_xavier.yaml     train a member
  zoo COMMAND --help                                 what a command takes
  zoo --version"""
