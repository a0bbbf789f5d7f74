"""The command line ``zoo``, with one subcommand for each verb."""

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
from contextlib import suppress
from itertools import pairwise

from zoo.cli.signals import stopped_by_signals
from zoo.utils.denormals import denormals_given_back
from zoo.utils.errors import Stopped, UsageError, unknown_name, unusable_path
from zoo.utils.matplotlib_settings import ignore_local_matplotlibrc
from zoo.version import __version__

VERBS = {
    "fit": ("zoo.cli.verbs.trainer", "train a member, or a network of your own"),
    "validate": ("zoo.cli.verbs.trainer", "evaluate a checkpoint on the validation images"),
    "test": ("zoo.cli.verbs.trainer", "evaluate a checkpoint on the official 10,000 test images"),
    "predict": ("zoo.cli.verbs.trainer", "write a checkpoint's probabilities for the test images, and a picture"),
    "classify": ("zoo.cli.verbs.classify", "say which digit a picture of your own shows"),
    "compare": ("zoo.cli.verbs.compare", "compare members with each other, and combine their predictions"),
    "list": ("zoo.cli.verbs.list", "list the members"),
    "info": ("zoo.cli.verbs.info", "say everything that is known of a member"),
    "verify": ("zoo.cli.verbs.verify", "check that the trained networks are what they should be"),
    "reproduce": ("zoo.cli.verbs.reproduce", "train a published recipe again and compare"),
    "study": ("zoo.cli.verbs.study", "train a recipe many times: seeds, settings, on one machine or many"),
    "demo": ("zoo.cli.verbs.demo", "start a page to draw on, where every member classifies the digit"),
    "bench": ("zoo.cli.verbs.bench", "measure how fast members are trained, compared with baselines"),
    "figures": ("zoo.cli.verbs.figures", "draw pictures from real runs"),
    "export": ("zoo.cli.verbs.export", "write a trained member for other programs: ONNX, safetensors, torch.export"),
    "push": ("zoo.cli.verbs.push", "upload a trained network to the Hugging Face hub"),
    "completion": ("zoo.cli.verbs.completion", "print what lets a shell complete these commands with the tab key"),
    "publish": ("zoo.cli.verbs.publish", "make the trained network that ships from a run"),
}
"""Maps a verb to its module and its line of help.

A module defines ``run(verb, arguments)`` and is imported only when its verb is used.
"""

OTHER_NAMES = {
    "train": "fit",
    "eval": "test",
    "evaluate": "test",
    "models": "list",
    "show": "info",
    "serve": "demo",
    "benchmark": "bench",
    "plot": "figures",
    "tune": "study",
    "sweep": "study",
}
"""What other programs call a verb."""

PLAIN_CUBLAS = ("DISABLE_ADDMM_CUDA_LT", "1")
"""torch's environment variable against cuBLASLt in linear layers with a bias, and its value. For small networks on a
GPU, that library launches more and slower kernels: an epoch of ``deeper_relu_xavier`` took 0.23 s with it and 0.20 s
without (``zoo bench deeper_relu_xavier --accelerator gpu --rounds 3``, NVIDIA H200, torch 2.11)."""
DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
"""What the system says where a file cannot grow: no room on the disk, or a limit of the user or the process."""


def program() -> int:
    """Run the command line as the entry point of a process and return the exit status.

    The settings of the garbage collector save about a second at start and exit: importing the libraries creates some
    hundred thousand objects, and none of them is garbage.
    """
    gc.set_threshold(100_000, 50, 100)
    os.environ.setdefault(*PLAIN_CUBLAS)
    output_is_closed = sys.stdout is None
    _open_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # not every terminal can encode a character such as ×
    atexit.register(gc.freeze)  # no search for reference cycles at interpreter exit
    status = main()
    # As other programs have it that could not write what they were asked for.
    return 2 if status == 0 and output_is_closed else status


def _open_closed_streams() -> None:
    """Open standard streams that the parent process has closed (``>&-``) on the null device.

    Otherwise a file that is opened later would get the descriptor, and what libraries print would go into it.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is not None:
            continue
        null = os.open(os.devnull, os.O_RDWR)
        if null != number:
            os.dup2(null, number)
            os.close(null)
        stream = open(number, "w" if number else "r", encoding="utf-8", closefd=False)  # noqa: SIM115  # until the end
        setattr(sys, name, stream)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status.

    Args:
        arguments: The command-line arguments after ``zoo``. None means ``sys.argv[1:]``.

    Returns:
        0 on success, 1 when a check failed, 2 after a user's mistake, and 128 plus the signal's number when a signal
        ended the command: 130 for Ctrl-C, 143 for SIGTERM, 141 where the reader of a pipe has left.

    Raises:
        SystemExit: SIGTERM ended a command that saves no state, with code 143.
    """
    argv = list(sys.argv[1:] if arguments is None else arguments)
    ignore_local_matplotlibrc()
    try:
        with denormals_given_back(), stopped_by_signals():
            status = _dispatch(argv)
        sys.stdout.flush()  # here, so that a failed write is handled below
        return status
    except UsageError as error:
        print(f"zoo: {error}", file=sys.stderr)
        return 2
    except Stopped as stopped:
        return _report_stopped(stopped)
    except (KeyboardInterrupt, SystemExit) as end:
        # Lightning turns Ctrl-C into a SystemExit with status 1.
        if isinstance(end, SystemExit) and not isinstance(end.__context__, KeyboardInterrupt):
            raise
        print("zoo: interrupted", file=sys.stderr)
        return 128 + signal.SIGINT
    except BrokenPipeError:
        # The reader, `head` for example, has closed the pipe. Python must not flush the rest at exit. A shell shows the
        # same status for programs that the signal ends; 0 would say that a training or a check is complete.
        _discard_output()
        return 128 + signal.SIGPIPE
    except OSError as error:
        if error.errno in DISK_ERRORS:
            _discard_output()
            print("zoo: The disk is full: make room on it, or name a place on another one.", file=sys.stderr)
            return 2
        if "No usable temporary directory" in str(error):  # which libraries ask for when they are imported
            print("zoo: No folder for temporary files can be written to: make room, or set TMPDIR.", file=sys.stderr)
            return 2
        if error.filename is None or os.environ.get("ZOO_TRACEBACK"):
            raise
        print(f"zoo: {unusable_path(error)}", file=sys.stderr)
        return 2


def _discard_output() -> None:
    """Redirect standard output to the null device."""
    with suppress(OSError):  # an object in its place may have no descriptor
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _report_stopped(stopped: Stopped) -> int:
    """Print where training stopped and return the exit status."""
    from zoo.utils.console import print_rank_zero

    print_rank_zero(f"zoo: {stopped}")
    if stopped.checkpoint:
        print_rank_zero(f"zoo: the same command with {stopped.resume_with} goes on from there.")
    return 128 + stopped.signal


def _dispatch(arguments: list[str]) -> int:
    """Run the verb that the first argument names and return its exit status."""
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(_help())
        return 0
    if arguments[0] == "--version":
        print(f"zoo {__version__}")
        return 0
    verb, *rest = arguments
    if verb not in VERBS:
        if verb in OTHER_NAMES:
            raise UsageError(f"Unknown command {verb!r}: it is `zoo {OTHER_NAMES[verb]}` here.")
        raise unknown_name("command", verb, VERBS)
    if VERBS[verb][0] == VERBS["fit"][0]:
        _check_configs_exist(rest)
    run: Callable[[str, list[str]], int] = importlib.import_module(VERBS[verb][0]).run
    return run(verb, rest)


def _check_configs_exist(arguments: Sequence[str]) -> None:
    """Report a misspelled config before the imports of a training, which take seconds."""
    from zoo.pretrained.registry import packaged_config, packaged_configs

    for flag, value in pairwise(arguments):
        if flag not in ("--config", "-c") or packaged_config(value):
            continue
        is_missing = False
        with suppress(OSError, ValueError):  # a name that is no name of a file is reported later
            is_missing = not os.path.lexists(value)
        if is_missing and value.endswith((".yaml", ".yml")):
            raise UsageError(f"There is no config file {value}: name one, or a member such as softmax.")
        if is_missing:
            raise unknown_name("config", value, packaged_configs())


def _help() -> str:
    width = max(map(len, VERBS))
    verbs = "\n".join(f"  {verb:<{width}}  {purpose}" for verb, (_, purpose) in VERBS.items())
    return f"""usage: zoo COMMAND ...

The MNIST model zoo on PyTorch Lightning.

{verbs}

  zoo fit --config deep_relu_xavier     train a member
  zoo COMMAND --help                    what a command takes
  zoo --version"""
