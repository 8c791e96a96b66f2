"""From an architecture to its network of finite width."""

from __future__ import annotations

import torch

from tangentlens.errors import OptionError
from tangentlens.kernels import CNN, MLP, Architecture, ElmanRNN, LinearRNN, MatrixVector, SelfAttention
from tangentlens.kernels.architecture import check_count
from tangentlens.networks.attention import SelfAttentionTwin
from tangentlens.networks.mlp import CNNTwin, MLPTwin
from tangentlens.networks.multiplying import ElmanRNNTwin, LinearRNNTwin, MatrixVectorTwin
from tangentlens.networks.twin import Twin

TWINS: dict[type[Architecture], type[Twin]] = {
    MLP: MLPTwin, CNN: CNNTwin, SelfAttention: SelfAttentionTwin, MatrixVector: MatrixVectorTwin,
    LinearRNN: LinearRNNTwin, ElmanRNN: ElmanRNNTwin,
}


def build(architecture: Architecture, *, vocabulary_size: int, width: int, outputs: int = 1, seed: int = 0,
          dtype: torch.dtype = torch.float32, device: str | torch.device = "cpu") -> Twin:
    """The network of finite width whose infinitely wide limit is the architecture (theory, section 6).

    Every parameter is drawn from N(0, 1) (standard normal), on the CPU, so that a seed means the same network on every
    device; `network(tokens)` gives outputs (n, outputs).
    vocabulary_size: tokens v, at least that of the texts; width: m; outputs: c. Raises OptionError.

    >>> import tangentlens as tl
    >>> tokens = tl.Tokens.from_ids([[0, 1, 0], [2]])
    >>> network = build(tl.MLP(), vocabulary_size=3, width=64)
    >>> tuple(network(tokens).shape), sum(p.numel() for p in network.parameters() if p.requires_grad)
    ((2, 1), 4352)
    """
    for name, number in (("vocabulary_size", vocabulary_size), ("width", width), ("outputs", outputs)):
        check_count(name, number)
    if type(architecture) not in TWINS:
        raise OptionError(f"there is no finite network for {architecture!r}; there is one for "
                          f"{', '.join(kind.__name__ for kind in TWINS)}")
    twin = TWINS[type(architecture)](architecture, vocabulary_size=vocabulary_size, width=width, outputs=outputs,
                                     seed=seed)
    return twin.to(device=device, dtype=dtype)
