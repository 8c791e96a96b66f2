"""Perplexity on the held-out pieces: predicted models, models by counting, and the trained networks, side by side.

Part of: python -m reproduce.language_models
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

import tangentlens as tl
from reproduce.causal import Found
from reproduce.sheet import Row, Sheet, number, text, written

GRAMS = tl.LinearRNN(pooling="last", max_order=3)
FIRST = {"MLP": tl.MLP(), "MatrixVector, orders 1 and 2": tl.MatrixVector(residual=True), "LinearRNN last, order 1":
         tl.LinearRNN(pooling="last", max_order=1), "LinearRNN last, orders 1 to 3": GRAMS}
SHOWN = {"model": ("model", text), "kind": ("kind", text), "perplexity": ("perplexity", number(".1f")),
         "seeds": ("least and most\nof the seeds", written), "chosen": ("chosen", number(".3g")),
         "contexts": ("contexts", number(",d"))}
NOTE = (
    "Every model has seen the same pieces, has the same vocabulary, and is asked for the same tokens: all known ones "
    "but the first of a piece. chosen: one number, on pieces that follow the held-out ones in the corpus: the time of "
    "a model at first order, a factor on what a learned one learned (1: as it is), the weight of the bigram beside "
    "the unigram. Networks: mean loss over seeds. learned: softmax dynamics in mini-batches, as above."
)


def contexts_of(corpus: tl.Corpus, window: int) -> tl.Contexts:
    """All contexts of at least one token."""
    contexts = tl.Contexts(corpus, window)
    return contexts[contexts.lengths > 0]


def perplexity_sheet(parts: Sequence[tl.Contexts], learned: Mapping[str, tl.LanguageModel],
                     networks: Mapping[str, Sequence[Found]]) -> Sheet:
    """parts: contexts to learn from, to choose on, and to ask about; learned: predicted models by name."""
    training, validation, test = parts
    first = tl.first_order(training, tuple(FIRST.values()))
    predicted = {**{f"{name}, first order": model for name, model in zip(FIRST, first, strict=True)}, **learned}
    table = tl.perplexities(predicted, validation, test, sample=max(map(len, parts)))
    rows: list[Row] = [row | {"kind": "predicted" if row["model"] in predicted else "counts"}
                       for row in table.to_dicts()]
    for name, found in networks.items():
        each = np.exp([one.held_loss for one in found])
        rows.append({"model": f"trained {name}", "kind": "trained", "contexts": len(test),
                     "perplexity": float(np.exp(np.mean(np.log(each)))), "seeds": f"{each.min():.1f}–{each.max():.1f}"})
    return Sheet("Perplexity on held-out pieces", rows, SHOWN, (NOTE,))
