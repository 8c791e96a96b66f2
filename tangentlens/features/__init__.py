"""Tokens → sparse pattern counts with names."""

from tangentlens.features.family import Family, Features

__all__ = ["Family", "Features"]
