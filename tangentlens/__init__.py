"""TangentLens: which features a text network will learn from your data, said before it is trained."""

from importlib import import_module
from typing import Any

import tangentlens.starting  # noqa: F401  before all others, which take long to load
from tangentlens.audit import audit
from tangentlens.comparing import compare
from tangentlens.data import (
    Contexts,
    Corpus,
    Negations,
    Scan,
    Texts,
    Tokens,
    Vocabulary,
    movie_reviews,
    negations,
    read_corpus,
    read_texts,
    scan_texts,
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
    TokenRates,
    spectra,
    stand_in,
    trends,
)
from tangentlens.languages import language
from tangentlens.learning import Batches, PartitionedFeatures
from tangentlens.outcome import Audit, load
from tangentlens.partitioning import partition
from tangentlens.predictions import (
    Explanation,
    FirstOrder,
    LanguageModel,
    PartitionedTrajectory,
    Trajectory,
    at_first_order,
    bias_sources,
    bias_split,
    contrary,
    first_order,
    interaction_share,
    interactions,
    learn,
    learn_next,
    learning_order,
    perplexities,
    prior_variance,
    relearned,
    responses,
    what_if,
)
from tangentlens.report import spectrum_page

__version__ = "0.1.0"

__all__ = [
    "CNN",
    "MLP",
    "Architecture",
    "Audit",
    "Batches",
    "Contexts",
    "Corpus",
    "ElmanRNN",
    "Explanation",
    "Family",
    "Features",
    "FirstOrder",
    "LanguageModel",
    "LinearRNN",
    "MatrixVector",
    "Negations",
    "PartitionedFeatures",
    "PartitionedTrajectory",
    "Scan",
    "SelfAttention",
    "Texts",
    "TokenRates",
    "Tokens",
    "Trajectory",
    "Vocabulary",
    "at_first_order",
    "audit",
    "bias_sources",
    "bias_split",
    "compare",
    "contrary",
    "first_order",
    "interaction_share",
    "interactions",
    "language",
    "learn",
    "learn_next",
    "learning_order",
    "load",
    "movie_reviews",
    "negations",
    "partition",
    "perplexities",
    "prior_variance",
    "read_corpus",
    "read_texts",
    "relearned",
    "responses",
    "scan_texts",
    "small_reviews",
    "spectra",
    "spectrum_page",
    "split",
    "stand_in",
    "tokenize",
    "trends",
    "what_if",
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
