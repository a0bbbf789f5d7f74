"""A member's training as a short PyTorch script would have it: what the zoo's speed is measured against.

    python -m zoo.benchmark.eager configs/deep_relu_xavier.yaml --data_dir FOLDER --epochs 15

Nothing here comes from Lightning or from the zoo's networks, loaders and loops.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
import yaml
from torch import Tensor, nn
from torchvision.datasets import MNIST


def network(hidden_sizes: Sequence[int] = (), dropout: float = 0.0, batch_norm: bool = False) -> nn.Sequential:
    """Return a fully connected ReLU net over 784 pixels and ten classes, of the layers that `zoo.models.MLP` has.

    Its initial values are torch's own.
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


Fetch = Callable[[Tensor], tuple[Tensor, Tensor]]
"""From places in the training set to images in [0, 1] and labels."""


def fetch_from(images: Tensor, labels: Tensor) -> Fetch:
    """Return how batches come from images, uint8 ``(N, 28, 28)``, and labels, int64 ``(N,)``, in memory."""
    return lambda batch: (images[batch].unsqueeze(1).float().div_(255), labels[batch])


def train_epoch(
    network: nn.Module, optimizer: torch.optim.Optimizer, fetch: Fetch, count: int, batch_size: int
) -> None:
    """Train for an epoch in a new order.

    Args:
        network: In training mode.
        optimizer: Of its parameters.
        fetch: Gets a batch.
        count: Images in the training set.
        batch_size: Images in a step.
    """
    for batch in torch.randperm(count).split(batch_size):
        images, labels = fetch(batch)
        optimizer.zero_grad()
        F.cross_entropy(network(images), labels).backward()
        optimizer.step()


@torch.no_grad()
def count_errors(network: nn.Module, images: Tensor, labels: Tensor) -> int:
    """Return how many of the images a network gets wrong."""
    network.eval()
    wrong = 0
    for pixels, wanted in zip(images.split(1000), labels.split(1000), strict=True):
        wrong += int((network(pixels.unsqueeze(1).float() / 255).argmax(dim=1) != wanted).sum())
    network.train()
    return wrong


def described_network(config: dict[str, Any]) -> nn.Sequential | None:
    """Return the network of a member's config, or None where it is no fully connected ReLU net or sees distortions."""
    model = config["model"]
    arguments = model.get("init_args", {})
    if config.get("data", {}).get("init_args", {}).get("augment", "none") != "none":
        return None
    if model["class_path"].endswith("SoftmaxRegression"):
        return network()
    if not model["class_path"].endswith(".MLP") or arguments.get("activation", "relu") != "relu":
        return None
    return network(
        arguments.get("hidden_sizes", (256, 256)), arguments.get("dropout", 0.0), arguments.get("batch_norm", False)
    )


def main() -> None:
    """Train, validate after each epoch, test and save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path, help="a member's YAML")
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--data_dir", required=True, help="where torchvision finds MNIST")
    parser.add_argument("--save", type=Path, help="file for the weights")
    options = parser.parse_args()
    torch.manual_seed(0)
    config = yaml.safe_load(options.config.read_text(encoding="utf-8"))
    net = described_network(config)
    if net is None:
        raise SystemExit(f"{options.config} describes no fully connected ReLU net that sees images as they are.")
    train, test = (MNIST(options.data_dir, train=part) for part in (True, False))
    optimizer = torch.optim.Adam(net.parameters(), lr=config["model"].get("init_args", {}).get("lr", 0.001), fused=True)
    fetch = fetch_from(train.data[5000:], train.targets[5000:])
    for epoch in range(options.epochs):
        train_epoch(net, optimizer, fetch, 55_000, 100)
        print(f"epoch {epoch + 1}: {count_errors(net, train.data[:5000], train.targets[:5000])} validation errors")
    print(f"{count_errors(net, test.data, test.targets)} test errors")
    if options.save:
        torch.save(net.state_dict(), options.save)


if __name__ == "__main__":
    main()
