"""A baseline for the training speed of members: the same training as a short eager PyTorch script.

    python -m zoo.benchmark.eager configs/fast_cnn.yaml --data_dir FOLDER --epochs 1 --seed 3

It uses neither Lightning nor the zoo's networks, loaders and loops. FOLDER is where torchvision finds MNIST.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.datasets import MNIST

from zoo.utils.yaml_text import read_yaml

UNKNOWN_HERE = ("vat_weight", "max_norm", "input_dropout", "batch_norm_scale")
"""Arguments of a fully connected network that the baselines do not have."""


def make_mlp(hidden_sizes: Sequence[int] = (), dropout: float = 0.0, batch_norm: bool = False) -> nn.Sequential:
    """Return a fully connected ReLU network with 784 inputs and ten outputs, with the layers that `zoo.models.MLP` has.

    Its initial weights are torch's default.

    Args:
        hidden_sizes: Units of each hidden layer.
        dropout: Probability of dropping a hidden unit's output.
        batch_norm: Whether every linear layer is followed by batch norm.
    """
    sizes = [784, *hidden_sizes, 10]
    layers: list[nn.Module] = []
    for depth, (fan_in, units) in enumerate(itertools.pairwise(sizes), start=1):
        layers.append(nn.Linear(fan_in, units, bias=not batch_norm))
        if batch_norm:
            norm = nn.BatchNorm1d(units, eps=0.001)
            norm.weight.requires_grad_(False)
            layers.append(norm)
        if depth <= len(hidden_sizes):
            layers.append(nn.ReLU())
            if dropout:
                layers.append(nn.Dropout(dropout))
    return nn.Sequential(nn.Flatten(), *layers)


def make_cnn(
    channels: Sequence[Sequence[int]],
    kernel_sizes: Sequence[int],
    hidden_sizes: Sequence[int],
    padding: bool = False,
    dropout: float = 0.0,
) -> nn.Sequential:
    """Return a convolutional ReLU network with the layers that `zoo.models.CNN` has, from He initial values.

    Args:
        channels: Filters of each convolution, a list for each group, which ends with max pooling.
        kernel_sizes: Width and height of the filters in each group.
        hidden_sizes: Units of each fully connected hidden layer.
        padding: Whether a border of zeros keeps the resolution in each convolution.
        dropout: Probability of dropping an input of a fully connected layer.
    """
    layers: list[nn.Module] = []
    size, fan_in = 28, 1
    for widths, kernel_size in zip(channels, kernel_sizes, strict=True):
        border = kernel_size // 2 if padding else 0
        for position, width in enumerate(widths, start=1):
            layers.append(nn.Conv2d(fan_in, width, kernel_size, padding=border, bias=False))
            size += 2 * border + 1 - kernel_size
            if position == len(widths):
                layers.append(nn.MaxPool2d(2))
                size //= 2
            layers += [nn.BatchNorm2d(width), nn.ReLU()]
            fan_in = width
    layers.append(nn.Flatten())
    fan_in *= size**2
    for units in hidden_sizes:
        layers += [nn.Dropout(dropout), nn.Linear(fan_in, units, bias=False), nn.BatchNorm1d(units), nn.ReLU()]
        fan_in = units
    layers += [nn.Dropout(dropout), nn.Linear(fan_in, 10)]
    for layer in layers:
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    nn.init.zeros_(layers[-1].get_parameter("bias"))
    return nn.Sequential(*layers).to(memory_format=torch.channels_last)


FetchBatch = Callable[[Tensor], tuple[Tensor, Tensor]]
"""Function from positions in the training set to images in [0, 1] and labels."""


def make_fetch(images: Tensor, labels: Tensor) -> FetchBatch:
    """Return a function that fetches batches from images, uint8 ``(N, 28, 28)``, and labels, int64 ``(N,)``."""
    return lambda batch: (images[batch].unsqueeze(1).float().div_(255), labels[batch])


def train_epoch(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    fetch: FetchBatch,
    count: int,
    batch_size: int,
    label_smoothing: float = 0.0,
    after_step: Callable[[], None] = lambda: None,
) -> None:
    """Train for one epoch, in a new random order.

    Args:
        network: A network in training mode.
        optimizer: Optimizer of the network's parameters.
        fetch: Returns the batch at given positions.
        count: Number of training images.
        batch_size: Images per step.
        label_smoothing: ε of the smoothed labels.
        after_step: Called after each step, to move a schedule of the learning rate for example.
    """
    for batch in torch.randperm(count).split(batch_size):
        images, labels = fetch(batch)
        optimizer.zero_grad()
        F.cross_entropy(network(images), labels, label_smoothing=label_smoothing).backward()
        optimizer.step()
        after_step()


@torch.no_grad()
def count_errors(network: nn.Module, images: Tensor, labels: Tensor) -> int:
    """Return the number of misclassified images."""
    network.eval()
    errors = 0
    for pixels, targets in zip(images.split(1000), labels.split(1000), strict=True):
        errors += int((network(pixels.unsqueeze(1).float() / 255).argmax(dim=1) != targets).sum())
    network.train()
    return errors


def network_from_config(config: dict[str, Any]) -> nn.Sequential | None:
    """Return the network of a member's config, or None if this module cannot train it."""
    model = config["model"]
    arguments = model.get("init_args", {})
    if config.get("data", {}).get("init_args", {}).get("augment", "none") != "none":
        return None
    if model["class_path"].endswith("SoftmaxRegression"):
        return make_mlp()
    if arguments.get("activation", "relu") != "relu" or arguments.get("vat_weight") or arguments.get("max_norm"):
        return None
    if model["class_path"].endswith(".CNN") and arguments.get("weight_init", "he_normal") == "he_normal":
        return make_cnn(
            arguments.get("channels", ((16,), (32,))),
            arguments.get("kernel_sizes", (5, 3)),
            arguments.get("hidden_sizes", (128,)),
            arguments.get("padding", False),
            arguments.get("dropout", 0.0),
        )
    if not model["class_path"].endswith(".MLP"):
        return None
    if any(arguments.get(name) for name in UNKNOWN_HERE) or isinstance(arguments.get("dropout"), list):
        return None
    return make_mlp(
        arguments.get("hidden_sizes", (256, 256)), arguments.get("dropout", 0.0), arguments.get("batch_norm", False)
    )


def make_schedule(
    optimizer: torch.optim.Optimizer, name: str, steps: int
) -> torch.optim.lr_scheduler.LRScheduler | None:
    """Return the schedule of the learning rate that a config names, over a number of steps; None if it is constant."""
    if name == "one_cycle":
        lr = optimizer.param_groups[0]["lr"]
        return torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=steps, cycle_momentum=False)
    return torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps) if name == "cosine" else None


def main() -> None:
    """Train, validate after each epoch, test and save the weights."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path, help="a member's YAML")
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data_dir", required=True, help="where torchvision finds MNIST")
    parser.add_argument("--save", type=Path, help="file for the weights")
    parser.add_argument("--metrics", type=Path, help="file for the seconds of training and the test errors, as JSON")
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    config = read_yaml(options.config)
    net = network_from_config(config)
    if net is None:
        raise SystemExit(f"{options.config} has no network that this script knows, or its images are augmented.")
    train, test = (MNIST(options.data_dir, train=part) for part in (True, False))
    arguments, data = config["model"].get("init_args", {}), config.get("data", {}).get("init_args", {})
    held_out, batch_size = data.get("val_size", 5000), data.get("batch_size", 100)
    images, labels = train.data[held_out:], train.targets[held_out:]
    optimizer = torch.optim.Adam(net.parameters(), lr=arguments.get("lr", 0.001), fused=True)
    steps = options.epochs * -(-len(labels) // batch_size)
    schedule = make_schedule(optimizer, arguments.get("lr_schedule", "constant"), steps)
    smoothing, fetch = arguments.get("label_smoothing", 0.0), make_fetch(images, labels)
    started = time.perf_counter()
    for epoch in range(options.epochs):
        after_step = schedule.step if schedule else lambda: None
        train_epoch(net, optimizer, fetch, len(labels), batch_size, smoothing, after_step)
        if held_out:
            errors = count_errors(net, train.data[:held_out], train.targets[:held_out])
            print(f"epoch {epoch + 1}: {errors} validation errors")
    seconds = time.perf_counter() - started
    errors = count_errors(net, test.data, test.targets)
    print(f"{errors} test errors after {seconds:.2f} s of training")
    if options.metrics:
        options.metrics.write_text(json.dumps({"seconds": seconds, "test_errors": errors}), encoding="utf-8")
    if options.save:
        torch.save(net.state_dict(), options.save)


if __name__ == "__main__":
    main()
