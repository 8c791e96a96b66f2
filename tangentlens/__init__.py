"""TangentLens: which features a text network will learn from your data, said before it is trained."""

from tangentlens.audit import Audit, audit
from tangentlens.data import Texts, Tokens, Vocabulary, movie_reviews, read_texts, small_reviews, split, tokenize
from tangentlens.features import Family, Features
from tangentlens.kernels import CNN, MLP, Architecture, ElmanRNN, LinearRNN, MatrixVector, SelfAttention
from tangentlens.predictions import Trajectory, learn, responses

__version__ = "0.1.0"

__all__ = [
    "CNN", "MLP", "Architecture", "Audit", "ElmanRNN", "Family", "Features", "LinearRNN", "MatrixVector",
    "SelfAttention", "Texts", "Tokens", "Trajectory", "Vocabulary", "audit", "learn", "movie_reviews", "read_texts",
    "responses", "small_reviews", "split", "tokenize",
]
