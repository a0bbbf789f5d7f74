"""Generative deep belief net: the top RBM sees the label, so that the net can draw a digit that one asks for."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from zoo.models.greedy_pretraining import GreedyPretraining
from zoo.rbm.bernoulli_rbm import BernoulliRBM, sample
from zoo.rbm.label_rbm import LabelRBM
from zoo.utils.checks import check_layer_sizes


class GenerativeDBN(GreedyPretraining):
    """A deep belief net as a model of images and labels together, which classifies and draws without fine-tuning.

    Each layer is trained as an RBM on E[h|v] of the layer below. The visible units of the top layer are these features
    and the label. Logits are log P(label | features) of the top RBM, which is exact. To draw a digit, Gibbs sampling
    runs in the top RBM with the label held, and the layers below map its features down to pixels (`decode`).

    After the pretraining of all layers, further epochs fine-tune all weights by backpropagation, as any `Classifier`.
    That lowers the error and spoils the drawings, so the shipped config has none.

    Hinton, Osindero and Teh, "A fast learning algorithm for deep belief nets", Neural Computation 2006, without its
    up-down algorithm; Larochelle and Bengio, "Classification using discriminative restricted Boltzmann machines", ICML
    2008, equation 2.

    Args:
        hidden_sizes: Units in each hidden layer, from input to output; at least two layers.
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
        **training: Arguments of the fine-tuning, as in `Classifier`; a schedule moves once per epoch.

    Raises:
        UsageError: A number is out of range or a name is unknown.
    """

    def __init__(
        self,
        hidden_sizes: Sequence[int] = (500, 500),
        pretrain_epochs: int = 3,
        gibbs_steps: int = 1,
        persistent: bool = True,
        sample_visible: bool = True,
        centred: bool = True,
        pretrain_lr: float = 0.02,
        initial_momentum: float = 0.5,
        pretrain_momentum: float = 0.9,
        initial_epochs: int = 5,
        weight_cost: float = 0.0001,
        **training: Any,
    ) -> None:
        super().__init__(**training)
        check_layer_sizes(hidden_sizes, least=2)
        *lower, top = itertools.pairwise([784, *hidden_sizes])
        num_features, num_hidden = top
        self.set_layers(
            [
                *(BernoulliRBM(*shape) for shape in lower),
                LabelRBM(num_features, self.hparams["num_classes"], num_hidden),
            ]
        )

    @property
    def top(self) -> LabelRBM:
        """The top layer."""
        rbm = self.rbms[-1]
        assert isinstance(rbm, LabelRBM)
        return rbm

    def forward(self, images: Tensor) -> Tensor:
        """Map images ``(B, 1, 28, 28)`` in [0, 1] to logits ``(B, 10)``."""
        return self.top.logits(self.forward_features(images))

    def forward_features(self, images: Tensor) -> Tensor:
        """Map images ``(B, 1, 28, 28)`` in [0, 1] to the features of the top layer, ``(B, V)``."""
        features = images.flatten(start_dim=1)
        for rbm in self.rbms[:-1]:
            features = rbm.hidden_probabilities(features)
        return features

    def feature_names(self) -> list[str]:
        """Return the names of the weights and buffers that are no part of the top layer and its pretraining."""
        last = len(self.layers) - 1
        return [name for name in self.state_dict() if not name.startswith((f"layers.{last}.", f"divergences.{last}."))]

    def unlabelled_epochs(self) -> int:
        """Return the number of epochs at the start that need no labels: those of all layers but the top one."""
        return int(self.hparams["pretrain_epochs"]) * (len(self.layers) - 1)

    def visible_states(self, layer: int, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return a layer's visible states in its pretraining, ``(B, V)``; those of the top layer end with the label.

        Args:
            layer: Its index.
            images: ``(B, 1, 28, 28)`` or ``(B, 784)`` in [0, 1].
            labels: int64 ``(B,)``; None means the probabilities of the classes.
        """
        states = super().visible_states(layer, images, labels)
        if layer < len(self.layers) - 1:
            return states
        with torch.no_grad():
            return self.top.with_label(states, labels)

    @torch.no_grad()
    def hidden_activations(self, images: Tensor) -> list[Tensor]:
        """Return the output of every hidden layer, from input to output; the top layer's given P(label | features)."""
        last = len(self.layers) - 1
        below = [self.input_of(layer, images) for layer in range(1, last + 1)]
        return [*below, self.top.hidden_probabilities(self.visible_states(last, images))]

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return the parameters of the fine-tuning: all that the logits depend on."""
        below = [parameter for rbm in self.rbms[:-1] for parameter in (rbm.weight, rbm.hidden_bias)]
        return [{"params": [*below, *self.top.parameters()]}]

    @torch.no_grad()
    def initial_features(self, count: int) -> Tensor:
        """Return states of the top layer's features to begin with, ``(count, V)``, drawn from their frequencies."""
        frequencies = self.contrastive_divergences[-1].visible_mean[: self.top.num_features]
        return sample(frequencies.expand(count, -1))

    @torch.no_grad()
    def decode(self, features: Tensor) -> Tensor:
        """Map features of the top layer ``(B, V)`` to the probabilities of the pixels, ``(B, 1, 28, 28)``."""
        for rbm in reversed(self.rbms[:-1]):
            features = rbm.visible_probabilities(features)
        return features.view(-1, 1, 28, 28)
