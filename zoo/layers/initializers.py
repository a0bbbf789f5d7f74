"""Weight and bias initializers by name.

The lecture's two formulas correspond to these as follows. It draws Xavier weights as
``randn(fan_in, fan_out) / sqrt(fan_in)`` and He weights as ``randn(fan_in, fan_out) / sqrt(fan_in / 2)``. The first is
``lecun_normal`` here (variance 1/fan_in). It equals Glorot and Bengio's variance 2/(fan_in + fan_out) if
fan_in = fan_out, and otherwise ignores the backward pass. The second is exactly ``he_normal`` (variance 2/fan_in). The
lecture's programs use neither formula but TensorFlow's ``xavier_initializer``, which is uniform by default:
``xavier_uniform`` here.

- ``xavier_*``: Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks",
  AISTATS 2010, equation 16 for the uniform form.
- ``he_*``: He, Zhang, Ren and Sun, "Delving deep into rectifiers", ICCV 2015, equation 10.
- ``lecun_normal``: LeCun, Bottou, Orr and Müller, "Efficient BackProp", 1998, equation 16; the
  initialization of self-normalizing networks (Klambauer et al., NeurIPS 2017).
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
"""Name to function, which fills a tensor in place. ``uniform`` is U(−1, 1), ``normal`` is N(0, 1)."""

BIAS_INITIALIZERS = ("zeros", "uniform", "normal")
"""The initializers that do not depend on fan_in or fan_out, which a bias does not have."""


def initialize(layer: nn.Module, weight_init: str, bias_init: str) -> None:
    """Initialize the weight and, if there is one, the bias of a linear or convolutional layer.

    Raises:
        UsageError: A name is unknown, or ``bias_init`` is an initializer for weights only.
    """
    if bias_init not in BIAS_INITIALIZERS:
        if bias_init in INITIALIZERS:
            raise UsageError(f"bias_init {bias_init!r} suits weights only: choose {', '.join(BIAS_INITIALIZERS)}.")
        raise unknown_name("bias_init", bias_init, BIAS_INITIALIZERS)
    initialize_tensor(layer.get_parameter("weight"), weight_init)
    if layer.bias is not None:
        INITIALIZERS[bias_init](layer.get_parameter("bias"))


def initialize_tensor(weight: Tensor, weight_init: str) -> None:
    """Initialize a weight tensor ``(fan_out, fan_in, …)`` in place.

    Raises:
        UsageError: The name is unknown.
    """
    if weight_init not in INITIALIZERS:
        raise unknown_name("weight_init", weight_init, INITIALIZERS)
    INITIALIZERS[weight_init](weight)
