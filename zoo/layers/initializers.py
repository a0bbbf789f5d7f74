"""Initial values by name, for weights and biases.

How the lecture's two formulas relate to these: it draws Xavier's weights as ``randn(fan_in, fan_out) / sqrt(fan_in)``
and He's as ``randn(fan_in, fan_out) / sqrt(fan_in / 2)``. The first is ``lecun_normal`` here (variance 1/fan_in);
it equals Glorot and Bengio's variance 2/(fan_in + fan_out) where fan_in = fan_out and leaves the backward pass out
of account elsewhere. The second is ``he_normal`` exactly (variance 2/fan_in). The lecture's programs use neither
formula but TensorFlow's ``xavier_initializer``, whose default is the uniform form: ``xavier_uniform`` here.

- ``xavier_*``: Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks",
  AISTATS 2010, equation 16 for the uniform form.
- ``he_*``: He, Zhang, Ren and Sun, "Delving deep into rectifiers", ICCV 2015, equation 10.
- ``lecun_normal``: LeCun, Bottou, Orr and Müller, "Efficient BackProp", 1998, equation 16; the one that
  self-normalizing networks ask for (Klambauer et al., NeurIPS 2017).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from torch import Tensor, nn

from zoo.utils.errors import UsageError, unknown_name

INITIALIZERS: dict[str, Callable[[Tensor], Tensor]] = {
    "zeros": nn.init.zeros_,
    "uniform": partial(nn.init.uniform_, a=-1.0, b=1.0),
    "normal": nn.init.normal_,
    "xavier_uniform": nn.init.xavier_uniform_,
    "xavier_normal": nn.init.xavier_normal_,
    "he_uniform": partial(nn.init.kaiming_uniform_, nonlinearity="relu"),
    "he_normal": partial(nn.init.kaiming_normal_, nonlinearity="relu"),
    "lecun_normal": partial(nn.init.kaiming_normal_, nonlinearity="linear"),
}
"""Name to function; each fills a tensor in place. ``uniform`` is U(−1, 1), ``normal`` is N(0, 1)."""

WITHOUT_FANS = ("zeros", "uniform", "normal")
"""The initial values that need no fan_in or fan_out, and so suit a bias too."""


def initialize(layer: nn.Module, weight_init: str, bias_init: str) -> None:
    """Fill the weight and, where there is one, the bias of a linear or convolutional layer.

    Raises:
        UsageError: A name is unknown, or ``bias_init`` needs a fan, which a bias does not have.
    """
    if bias_init not in WITHOUT_FANS:
        if bias_init in INITIALIZERS:
            raise UsageError(f"bias_init {bias_init!r} suits weights only: choose {', '.join(WITHOUT_FANS)}.")
        raise unknown_name("bias_init", bias_init, WITHOUT_FANS)
    initialize_tensor(layer.get_parameter("weight"), weight_init)
    if layer.bias is not None:
        INITIALIZERS[bias_init](layer.get_parameter("bias"))


def initialize_tensor(weight: Tensor, weight_init: str) -> None:
    """Fill weights ``(fan_out, fan_in, …)`` in place.

    Raises:
        UsageError: The name is unknown.
    """
    if weight_init not in INITIALIZERS:
        raise unknown_name("weight_init", weight_init, INITIALIZERS)
    INITIALIZERS[weight_init](weight)
