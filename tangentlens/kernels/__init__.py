"""Architectures: families and coefficients, Gaussian expectations, exact kernels."""

from tangentlens.kernels.architecture import Architecture, describe
from tangentlens.kernels.attention import SelfAttention
from tangentlens.kernels.cnn import CNN
from tangentlens.kernels.comparing import shares, spectra
from tangentlens.kernels.elman_rnn import ElmanRNN
from tangentlens.kernels.linear_rnn import LinearRNN
from tangentlens.kernels.matrix_vector import MatrixVector
from tangentlens.kernels.mlp import MLP
from tangentlens.kernels.parsing import parse_architecture
from tangentlens.kernels.stand_ins import StandIn, stand_in
from tangentlens.kernels.token_rates import TokenRates
from tangentlens.kernels.varying import trends

ARCHITECTURES: dict[str, type[Architecture]] = {
    kind.__name__: kind for kind in (MLP, CNN, SelfAttention, MatrixVector, LinearRNN, ElmanRNN)
}

__all__ = ["ARCHITECTURES", "CNN", "MLP", "Architecture", "ElmanRNN", "LinearRNN", "MatrixVector", "SelfAttention",
           "StandIn", "TokenRates", "describe", "parse_architecture", "shares", "spectra", "stand_in", "trends"]
