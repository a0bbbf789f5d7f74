"""A baseline for the training speed of members: the same training as a short eager PyTorch script.

    python -m zoo.benchmark.eager configs/deep_relu_xavier.yaml --data_dir FOLDER --epochs 15

It uses neither Lightning nor the zoo's networks, loaders and loops.
"""

from __future__ import annotations

import argparse
import itertools
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


FetchBatch = Callable[[Tensor], tuple[Tensor, Tensor]]
"""Function from positions in the training set to images in [0, 1] and labels."""


def make_fetch(images: Tensor, labels: Tensor) -> FetchBatch:
    """Return a function that fetches batches from images, uint8 ``(N, 28, 28)``, and labels, int64 ``(N,)``."""
    return lambda batch: (images[batch].unsqueeze(1).float().div_(255), labels[batch])


def train_epoch(
    network: nn.Module, optimizer: torch.optim.Optimizer, fetch: FetchBatch, count: int, batch_size: int
) -> None:
    """Train for one epoch, in a new random order.

    Args:
        network: A network in training mode.
        optimizer: Optimizer of the network's parameters.
        fetch: Returns the batch at given positions.
        count: Number of training images.
        batch_size: Images per step.
    """
    for batch in torch.randperm(count).split(batch_size):
        images, labels = fetch(batch)
        optimizer.zero_grad()
        F.cross_entropy(network(images), labels).backward()
        optimizer.step()


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
    """Return the network of a member's config, or None if it is not a fully connected ReLU net or uses augmentation."""
    model = config["model"]
    arguments = model.get("init_args", {})
    if config.get("data", {}).get("init_args", {}).get("augment", "none") != "none":
        return None
    if model["class_path"].endswith("SoftmaxRegression"):
        return make_mlp()
    if not model["class_path"].endswith(".MLP") or arguments.get("activation", "relu") != "relu":
        return None
    if any(arguments.get(name) for name in UNKNOWN_HERE) or isinstance(arguments.get("dropout"), list):
        return None
    return make_mlp(
        arguments.get("hidden_sizes", (256, 256)), arguments.get("dropout", 0.0), arguments.get("batch_norm", False)
    )


def main() -> None:
    """Train, validate after each epoch, test and save the weights."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path, help="a member's YAML")
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--data_dir", required=True, help="where torchvision finds MNIST")
    parser.add_argument("--save", type=Path, help="file for the weights")
    options = parser.parse_args()
    torch.manual_seed(0)
    config = read_yaml(options.config)
    net = network_from_config(config)
    if net is None:
        raise SystemExit(f"{options.config} describes no fully connected ReLU net that sees images as they are.")
    train, test = (MNIST(options.data_dir, train=part) for part in (True, False))
    optimizer = torch.optim.Adam(net.parameters(), lr=config["model"].get("init_args", {}).get("lr", 0.001), fused=True)
    fetch = make_fetch(train.data[5000:], train.targets[5000:])
    for epoch in range(options.epochs):
        train_epoch(net, optimizer, fetch, 55_000, 100)
        print(f"epoch {epoch + 1}: {count_errors(net, train.data[:5000], train.targets[:5000])} validation errors")
    print(f"{count_errors(net, test.data, test.targets)} test errors")
    if options.save:
        torch.save(net.state_dict(), options.save)


if __name__ == "__main__":
    main()
