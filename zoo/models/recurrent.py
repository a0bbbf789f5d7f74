"""Recurrent classifier that reads an image row by row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from zoo.layers.initializers import initialize, initialize_tensor
from zoo.models.classifier import Classifier
from zoo.utils.checks import check_counts, check_fractions
from zoo.utils.errors import UsageError, unknown_name

CELLS: dict[str, tuple[Callable[..., nn.RNNBase], int]] = {"lstm": (nn.LSTM, 4), "gru": (nn.GRU, 3), "rnn": (nn.RNN, 1)}
"""Name to (module class, number of gates whose weights are stacked in each of its tensors)."""

MAX_LAYERS = 100


class RecurrentNet(Classifier):
    """A recurrent classifier of the 28 rows of an image, 28 pixels each, by the last hidden state.

    Hochreiter and Schmidhuber, "Long short-term memory", Neural Computation 1997; Cho et al., "Learning phrase
    representations using RNN encoder–decoder", EMNLP 2014, for the GRU. The recurrent weights of each gate are
    initialized orthogonally, and the forget gate bias of the LSTM to 1 (Jozefowicz, Zaremba and Sutskever, ICML 2015).

    Args:
        cell: ``lstm``, ``gru``, or ``rnn``, a tanh cell without gates.
        hidden_size: Units in the hidden state, at least 1.
        num_layers: Stacked recurrent layers, 1 to 100.
        weight_init: Initialization of the non-recurrent weights, a name in `zoo.layers.initializers`.
        dropout: Probability of dropping a unit between layers and before the output layer in training, 0 ≤ p < 1.
        **training: Training arguments, as in `Classifier`.

    Raises:
        UsageError: A size or rate is out of range or a name is unknown.
    """

    def __init__(
        self,
        cell: str = "lstm",
        hidden_size: int = 128,
        num_layers: int = 1,
        weight_init: str = "xavier_uniform",
        dropout: float = 0.0,
        **training: Any,
    ) -> None:
        super().__init__(**training)
        if cell not in CELLS:
            raise unknown_name("cell", cell, CELLS)
        check_counts(least=1, hidden_size=hidden_size)
        check_fractions(dropout=dropout)
        if not 1 <= num_layers <= MAX_LAYERS:
            raise UsageError(f"num_layers is {num_layers}, but it must be 1 to {MAX_LAYERS}.")
        module_class, num_gates = CELLS[cell]
        dropout_between_layers = dropout if num_layers > 1 else 0.0
        self.recurrent = module_class(28, hidden_size, num_layers, batch_first=True, dropout=dropout_between_layers)
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(hidden_size, self.hparams["num_classes"])
        initialize(self.output, weight_init, "zeros")
        for name, parameter in self.recurrent.named_parameters():
            with torch.no_grad():
                for gate in parameter.chunk(num_gates):
                    if name.startswith("weight_hh"):
                        nn.init.orthogonal_(gate)
                    elif name.startswith("weight_ih"):
                        initialize_tensor(gate, weight_init)
                    else:
                        gate.zero_()
                if cell == "lstm" and name.startswith("bias_ih"):
                    parameter.chunk(num_gates)[1].fill_(1)  # the order of the gates is input, forget, cell, output

    def forward(self, images: Tensor) -> Tensor:
        """Map images ``(B, 1, 28, 28)`` in [0, 1] to logits ``(B, 10)``."""
        states, _ = self.recurrent(images.squeeze(1))  # (B, 28 rows, 28 pixels) -> (B, 28, hidden_size)
        logits: Tensor = self.output(self.dropout(states[:, -1]))
        return logits
