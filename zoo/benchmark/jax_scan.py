"""The fully connected networks in JAX, each epoch one compiled scan: the fastest baseline that is easy to write."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Epoch = Callable[[], tuple[float, int]]
"""Trains for one epoch; returns the mean loss in nats and the number of errors on the validation images."""


def make_epoch(
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    validation: tuple[NDArray[np.uint8], NDArray[np.int64]],
    hidden_sizes: Sequence[int] = (),
    dropout: float = 0.0,
    batch_norm: bool = False,
    batch_size: int = 100,
    lr: float = 0.001,
) -> Epoch:
    """Return a function that trains for one epoch in a new random order, with Adam in single precision, and validates.

    Args:
        images: ``(N, 28, 28)``.
        labels: ``(N,)``.
        validation: Images and labels for validation after each epoch, in chunks of a thousand.
        hidden_sizes: Units of each hidden layer.
        dropout: Probability of dropping a hidden unit's output.
        batch_norm: Whether the outputs of each linear layer are normalized over the batch, and in validation by running
            averages.
        batch_size: Images per step.
        lr: Learning rate.

    Raises:
        ImportError: JAX is not installed.
    """
    import jax
    import jax.numpy as jnp

    steps = len(labels) // batch_size
    pixels = jnp.asarray(images.reshape(len(images), 784))
    classes = jnp.asarray(labels)
    rng = np.random.default_rng(0)
    parameters = [
        {
            "weights": jnp.asarray(rng.normal(0, (2 / (m + n)) ** 0.5, (m, n)), jnp.float32),
            "bias": jnp.zeros(n, jnp.float32),
        }
        for m, n in itertools.pairwise([784, *hidden_sizes, 10])
    ]

    def logits(layers: Any, averages: Any, x: Any, key: Any = None) -> Any:
        new_averages = []
        for depth, (layer, (mean, variance)) in enumerate(zip(layers, averages, strict=True), start=1):
            x = x @ layer["weights"]
            if batch_norm:
                if key is not None:
                    running, unbiased = (mean, variance), len(x) / (len(x) - 1)
                    mean, variance = x.mean(axis=0), x.var(axis=0)
                    new_averages.append((0.9 * running[0] + 0.1 * mean, 0.9 * running[1] + 0.1 * unbiased * variance))
                x = (x - mean) * jax.lax.rsqrt(variance + 0.001)
            x = x + layer["bias"]
            if depth < len(layers):
                x = jax.nn.relu(x)
                if dropout and key is not None:
                    key, own = jax.random.split(key)
                    x = x * jax.random.bernoulli(own, 1 - dropout, x.shape) / (1 - dropout)
        return x, new_averages or averages

    def loss(layers: Any, averages: Any, x: Any, y: Any, key: Any) -> Any:
        found, averages = logits(layers, averages, x, key)
        return -jnp.take_along_axis(jax.nn.log_softmax(found), y[:, None], axis=1).mean(), averages

    def step(state: Any, batch: Any) -> Any:
        layers, averages, first, second, count, key = state
        key, own = jax.random.split(key)
        x = pixels[batch].astype(jnp.float32) / 255
        both = jax.value_and_grad(loss, has_aux=True)(layers, averages, x, classes[batch], own)
        (value, averages), gradients = both
        count = count + 1
        first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, first, gradients)
        second = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, second, gradients)
        scale = lr * jnp.sqrt(1 - 0.999**count) / (1 - 0.9**count)
        layers = jax.tree.map(lambda p, m, v: p - scale * m / (jnp.sqrt(v) + 1e-8), layers, first, second)
        return (layers, averages, first, second, count, key), value

    @jax.jit
    def scan(state: Any, order: Any) -> Any:
        return jax.lax.scan(step, state, order)

    @jax.jit
    def count_errors(layers: Any, averages: Any, pixels: Any, classes: Any) -> Any:
        x = pixels.reshape(-1, 784).astype(jnp.float32) / 255
        return (logits(layers, averages, x)[0].argmax(axis=1) != classes).sum()

    zeros = jax.tree.map(jnp.zeros_like, parameters)
    averages = [(jnp.zeros_like(layer["bias"]), jnp.ones_like(layer["bias"])) for layer in parameters]
    state = (parameters, averages, zeros, zeros, jnp.zeros((), jnp.float32), jax.random.key(0))

    starts = range(1000, len(validation[1]), 1000)
    parts = list(zip(*(map(jnp.asarray, np.split(part, starts)) for part in validation), strict=True))

    def epoch() -> tuple[float, int]:
        nonlocal state
        order = rng.permutation(len(labels))[: steps * batch_size].reshape(steps, batch_size)
        state, losses = scan(state, jnp.asarray(order))
        return float(losses.mean()), sum(int(count_errors(*state[:2], *part)) for part in parts)

    return epoch
