"""Perplexity on held-out text: predicted models beside models by counting, on one split and one vocabulary."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tangentlens.data.contexts import Contexts
from tangentlens.errors import OptionError, ShapeError
from tangentlens.learning.next_token import Outputs, outputs_of
from tangentlens.predictions.first_order import FirstOrder
from tangentlens.predictions.language import BATCH, LanguageModel
from tangentlens.predictions.ngram_models import Bigram, CountingModel, KneserNey, Unigram
from tangentlens.predictions.score_tables import ScoreTable

Array = NDArray[np.float64]
FITTED = 2**25  # outputs of validation contexts that are kept while a scale is chosen

Model = FirstOrder | LanguageModel


def perplexities(models: Mapping[str, Model], validation: Contexts, test: Contexts, *, sample: int = 5000,
                 seed: int = 0) -> pl.DataFrame:
    """Perplexity exp(mean −log p(target | context)) of predicted models, and of unigram, bigram and Kneser–Ney.

    Every model has learned from the same contexts, has the same vocabulary, and is scored on the same targets. One
    number for each is chosen on the validation contexts: for a first-order model its time, for a learned one a factor
    on what it learned (1: as it is), for the bigram its weight.

    models: by name; they start from the unigram distribution at first order. sample: at most so many test contexts,
    and as many of validation as fit. Returns a table of model, perplexity, loss (nats), chosen, contexts.

    Raises ShapeError where contexts or vocabularies differ, OptionError without a model.
    """
    if not models:
        raise OptionError("perplexities needs at least one model")
    training = next(iter(models.values())).contexts
    for name, model in models.items():
        if not training.equals(model.contexts):
            raise ShapeError(f'the model "{name}" has learned from other contexts than the first one; make all of them '
                             "from the same Contexts")
    for part in (validation, test):
        if part.vocabulary.strings != training.vocabulary.strings:
            raise ShapeError("held-out contexts have another vocabulary than the training contexts; read their corpus "
                             "with vocabulary=corpus.vocabulary, or split one corpus")
    test = test.sample(sample, seed)
    rows: list[tuple[str, float, float | None]]
    rows = [(name, *_scaled(model, validation.sample(sample, seed), test)) for name, model in models.items()]
    for name, counting, chosen in _baselines(training, validation):
        rows.append((name, float(-np.log(counting.probabilities(test)).mean()), chosen))
    schema = {"model": pl.String, "loss": pl.Float64, "chosen": pl.Float64}
    table = pl.DataFrame(rows, schema=schema, orient="row")
    return table.select("model", pl.col("loss").exp().alias("perplexity"), "loss", "chosen",
                        pl.lit(len(test)).alias("contexts"))


def _baselines(training: Contexts, validation: Contexts) -> list[tuple[str, CountingModel, float | None]]:
    """Name, model, and what was chosen on the validation contexts."""
    pair, single = Bigram(training).both(validation)
    pair = np.where(np.isnan(pair), single, pair)
    weight = _lowest(lambda weight: -np.log(weight * pair + (1 - weight) * single).mean(), 1e-6, 1 - 1e-6)
    return [("unigram", Unigram(training), None), ("bigram", Bigram(training, weight), weight),
            ("Kneser–Ney 2", KneserNey(training, 2), None), ("Kneser–Ney 3", KneserNey(training, 3), None)]


def _scaled(model: Model, validation: Contexts, test: Contexts) -> tuple[float, float]:
    """The loss on the test contexts, and the scale of least loss on the validation contexts."""
    parts = _Parts.of(model)
    fitted = validation[:max(1, FITTED // len(parts.outputs))]
    learned = parts.learned(fitted)
    unit = 1 / max(float(learned.std()), 1e-300)
    low, high = 0.0, unit
    while parts.loss(fitted, learned, 2 * high) < parts.loss(fitted, learned, high) and high < 1e6 * unit:
        high *= 2
    scale = _lowest(lambda scale: parts.loss(fitted, learned, scale), low, 2 * high, xatol=1e-4 * high)
    size = max(1, BATCH // len(parts.outputs))
    losses = [parts.loss(test[start:start + size], parts.learned(test[start:start + size]), scale)
              * len(test[start:start + size]) for start in range(0, len(test), size)]
    return sum(losses) / len(test), scale


def _lowest(loss: Callable[[float], float], low: float, high: float, xatol: float = 1e-5) -> float:
    """Where a function of one number is least between two bounds."""
    from scipy.optimize import minimize_scalar  # takes a tenth of the time in which the command starts

    return float(minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": xatol}).x)


@dataclass(frozen=True, eq=False)
class _Parts:
    """f = start + scale · g(x), g from the label scores: the loss is convex in the scale."""

    model: Model
    table: ScoreTable
    outputs: Outputs

    @classmethod
    def of(cls, model: Model) -> _Parts:
        """A first-order model at time 1 from the unigram, or a learned one."""
        if isinstance(model, FirstOrder):
            return cls(model, model.scores(1.0, "unigram"), outputs_of(model.contexts, "unigram"))
        return cls(model, model.scores, model.outputs)

    def learned(self, contexts: Contexts) -> Array:
        """g of some contexts; (n, c)."""
        features = self.model.architecture.features(contexts.tokens(), columns=self.table.columns)
        return self.table.apply(features)

    def loss(self, contexts: Contexts, learned: Array, scale: float) -> float:
        """Mean −log p(target | context)."""
        f = self.outputs.start + scale * learned
        own = self.outputs.class_of[contexts.targets]
        chosen = f[np.arange(len(f)), own] + np.log(self.outputs.share[contexts.targets])
        top = f.max(axis=1, keepdims=True)
        f -= top  # in place: f is large, and this runs for every scale that is tried
        return float(np.mean(top[:, 0] + np.log(np.exp(f, out=f).sum(axis=1)) - chosen))
