"""A restricted Boltzmann machine whose visible units are features and the label: the top of a generative DBN."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.rbm.bernoulli_rbm import BernoulliRBM, sample


class LabelRBM(BernoulliRBM):
    """An RBM over binary features and a label of which one unit is on, a softmax group.

    The visible states are ``(B, V + C)``: V features, then the label as a one-hot vector. Hinton, Osindero and Teh,
    "A fast learning algorithm for deep belief nets", Neural Computation 2006, section 5; Larochelle and Bengio,
    "Classification using discriminative restricted Boltzmann machines", ICML 2008.

    Args:
        num_features: V, at least 1.
        num_classes: C, at least 2.
        num_hidden: H, at least 1.
    """

    def __init__(self, num_features: int, num_classes: int, num_hidden: int) -> None:
        super().__init__(num_features + num_classes, num_hidden)
        self.num_features = num_features

    def visible_probabilities(self, hidden: Tensor) -> Tensor:
        """Return P(v = 1 | h), ``(B, V + C)``, for ``hidden`` ``(B, H)`` in [0, 1]; those of the classes sum to 1."""
        features, label = self._split(F.linear(hidden, self.weight, self.visible_bias))
        return torch.cat([torch.sigmoid(features), label.softmax(dim=1)], dim=1)

    def sample_visible(self, probabilities: Tensor) -> Tensor:
        """Return samples of the visible units, with one class each, for their probabilities ``(B, V + C)``."""
        features, label = self._split(probabilities)
        # The class whose exponential clock rings first is a sample; unlike torch.multinomial, a CUDA graph can hold it.
        winner = (torch.empty_like(label).exponential_() / label).argmin(dim=1)
        return torch.cat([sample(features), F.one_hot(winner, label.shape[1]).to(label.dtype)], dim=1)

    def logits(self, features: Tensor) -> Tensor:
        """Return log P(label | features) up to a constant of each row, ``(B, C)``: minus the free energies.

        Args:
            features: ``(B, V)`` in [0, 1]; real values are treated as probabilities.
        """
        weight, label_weight = self.weight[: self.num_features], self.weight[self.num_features :]
        inputs = F.linear(features, weight.T, self.hidden_bias)
        scores = [F.softplus(inputs + of_class).sum(dim=1) for of_class in label_weight]
        return torch.stack(scores, dim=1) + self.visible_bias[self.num_features :]

    def with_label(self, features: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return visible states ``(B, V + C)``.

        Args:
            features: ``(B, V)`` in [0, 1].
            labels: Classes, int64 ``(B,)``; None means their probabilities given the features.
        """
        if labels is None:
            label = self.logits(features).softmax(dim=1)
        else:
            label = F.one_hot(labels, self.weight.shape[0] - self.num_features).to(features.dtype)
        return torch.cat([features, label], dim=1)

    @torch.no_grad()
    def gibbs_given_labels(self, features: Tensor, labels: Tensor, steps: int) -> Tensor:
        """Run block Gibbs sampling with the labels held, and return the last features, ``(B, V)``.

        Args:
            features: Initial states of the chains, ``(B, V)`` in [0, 1].
            labels: Classes, int64 ``(B,)``.
            steps: Full steps, 0 or more.
        """
        for _ in range(steps):
            hidden = sample(self.hidden_probabilities(self.with_label(features, labels)))
            features = sample(self._split(self.visible_probabilities(hidden))[0])
        return features

    def _split(self, visible: Tensor) -> tuple[Tensor, Tensor]:
        return visible[:, : self.num_features], visible[:, self.num_features :]
