"""Deep belief net: greedy layer-wise pretraining without labels, then supervised fine-tuning."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from zoo.layers.initializers import initialize_tensor
from zoo.models.greedy_pretraining import GreedyPretraining
from zoo.rbm.bernoulli_rbm import BernoulliRBM
from zoo.utils.checks import (
    check_fractions,
    check_layer_sizes,
    check_positive,
    fractions_by_layer,
)


class DBN(GreedyPretraining):
    """A deep belief net: restricted Boltzmann machines, stacked and fine-tuned as a sigmoid network, 784-…-10.

    Training has several stages, each a number of epochs. First, each layer in turn, from input to output, is trained as
    an RBM by contrastive divergence on the layer below's E[h|v], while the other layers are frozen. Then all layers
    and a new softmax output layer are trained by backpropagation, as any `Classifier`. The stage is a function of the
    epoch, so training can be interrupted and resumed in any stage. The ``stage``, counted from 1, is logged in every
    epoch; during pretraining also ``val_reconstruction_error`` and ``free_energy_gap`` of the layer being trained (see
    `zoo.models.RBM`).

    Hinton, Osindero and Teh, "A fast learning algorithm for deep belief nets", Neural Computation 2006 (with another
    fine-tuning algorithm); with backpropagation: Hinton and Salakhutdinov, "Reducing the dimensionality of data with
    neural networks", Science 2006; with dropout: Srivastava et al., JMLR 2014.

    Args:
        hidden_sizes: Units in each hidden layer, from input to output; at least one layer.
        pretrain_epochs: Pretraining epochs for each layer; 0 disables pretraining.
        gibbs_steps: k, the number of Gibbs steps in each pretraining update, at least 1.
        persistent: Pretrain with persistent chains, as in `zoo.models.RBM`.
        sample_visible: Pretrain on states sampled from each layer's input instead of on the probabilities.
        centred: Pretrain with centered gradients.
        pretrain_lr: Learning rate of contrastive divergence, more than 0; it decays linearly towards 0 after the
            initial epochs.
        initial_momentum: Momentum in the initial epochs of each layer, 0 ≤ m < 1.
        pretrain_momentum: Momentum in the other pretraining epochs, 0 ≤ m < 1.
        initial_epochs: Number of initial epochs of each layer, 0 or more.
        weight_cost: L2 penalty on the weights, not the biases, during pretraining, 0 or more.
        weight_init: Weight initialization of the hidden layers, a name in `zoo.layers.initializers`; None means
            N(0, 0.01²), the initialization of RBMs.
        hidden_lr_factor: Learning rate of the hidden layers in fine-tuning, relative to ``lr``, which is that of the
            output layer; more than 0.
        input_dropout: Probability of dropping a pixel in fine-tuning, 0 ≤ p < 1.
        dropout: Probability of dropping a hidden unit's output in fine-tuning, 0 ≤ p < 1: one number, or one for each
            hidden layer.
        **training: Arguments of the fine-tuning, as in `Classifier`; a schedule moves once per epoch.

    Raises:
        UsageError: A number is out of range or a name is unknown.
    """

    training_arguments = (
        *GreedyPretraining.training_arguments,
        *("weight_init", "hidden_lr_factor", "input_dropout", "dropout"),
    )

    def __init__(
        self,
        hidden_sizes: Sequence[int] = (500, 500, 2000),
        pretrain_epochs: int = 3,
        gibbs_steps: int = 1,
        persistent: bool = False,
        sample_visible: bool = False,
        centred: bool = False,
        pretrain_lr: float = 0.1,
        initial_momentum: float = 0.5,
        pretrain_momentum: float = 0.9,
        initial_epochs: int = 5,
        weight_cost: float = 0.0002,
        weight_init: str | None = None,
        hidden_lr_factor: float = 1.0,
        input_dropout: float = 0.0,
        dropout: float | Sequence[float] = 0.0,
        **training: Any,
    ) -> None:
        super().__init__(**training)
        check_layer_sizes(hidden_sizes, least=1)
        check_positive(hidden_lr_factor=hidden_lr_factor)
        check_fractions(input_dropout=input_dropout)
        self.set_layers([BernoulliRBM(*shape) for shape in itertools.pairwise([784, *hidden_sizes])])
        if weight_init is not None:
            for rbm in self.rbms:
                initialize_tensor(rbm.weight.T, weight_init)
        # Of what each layer and the output layer get.
        rates = [input_dropout, *fractions_by_layer(dropout, len(hidden_sizes), "dropout")]
        self.dropouts = nn.ModuleList(nn.Dropout(rate) for rate in rates)
        self.output = nn.Linear(hidden_sizes[-1], self.hparams["num_classes"])
        nn.init.xavier_uniform_(self.output.weight)
        nn.init.zeros_(self.output.bias)

    def forward(self, images: Tensor) -> Tensor:
        """Map images ``(B, 1, 28, 28)`` in [0, 1] to logits ``(B, 10)``."""
        activations = images.flatten(start_dim=1)
        for dropout, rbm in zip(self.dropouts, self.rbms, strict=False):
            activations = rbm.hidden_probabilities(dropout(activations))
        logits: Tensor = self.output(self.dropouts[-1](activations))
        return logits

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return the fine-tuning parameter groups: hidden layers, with their own learning rate, and output layer."""
        hidden = [parameter for rbm in self.rbms for parameter in (rbm.weight, rbm.hidden_bias)]
        return [
            {"params": hidden, "lr": self.hparams["lr"] * self.hparams["hidden_lr_factor"]},
            {"params": list(self.output.parameters())},
        ]
