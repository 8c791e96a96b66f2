"""Networks as users build them: PyTorch's own layers and initialisation, dropout, max pooling, gates, attention.

They are no twins: no closed form is exact for them. They show how far the prediction carries (docs/practice.md).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from tangentlens.data.tokens import Tokens
from tangentlens.errors import OptionError
from tangentlens.kernels.architecture import check_count

WINDOWS = (3, 4, 5)  # of TextCNN
HEADS = 4
LONGEST = 512  # tokens of a text that the Transformer has positions for
ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh}


class Bag(nn.Module):
    """The mean of the embeddings."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, embedded: Tensor, inside: Tensor) -> Tensor:
        return _mean(embedded, inside)


class TextCNN(nn.Module):
    """Convolutions over windows of 3, 4 and 5 tokens, an activation, the maximum over the text (Kim 2014)."""

    def __init__(self, size: int, activation: str = "relu") -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(nn.Conv1d(size, size, k) for k in WINDOWS)
        self.activation = ACTIVATIONS[activation]()
        self.size = size * len(WINDOWS)

    def forward(self, embedded: Tensor, inside: Tensor) -> Tensor:
        rows, outside = embedded.transpose(1, 2), ~inside[:, None, :]
        found = []
        for k, convolution in zip(WINDOWS, self.convolutions, strict=True):
            windows = convolution(nn.functional.pad(rows, ((k - 1) // 2, k // 2)))
            found.append(self.activation(windows.masked_fill(outside, -torch.inf).amax(dim=2)))
        return torch.cat(found, dim=1)


class Recurrent(nn.Module):
    """The last state of an LSTM or a GRU."""

    def __init__(self, size: int, kind: str) -> None:
        super().__init__()
        self.cell = (nn.LSTM if kind == "lstm" else nn.GRU)(size, size, batch_first=True)
        self.size = size

    def forward(self, embedded: Tensor, inside: Tensor) -> Tensor:
        states = self.cell(embedded)[0]  # padding comes after a text's last state, so it changes nothing
        last = (inside.sum(dim=1) - 1).clamp(min=0)
        return torch.as_tensor(states[torch.arange(len(states)), last])


class Transformer(nn.Module):
    """One layer of PyTorch's Transformer encoder with learned positions; the mean over the text."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.positions = nn.Parameter(0.02 * torch.randn(LONGEST, size))
        self.layer = nn.TransformerEncoderLayer(size, HEADS, 2 * size, dropout=0.1, batch_first=True)
        self.size = size

    def forward(self, embedded: Tensor, inside: Tensor) -> Tensor:
        rows = embedded + self.positions[:embedded.shape[1]]
        return _mean(self.layer(rows, src_key_padding_mask=~inside), inside)


ORDINARY: dict[str, Callable[[int], Bag | TextCNN | Recurrent | Transformer]] = {
    "bag": Bag, "textcnn": TextCNN, "textcnn tanh": lambda size: TextCNN(size, "tanh"),
    "lstm": lambda size: Recurrent(size, "lstm"), "gru": lambda size: Recurrent(size, "gru"),
    "transformer": Transformer,
}


class OrdinaryNetwork(nn.Module):
    """Embedding, encoder, dropout, linear readout; `network(tokens)` gives outputs (n, outputs).

    A token with the id −1 has an embedding that is never trained.
    """

    def __init__(self, name: str, *, vocabulary_size: int, size: int, outputs: int, dropout: float) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary_size + 2, size, padding_idx=vocabulary_size + 1)
        self.encoder = ORDINARY[name](size)
        self.dropout = nn.Dropout(dropout)
        self.readout = nn.Linear(self.encoder.size, outputs)

    def forward(self, tokens: Tokens) -> Tensor:
        ids = padded(tokens, self.embedding.num_embeddings - 2)
        inside = ids != self.embedding.padding_idx
        return torch.as_tensor(self.readout(self.dropout(self.encoder(self.embedding(ids), inside))))


def ordinary(name: str, *, vocabulary_size: int, size: int = 64, outputs: int = 1, dropout: float = 0.5, seed: int = 0
             ) -> OrdinaryNetwork:
    """An ordinary network with PyTorch's own initialisation.

    name: "bag" (mean of embeddings), "textcnn" (windows of 3, 4, 5 and max pooling; "textcnn tanh": with tanh for
    ReLU), "lstm", "gru" (last state) or "transformer" (one layer, mean); size: of embeddings, states and, for every
    window, filters; dropout: before the readout. Raises OptionError.

    >>> import tangentlens as tl
    >>> network = ordinary("lstm", vocabulary_size=3, size=8)
    >>> tuple(network(tl.Tokens.from_ids([[0, 1, 0], [2]])).shape)
    (2, 1)
    """
    if name not in ORDINARY:
        raise OptionError(f"there is no ordinary network {name!r}; there are: {', '.join(ORDINARY)}")
    for option, number in (("vocabulary_size", vocabulary_size), ("size", size), ("outputs", outputs)):
        check_count(option, number)
    if name == "transformer" and size % HEADS:
        raise OptionError(f"size must be a multiple of the {HEADS} heads of a Transformer, not {size}")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return OrdinaryNetwork(name, vocabulary_size=vocabulary_size, size=size, outputs=outputs, dropout=dropout)


def padded(tokens: Tokens, unknown: int) -> Tensor:
    """Ids (n, longest text, at least 1), padded at the end with unknown + 1; −1 becomes `unknown`."""
    lengths = tokens.lengths
    ids = np.full((len(tokens), max(1, int(lengths.max(initial=0)))), unknown + 1, np.int64)
    ids[np.arange(ids.shape[1]) < lengths[:, None]] = np.where(tokens.ids < 0, unknown, tokens.ids)
    return torch.from_numpy(ids)


def _mean(rows: Tensor, inside: Tensor) -> Tensor:
    """Mean over the places inside the text; (n, L, m) → (n, m)."""
    return (rows * inside[:, :, None]).sum(dim=1) / inside.sum(dim=1, keepdim=True).clamp(min=1)
