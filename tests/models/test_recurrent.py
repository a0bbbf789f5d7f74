from __future__ import annotations

from typing import Any

import pytest
import torch

from zoo.models import RecurrentNet
from zoo.utils.errors import UsageError


def test_lstm_matches_the_equations_over_the_rows() -> None:
    """Hochreiter and Schmidhuber's equations with forget gates, over the rows from top to bottom."""
    torch.manual_seed(0)
    model = RecurrentNet("lstm", hidden_size=5).eval()
    images = torch.rand(3, 1, 28, 28)
    weights = dict(model.recurrent.named_parameters())
    state, cell = torch.zeros(3, 5), torch.zeros(3, 5)
    for row in range(28):
        inputs = images[:, 0, row] @ weights["weight_ih_l0"].T + weights["bias_ih_l0"]
        inputs = inputs + state @ weights["weight_hh_l0"].T + weights["bias_hh_l0"]
        input_gate, forget_gate, candidate, output_gate = inputs.chunk(4, dim=1)
        cell = forget_gate.sigmoid() * cell + input_gate.sigmoid() * candidate.tanh()
        state = output_gate.sigmoid() * cell.tanh()
    torch.testing.assert_close(model(images), model.output(state))


@pytest.mark.parametrize(("cell", "gates"), [("lstm", 4), ("gru", 3), ("rnn", 1)])
def test_recurrent_weights_are_orthogonal_and_forget_gate_biases_one(cell: str, gates: int) -> None:
    model = RecurrentNet(cell, hidden_size=6, num_layers=2)
    for layer in (0, 1):
        for gate in model.recurrent.get_parameter(f"weight_hh_l{layer}").chunk(gates):
            torch.testing.assert_close(gate @ gate.T, torch.eye(6), atol=1e-5, rtol=0)
        biases = [model.recurrent.get_parameter(f"bias_{name}_l{layer}").detach() for name in ("ih", "hh")]
        expected = torch.zeros(gates, 6)
        if cell == "lstm":
            expected[1] = 1
        assert torch.equal(sum(biases).view(gates, 6), expected)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"cell": "lstn"}, "did you mean lstm"),
        ({"hidden_size": 0}, "hidden_size is 0"),
        ({"num_layers": 0}, "num_layers is 0"),
        ({"dropout": 1.0}, "dropout is 1.0"),
    ],
)
def test_wrong_arguments_raise(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        RecurrentNet(**arguments)
