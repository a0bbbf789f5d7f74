"""The LightningModules, one file per family."""

from zoo.models.bagging import BaggedEnsemble
from zoo.models.classifier import Classifier
from zoo.models.dbn import DBN
from zoo.models.mlp import MLP
from zoo.models.module import ZooModule
from zoo.models.rbm import RBM
from zoo.models.softmax import SoftmaxRegression

__all__ = ["DBN", "MLP", "RBM", "BaggedEnsemble", "Classifier", "SoftmaxRegression", "ZooModule"]
