"""TangentLens: which features a text network will learn from your data, said before it is trained."""

from importlib import import_module
from typing import Any

from tangentlens.audit import Audit, audit, load
from tangentlens.comparing import compare
from tangentlens.data import (
    Negations,
    Texts,
    Tokens,
    Vocabulary,
    movie_reviews,
    negations,
    read_texts,
    small_reviews,
    split,
    tokenize,
)
from tangentlens.features import Family, Features
from tangentlens.kernels import (
    CNN,
    MLP,
    Architecture,
    ElmanRNN,
    LinearRNN,
    MatrixVector,
    SelfAttention,
    spectra,
    trends,
)
from tangentlens.predictions import (
    Trajectory,
    bias_sources,
    bias_split,
    contrary,
    interaction_share,
    interactions,
    learn,
    learning_order,
    prior_variance,
    responses,
)
from tangentlens.report import spectrum_page

__version__ = "0.1.0"

__all__ = [
    "CNN", "MLP", "Architecture", "Audit", "ElmanRNN", "Family", "Features", "LinearRNN", "MatrixVector", "Negations",
    "SelfAttention", "Texts", "Tokens", "Trajectory", "Vocabulary", "audit", "bias_sources", "bias_split", "compare",
    "contrary", "interaction_share", "interactions", "learn", "learning_order", "load", "movie_reviews", "negations",
    "prior_variance", "read_texts", "responses", "small_reviews", "spectra", "spectrum_page", "split", "tokenize",
    "trends",
]


def __getattr__(name: str) -> Any:
    """What needs an extra is imported on first use: NTKClassifier (sklearn), networks and verification (torch)."""
    if name in ("networks", "verification"):
        return import_module(f"tangentlens.{name}")
    if name != "NTKClassifier":
        raise AttributeError(f"module 'tangentlens' has no attribute {name!r}")
    try:
        from tangentlens.predictions.classifier import NTKClassifier
    except ModuleNotFoundError as error:
        raise ImportError(f'NTKClassifier needs {error.name}: pip install "tangentlens[sklearn]"') from error
    return NTKClassifier
