"""Features and labels → trajectory of dual coefficients."""

from tangentlens.learning.dynamics import Dynamics
from tangentlens.learning.losses import LOSSES, Targets
from tangentlens.learning.minibatch import Batches
from tangentlens.learning.parts import PartitionedFeatures
from tangentlens.learning.product import KernelProduct
from tangentlens.learning.solve import critical_learning_rate, descend, flow, start

__all__ = ["LOSSES", "Batches", "Dynamics", "KernelProduct", "PartitionedFeatures", "Targets",
           "critical_learning_rate", "descend", "flow", "start"]
