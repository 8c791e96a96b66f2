"""Trajectory → label scores, decisions."""

from tangentlens.predictions.measures import responses
from tangentlens.predictions.trajectory import Trajectory, learn

__all__ = ["Trajectory", "learn", "responses"]
