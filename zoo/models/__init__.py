"""The LightningModules, one file per family."""

from zoo.models.classifier import Classifier
from zoo.models.mlp import MLP
from zoo.models.softmax import SoftmaxRegression

__all__ = ["MLP", "Classifier", "SoftmaxRegression"]
