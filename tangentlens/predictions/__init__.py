"""Trajectory → label scores, decisions, and the measures in which architectures differ."""

from tangentlens.predictions.contrary import contrary
from tangentlens.predictions.explaining import Explanation
from tangentlens.predictions.first_order import FirstOrder, first_order
from tangentlens.predictions.language import LanguageModel, LogitParts, at_first_order, learn_next
from tangentlens.predictions.measures import (
    bias_sources,
    bias_split,
    interaction_share,
    interactions,
    learning_order,
    responses,
)
from tangentlens.predictions.partitioned import PartitionedTrajectory
from tangentlens.predictions.perplexity import perplexities
from tangentlens.predictions.prior import prior_variance
from tangentlens.predictions.trajectory import Trajectory, learn
from tangentlens.predictions.what_if import relearned, what_if

__all__ = [
    "Explanation", "FirstOrder", "LanguageModel", "LogitParts", "PartitionedTrajectory", "Trajectory", "at_first_order",
    "bias_sources", "bias_split", "contrary", "first_order", "interaction_share", "interactions", "learn", "learn_next",
    "learning_order", "perplexities", "prior_variance", "relearned", "responses", "what_if",
]
