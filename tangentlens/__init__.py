"""TangentLens: which features a text network will learn from your data, said before it is trained."""

from tangentlens.data import Texts, Tokens, Vocabulary, read_texts, tokenize
from tangentlens.features import Family, Features
from tangentlens.kernels import CNN, MLP, Architecture, SelfAttention
from tangentlens.predictions import Trajectory, learn, responses

__version__ = "0.1.0"

__all__ = ["CNN", "MLP", "Architecture", "Family", "Features", "SelfAttention", "Texts", "Tokens", "Trajectory",
           "Vocabulary", "learn", "read_texts", "responses", "tokenize"]
