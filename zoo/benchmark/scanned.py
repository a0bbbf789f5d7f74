"""The fully connected nets in JAX, a whole epoch as one compiled scan: the fastest program that is easily written."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Epoch = Callable[[], tuple[float, int]]
"""Trains, and gives the mean cost in nats and the errors on the validation images."""


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
    """Return a function that trains for an epoch in a new order, by Adam in single precision, and validates.

    Args:
        images: ``(N, 28, 28)``.
        labels: ``(N,)``.
        validation: Images and labels whose errors are counted after the epoch, a thousand at a time.
        hidden_sizes: Units of each hidden layer.
        dropout: Probability of dropping a hidden unit's output.
        batch_norm: Whether each layer's sums are normalised over the batch.
        batch_size: Images in a step.
        lr: Learning rate.

    Raises:
        ImportError: JAX is not installed.
    """
    import jax
    import jax.numpy as jnp

    steps = len(labels) // batch_size
    pixels = jnp.asarray(images.reshape(len(images), 784))
    classes = jnp.asarray(labels)
    random = np.random.default_rng(0)
    parameters = [
        {
            "weights": jnp.asarray(random.normal(0, (2 / (m + n)) ** 0.5, (m, n)), jnp.float32),
            "shift": jnp.zeros(n, jnp.float32),
        }
        for m, n in itertools.pairwise([784, *hidden_sizes, 10])
    ]

    def logits(layers: Any, x: Any, key: Any = None) -> Any:
        for depth, layer in enumerate(layers, start=1):
            x = x @ layer["weights"]
            if batch_norm:
                x = (x - x.mean(axis=0)) * jax.lax.rsqrt(x.var(axis=0) + 0.001)
            x = x + layer["shift"]
            if depth < len(layers):
                x = jax.nn.relu(x)
                if dropout and key is not None:
                    key, own = jax.random.split(key)
                    x = x * jax.random.bernoulli(own, 1 - dropout, x.shape) / (1 - dropout)
        return x

    def cost(layers: Any, x: Any, y: Any, key: Any) -> Any:
        return -jnp.take_along_axis(jax.nn.log_softmax(logits(layers, x, key)), y[:, None], axis=1).mean()

    def step(state: Any, batch: Any) -> Any:
        layers, first, second, count, key = state
        key, own = jax.random.split(key)
        x = pixels[batch].astype(jnp.float32) / 255
        value, gradients = jax.value_and_grad(cost)(layers, x, classes[batch], own)
        count = count + 1
        first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, first, gradients)
        second = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, second, gradients)
        scale = lr * jnp.sqrt(1 - 0.999**count) / (1 - 0.9**count)
        layers = jax.tree.map(lambda p, m, v: p - scale * m / (jnp.sqrt(v) + 1e-8), layers, first, second)
        return (layers, first, second, count, key), value

    @jax.jit
    def scan(state: Any, order: Any) -> Any:
        return jax.lax.scan(step, state, order)

    @jax.jit
    def count_errors(layers: Any, pixels: Any, classes: Any) -> Any:
        x = pixels.reshape(-1, 784).astype(jnp.float32) / 255
        return (logits(layers, x).argmax(axis=1) != classes).sum()

    zeros = jax.tree.map(jnp.zeros_like, parameters)
    state = (parameters, zeros, zeros, jnp.zeros((), jnp.float32), jax.random.key(0))

    starts = range(1000, len(validation[1]), 1000)
    parts = list(zip(*(map(jnp.asarray, np.split(part, starts)) for part in validation), strict=True))

    def epoch() -> tuple[float, int]:
        nonlocal state
        order = random.permutation(len(labels))[: steps * batch_size].reshape(steps, batch_size)
        state, costs = scan(state, jnp.asarray(order))
        return float(costs.mean()), sum(int(count_errors(state[0], *part)) for part in parts)

    return epoch
