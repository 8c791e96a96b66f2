"""Trajectory → label scores, decisions."""

from tangentlens.predictions.measures import responses
from tangentlens.predictions.prior import prior_variance
from tangentlens.predictions.trajectory import Trajectory, learn

__all__ = ["Trajectory", "learn", "prior_variance", "responses"]
