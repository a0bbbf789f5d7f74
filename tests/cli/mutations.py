"""Random changes of configs and command lines, the same for the same seed."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any

import yaml

import zoo

CONFIGS = ("softmax", "dropout_batchnorm", "dbn", "bagging", "residual_cnn", "mlp_augmented")
VALUES: tuple[Any, ...] = (
    *(None, True, False, -1, 0, 1, 7, 1.5, -0.5, 1e308, 10**30, -(10**30), 2**31, 2**63, float("nan"), float("inf")),
    *(
        "",
        " ",
        "x",
        "null",
        "1e3",
        "10",
        "MLP",
        "torch.nn.Linear",
        "os.system",
        "no.such.Thing",
        "a..b",
        ".",
        "..",
        "/",
    ),
    *("/proc/1/mem", "/dev/null", "~", "~nobody-here/x", "s3://bucket/x", "file:///x", "../outside/kept", "kept", "-1"),
    *(
        "한글",
        "😀",
        "é" * 200,
        "\x1b[31m",
        "a\nb",
        "a\0b",
        "x" * 5000,
        "{epoch:zz}",
        "%s%n",
        "{",
        "00:00:00:00",
        "last",
    ),
    *([], {}, [[]], [None], [1, 2, 3], [-1], ["x"], [10**9, 10**9], list(range(500)), {"x": 1}, {1: 2}, {"": ""}),
    *({"class_path": "MLP"}, {"class_path": "os.system", "init_args": {"command": "x"}}, {"init_args": {}}),
    *(
        {"class_path": "EarlyStopping"},
        {"class_path": None},
        {"class_path": 3, "init_args": []},
        date(2020, 1, 2),
        b"x",
    ),
)
KEYS = (
    "",
    "x",
    "lr",
    "model",
    "data",
    "trainer",
    "fit",
    "class_path",
    "init_args",
    "callbacks",
    "logger",
    "config",
    "한글",
)
CALLBACKS = [
    {"class_path": "EarlyStopping", "init_args": {"monitor": "val_loss", "patience": 3}},
    {"class_path": "ModelCheckpoint", "init_args": {"monitor": "val_acc", "filename": "{epoch}", "dirpath": "kept"}},
]
COMMANDS = (
    "list deep* --sort accuracy --json",
    "info softmax --json",
    "verify softmax dropout",
    "classify picture.png pictures --model softmax --save seen --json",
    "compare softmax selu --output_dir out",
    "figures activations confusion --output_dir out --seeds 2 --model softmax --run kept --checkpoint kept.ckpt",
    "export softmax --format torch_export --output out.pt2",
    "publish softmax kept.ckpt",
    "reproduce softmax --seeds 1",
    "bench softmax --rounds 1 --whole 1 --num_members 2 --precision 32-true",
    "demo softmax --host 127.0.0.1 --port 0",
    "fit --config softmax --trainer.max_epochs 1 --data.num_train 10 --model.lr 0.1 --seed_everything 3",
    "fit --model MLP --model.hidden_sizes [4] --trainer.default_root_dir out --checkpoint.save_top_k 1",
    "test --config softmax --ckpt_path softmax --trainer.limit_test_batches 1",
    "predict --config softmax --ckpt_path softmax --output_dir out --indices [1] --count 3",
    "validate --config softmax --ckpt_path softmax --data.val_size 10 --float32_matmul_precision high",
)


def mutated_config(draw: random.Random) -> str:
    """Return the text of a member's config with a few changes of its values, keys, nesting or characters."""
    config = yaml.safe_load(zoo.model_info(draw.choice(CONFIGS)).config.read_text(encoding="utf-8"))
    config["trainer"]["callbacks"] = copy.deepcopy(CALLBACKS[: draw.randrange(3)])
    config["checkpoint"] = {"filename": "{epoch}", "monitor": "step"}
    for _ in range(draw.randint(1, 3)):
        _mutate(config, draw)
    text = yaml.safe_dump(config, allow_unicode=draw.random() < 0.5, sort_keys=False)
    return _mutated_text(text, draw) if draw.random() < 0.3 else text


def mutated_command(draw: random.Random) -> list[str]:
    """Return a command line with a few changes of its words."""
    words = draw.choice(COMMANDS).split()
    for _ in range(draw.randint(1, 3)):
        position = draw.randrange(len(words) + 1)
        word = str(draw.choice(VALUES))
        match draw.randrange(6):
            case 0 if len(words) > 1:
                del words[min(position, len(words) - 1)]
            case 1:
                words.insert(position, word)
            case 2:
                words.insert(position, f"--{draw.choice(KEYS)}={word}")
            case 3 if words:
                changed = min(position, len(words) - 1)
                words[changed] = _mutated_text(words[changed], draw)
            case 4:
                draw.shuffle(words)
            case _ if words:
                words[min(position, len(words) - 1)] = word
    return words


def _mutate(config: Any, draw: random.Random) -> None:
    container, key = draw.choice(list(_places(config)))
    match draw.randrange(6):
        case 0:
            del container[key]
        case 1:
            container[key] = [container[key]]
        case 2:
            container[key] = {draw.choice(KEYS): container[key]}
        case 3 if isinstance(container, dict):
            container[draw.choice(KEYS)] = copy.deepcopy(container[key])
        case _:
            container[key] = copy.deepcopy(draw.choice(VALUES))


def _places(node: Any) -> Iterator[tuple[Any, Any]]:
    """Yield every container below a node with each of its keys."""
    items: Sequence[tuple[Any, Any]] = (
        list(node.items()) if isinstance(node, dict) else list(enumerate(node)) if isinstance(node, list) else []
    )
    for key, value in items:
        yield node, key
        yield from _places(value)


def _mutated_text(text: str, draw: random.Random) -> str:
    position = draw.randrange(len(text) + 1)
    inserted = draw.choice(
        ["\t", ":", "-", "{", "]", "&a ", "*a ", "!!python/name:os.system ", "\ufeff", "é", "\x07", "#", "'"]
    )
    return draw.choice(
        [text[:position], text[:position] + inserted + text[position:], text[:position] + text[position + 1 :]]
    )
