"""Questions to a language model: what it predicts after a text, why, and which targets its features call for."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import log_softmax

from tangentlens.data.contexts import Contexts
from tangentlens.data.messages import shown
from tangentlens.data.storage import Arrays, write_arrays
from tangentlens.data.tokenizing import tokenize
from tangentlens.data.tokens import UNKNOWN, Tokens, Vocabulary
from tangentlens.errors import DataError, OptionError, ShapeError, nearest
from tangentlens.kernels.architecture import Architecture, describe
from tangentlens.learning.cooccurrence import lag_profile
from tangentlens.learning.minibatch import Batches, solve_in_batches
from tangentlens.learning.next_token import (
    MOST_EXACT,
    OTHER,
    Learned,
    NextToken,
    Outputs,
    outputs_of,
    solve_exactly,
)
from tangentlens.predictions.first_order import FirstOrder
from tangentlens.predictions.score_tables import DenseScores, ScoreTable
from tangentlens.predictions.storing import (
    problem_from_arrays,
    problem_to_arrays,
    scores_from_arrays,
    scores_to_arrays,
)

Array = NDArray[np.float64]
BATCH = 2**22  # outputs that are computed at a time


@dataclass(frozen=True, eq=False)
class LogitParts:
    """A logit as a sum: where the output starts, and what every feature of the context adds (theory, eq. 49).

    parts: a table of family, feature, count Φ, score s and contribution Φ s, the largest first; logit = start + the sum
    of the contributions + residual, which is rounding.
    """

    target: str
    logit: float
    start: float
    parts: pl.DataFrame

    @property
    def residual(self) -> float:
        """What the parts leave of the logit."""
        return self.logit - self.start - float(self.parts["contribution"].to_numpy().sum())


@dataclass(frozen=True, eq=False)
class LanguageModel:
    """A next-token model predicted from the kernel: f(x) = start + Σ_r Φ_r(x) s_r, softmax over c outputs.

    `contexts` are those it learned from; `scores` its label scores, context feature × output; `learned` says how they
    were found, None at first order. `next_token`, `explain`, `targets_of`, `contexts_of` and `by_lag` answer.

    >>> import tangentlens as tl
    >>> contexts = tl.Contexts(tl.read_corpus(["the cat sat the cat ran the dog sat"]), window=2)
    >>> model = tl.learn_next(contexts, tl.LinearRNN(pooling="last"), time=50.0)
    >>> model.next_token("the cat", most=2)["token"].to_list()
    ['sat', 'ran']
    """

    architecture: Architecture
    contexts: Contexts
    outputs: Outputs
    scores: ScoreTable
    time: float
    learned: Learned | None = None

    def __repr__(self) -> str:
        how = "first order" if self.learned is None else self.learned.method
        return f"LanguageModel({describe(self.architecture)}, {len(self.outputs)} outputs, time {self.time:.4g}, {how})"

    @property
    def vocabulary(self) -> Vocabulary:
        """The v types."""
        return self.contexts.vocabulary

    @cached_property
    def names(self) -> tuple[str, ...]:
        """What each output stands for: a type, or `<other>` for all rare ones; length c."""
        if self.outputs.other is None:
            return self.vocabulary.strings
        first = np.unique(self.outputs.class_of, return_index=True)[1][:-1]
        return (*map(self.vocabulary.strings.__getitem__, first.tolist()), OTHER)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes corpus, outputs and label scores to one .npz file, without pickle; `tl.load` reads it. Raises
        OutputError.
        """
        about, arrays = problem_to_arrays(self.architecture, self.contexts, self.scores.columns)
        scores, more = scores_to_arrays(self.scores)
        outputs = {f"outputs_{name}": array for name, array in vars(self.outputs).items()}
        write_arrays(path, {"kind": "LanguageModel", "problem": about, "scores": scores, "time": self.time,
                            "learned": None if self.learned is None else self.learned.about()}, arrays | more | outputs)

    @classmethod
    def from_arrays(cls, about: dict[str, Any], arrays: Arrays) -> LanguageModel:
        """What `save` wrote."""
        architecture, contexts, columns = problem_from_arrays(about["problem"], arrays)
        scores = scores_from_arrays(about["scores"], columns, arrays)
        outputs = Outputs(*(arrays[f"outputs_{name}"] for name in ("class_of", "share", "start")))
        learned = None
        if about["learned"] is not None and isinstance(scores, DenseScores):
            learned = Learned.from_about(about["learned"], scores.scores)
        return cls(architecture, contexts, outputs, scores, about["time"], learned)

    def logits(self, tokens: Tokens) -> Array:
        """Outputs f after n contexts given as texts; (n, c)."""
        features = self.architecture.features(tokens, columns=self.scores.columns)
        return np.asarray(self.outputs.start + self.scores.apply(features))

    def log_probabilities(self, contexts: Contexts) -> Array:
        """log p(target | context) of other contexts over the same vocabulary; (n,). Raises ShapeError."""
        if contexts.vocabulary.strings != self.vocabulary.strings:
            raise ShapeError("the contexts have another vocabulary; read their corpus with "
                             "vocabulary=corpus.vocabulary")
        found, size = np.empty(len(contexts)), max(1, BATCH // len(self.outputs))
        for low in range(0, len(contexts), size):
            part = contexts[low:low + size]
            logits = log_softmax(self.logits(part.tokens()), axis=1)
            own = self.outputs.class_of[part.targets]
            found[low:low + size] = logits[np.arange(len(part)), own] + np.log(self.outputs.share[part.targets])
        return found

    def context(self, text: str | Tokens) -> Tokens:
        """A typed context, cut as the corpus was; of a long one, the last `window` tokens. Tokens stay as they are."""
        if isinstance(text, Tokens):
            return text
        tokens = tokenize([text], vocabulary=self.vocabulary)
        if self.contexts.window is None or len(tokens.ids) <= self.contexts.window:
            return tokens
        ids = tokens.ids[-self.contexts.window:]
        return Tokens(ids, np.array([0, len(ids)]), self.vocabulary)

    def next_token(self, text: str | Tokens, most: int = 10) -> pl.DataFrame:
        """The likeliest next tokens after a text: token, probability, unigram (their probability anywhere)."""
        logits = log_softmax(self.logits(self.context(text))[0])
        probability = np.exp(logits)[self.outputs.class_of] * self.outputs.share
        table = self._named(probability, "token", "probability")
        unigram = pl.Series("unigram", self.contexts.unigram)
        return table.with_columns(unigram).sort("probability", descending=True, maintain_order=True).head(most)

    def explain(self, text: str | Tokens, target: str) -> LogitParts:
        """The logit of a target after a text as a sum over the features of the text. Raises DataError."""
        output = int(self.outputs.class_of[self._id(target)])
        tokens = self.context(text)
        features = self.architecture.features(tokens, columns=self.scores.columns)
        tables = []
        for number, family in enumerate(self.scores.columns.families):
            counts = features.families[number].counts
            rows = counts.indices.astype(np.int64)
            scores = self.scores.rows(number, rows)[:, output]
            tables.append(pl.DataFrame({
                "family": [family.labels()[row // len(family)] for row in rows],
                "feature": family.names_of(rows % len(family)), "count": counts.data, "score": scores,
                "contribution": counts.data * scores}, schema_overrides={"family": pl.String}))
        parts = pl.concat(tables).sort(pl.col("contribution").abs(), descending=True, maintain_order=True)
        start = float(self.outputs.start[output])
        return LogitParts(self.names[output], start + float(self.scores.apply(features)[0, output]), start, parts)

    def targets_of(self, feature: str | Sequence[str], most: int = 10) -> pl.DataFrame:
        """The targets that a context token or n-gram calls for, and those it speaks against.

        feature: a token, or the tokens of an n-gram (a list, or a string with spaces). A table with one row for each
        output at either end, by family: family, feature, target, score, rank (1 is the highest, c the lowest).
        Raises DataError for a token that is not in the vocabulary, or an n-gram that the model does not know.
        """
        tables = []
        for number, column, label, name in self._columns(feature):
            scores = self.scores.rows(number, np.array([column]))[0]
            order = np.argsort(-scores, kind="stable")
            ends = _ends(len(order), most)
            tables.append(pl.DataFrame({
                "family": [label] * len(ends), "feature": [name] * len(ends),
                "target": [self.names[place] for place in order[ends]], "score": scores[order[ends]],
                "rank": ends + 1}))
        return pl.concat(tables)

    def contexts_of(self, target: str, most: int = 10) -> pl.DataFrame:
        """The features that call for a target, and those that speak against it, by family and at either end.

        Columns: family, feature, target, score, rank (1 is the highest). Raises DataError.
        """
        output = int(self.outputs.class_of[self._id(target)])
        tables = []
        for number, family in enumerate(self.scores.columns.families):
            scores, labels = self.scores.column(number, output), family.labels()
            order = np.argsort(-scores, kind="stable")
            ends = _ends(len(order), most)
            group, pattern = np.divmod(order[ends], len(family))
            tables.append(pl.DataFrame({
                "family": [labels[place] for place in group], "feature": family.names_of(pattern),
                "target": [self.names[output]] * len(ends), "score": scores[order[ends]], "rank": ends + 1}))
        return pl.concat(tables)

    def by_lag(self, token: str, target: str) -> pl.DataFrame:
        """Position in the window: how often the token stands `lag` places before the target, and as many times what
        chance would give (lag, count, lift). Chance: token and target independent, each as frequent as in the corpus.
        """
        first, second = self._id(token), self._id(target)
        counts = lag_profile(self.contexts, first, second)
        lags, lengths = np.arange(1, len(counts) + 1), self.contexts.lengths[self.contexts.targets == second]
        places = np.array([np.count_nonzero(lengths >= lag) for lag in lags])
        chance = places * np.count_nonzero(self.contexts.corpus.ids == first) / len(self.contexts.corpus.ids)
        lift = np.divide(counts, chance, out=np.zeros(len(lags)), where=chance > 0)
        return pl.DataFrame({"lag": lags, "count": counts, "lift": lift})

    def _id(self, token: str) -> int:
        found = self.vocabulary.ids.get(token, UNKNOWN)
        if found == UNKNOWN:
            raise DataError(f"{shown(token)} is not in the vocabulary; {nearest(token, self.vocabulary)}")
        return found

    def _columns(self, feature: str | Sequence[str]) -> list[tuple[int, int, str, str]]:
        """Family number, column, label and name of every column that stands for those tokens."""
        whole = isinstance(feature, str) and feature in self.vocabulary
        tokens = [str(feature)] if whole else feature.split() if isinstance(feature, str) else list(feature)
        ids = [self._id(token) for token in tokens]
        found = []
        for number, family in enumerate(self.scores.columns.families):
            place = family.patterns.find(ids) if family.patterns is not None and family.order == len(ids) else None
            if place is not None:
                name = str(family.names_of(np.array([place]))[0])
                found += [(number, group * len(family) + place, label, name)
                          for group, label in enumerate(family.labels())]
        if not found:
            orders = sorted({family.order for family in self.scores.columns.families if family.order})
            raise DataError(f"{describe(self.architecture)} has no feature {shown(' '.join(tokens))}: it knows "
                            f"patterns of {', '.join(map(str, orders))} token(s) that occur in the corpus")
        return found

    def _named(self, values: Array, name: str, value: str) -> pl.DataFrame:
        return pl.DataFrame({name: pl.Series(self.vocabulary.strings, dtype=pl.String), value: values})


def at_first_order(first: FirstOrder, time: float, start: str = "unigram") -> LanguageModel:
    """The language model whose label scores are those at first order, taken to a time.

    >>> import tangentlens as tl
    >>> contexts = tl.Contexts(tl.read_corpus(["a b a c a b"]), window=2)
    >>> model = tl.at_first_order(tl.first_order(contexts, tl.MLP())[0], time=20.0)
    >>> model.next_token("a")["token"].to_list()
    ['b', 'c', 'a']
    """
    return LanguageModel(first.architecture, first.contexts, outputs_of(first.contexts, start),
                         first.scores(time, start), float(time))


def learn_next(contexts: Contexts, architecture: Architecture, *, time: float, start: str = "unigram",
               targets: int | None = None, batches: Batches | None = None, memory: float | None = None
               ) -> LanguageModel:
    """A language model after gradient flow of the softmax loss over all contexts, to a time.

    Args:
        contexts, architecture: what it learns from; any architecture with a sparse map.
        time: of the gradient flow.
        start: "unigram", outputs start at the logarithm of the unigram distribution, or "uniform", at zero.
        targets: so many of the most frequent types have an output of their own, and one more stands for all others;
            its probability is shared out among them as the unigram distribution does.
        batches: how to make mini-batches; without, the flow is exact where that is small enough
            (contexts × outputs up to 8 million), and mini-batches of the default size otherwise.
        memory: GB that may be used; by default four fifths of what is free now.

    Returns:
        A LanguageModel; `model.learned` has the loss curve, the rate, and the time that was reached.

    Raises:
        OptionError: a start, time or rate that makes no sense; label scores that do not fit into the memory.
    """
    problem = NextToken(contexts, architecture, outputs_of(contexts, start, targets))
    small = len(contexts) * len(problem.outputs) <= MOST_EXACT
    if batches is None and small:
        learned = solve_exactly(problem, time)
    else:
        learned = solve_in_batches(problem, time, batches or Batches(), memory)
    return LanguageModel(architecture, contexts, problem.outputs, DenseScores(problem.columns, learned.scores),
                         learned.time, learned)


def _ends(size: int, most: int) -> NDArray[np.int64]:
    """The places 0 … most − 1 and the last `most` of a ranking."""
    if most < 1:
        raise OptionError(f"most must be at least 1, not {most}")
    return np.unique(np.concatenate([np.arange(min(most, size)), np.arange(max(0, size - most), size)]))
