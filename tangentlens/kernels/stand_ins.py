"""Stand-ins: for a network as users train it, the architecture that foretells it best (docs/practice.md)."""

from __future__ import annotations

from dataclasses import dataclass

from tangentlens.errors import OptionError, nearest
from tangentlens.kernels.architecture import Architecture
from tangentlens.kernels.linear_rnn import LinearRNN
from tangentlens.kernels.mlp import MLP
from tangentlens.kernels.token_rates import TokenRates


@dataclass(frozen=True)
class StandIn:
    """The architecture that stands in for an ordinary network, and the training loss to learn it to.

    until_loss: what such networks had, dropout off, at their least development loss on SST. Where the network has been
    trained, its own training loss is better; where there are texts to hold out, `time="best"` needs neither.
    """

    network: str
    architecture: Architecture
    until_loss: float


def _gated(gate_std: float, pooling: str) -> TokenRates:
    return TokenRates(LinearRNN(gate_std=gate_std, max_order=3, pooling=pooling), rate=0.3)


STAND_INS = {one.network: one for one in (
    StandIn("bag", TokenRates(MLP(activation="tanh"), rate=10.0), 0.24),
    StandIn("textcnn", _gated(0.39, "mean"), 0.26),
    StandIn("textcnn tanh", _gated(0.35, "mean"), 0.34),
    StandIn("lstm", _gated(0.4, "sum"), 0.36),
    StandIn("gru", _gated(0.37, "sum"), 0.34),
    StandIn("transformer", _gated(0.35, "mean"), 0.40),
)}


def stand_in(network: str) -> StandIn:
    """The stand-in of an ordinary network: which architecture to ask, and how long it is to learn.

    network: "bag", "textcnn", "textcnn tanh", "lstm", "gru" or "transformer", as `tl.networks.ordinary` builds them,
    trained by Adam. Chosen on SST, then held fixed. Raises OptionError for another name.

    >>> import tangentlens as tl
    >>> texts = tl.small_reviews(); tokens = tl.tokenize(texts); textcnn = stand_in("textcnn")
    >>> features = textcnn.architecture.features(tokens)
    >>> trajectory = tl.learn(features, texts.labels, until_loss=textcnn.until_loss)
    >>> trajectory.label_scores().filter(feature="imax").select("class", "count").row(0)
    ('positive', 28)
    """
    if network not in STAND_INS:
        raise OptionError(f"there is no stand-in for {network!r}; {nearest(network, STAND_INS)}")
    return STAND_INS[network]
