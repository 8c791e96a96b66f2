"""What a next-token network learns first from a corpus: counts, label scores, perplexities and examples together."""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import polars as pl

from tangentlens.data import Contexts, Corpus, read_corpus
from tangentlens.errors import DataError, OptionError
from tangentlens.kernels import MLP, Architecture, MatrixVector, SelfAttention, describe
from tangentlens.kernels.comparing import distinct
from tangentlens.predictions import FirstOrder, LanguageModel, at_first_order, first_order, perplexities
from tangentlens.predictions.pairs import context_pairs, heat_pairs, target_pairs
from tangentlens.report.language_content import (
    LAGS,
    PARTS,
    PERPLEXITY,
    CorpusGlance,
    LanguageAnswer,
    LanguageArchitecture,
    LanguageExample,
)

DEFAULT = (MLP(), SelfAttention(), MatrixVector())
HELD_OUT = 0.1
EXAMPLES, SHOWN, LAGGED = 3, 8, 6
Say = Callable[[str], None]


def language(corpus: Any, architectures: Sequence[Architecture] | None = None, *, window: int | None = 32,
             time: float | str = "best", sample: int = 2000, memory: float | None = None, seed: int = 0,
             announce: Say | None = None, progress: Say | None = None) -> LanguageAnswer:
    """Which next tokens each context token or n-gram calls for after the first step of learning (theory, section 7).

    Args:
        corpus: a Corpus, or what `read_corpus` takes.
        architectures: by default MLP, SelfAttention and MatrixVector.
        window: tokens before the target that a context holds; None: all of its document.
        time: of the scores, which grow in proportion to it; "best": that of the least loss on held-out text.
        sample: held-out contexts that perplexities are measured on. memory: GB that may be used. seed: of the split.
        announce: called once with a line that states the memory; progress: with a line before each piece of work.

    Returns:
        A LanguageAnswer, for `answer.write(folder)`. A tenth of the tokens is held out, where that leaves enough.

    Raises:
        DataError, OptionError: a corpus without running text, a window longer than it, tables beyond the memory.
        NoSparseFormError: an architecture without a sparse map.

    >>> import tangentlens as tl
    >>> answer = tl.language(["the cat sat", "the dog sat", "the cat ran"] * 20, [tl.MLP()], window=2)
    >>> answer.architectures[0].targets.filter(feature="cat", rank_beyond=1)["target"].to_list()
    ['ran']
    """
    say = progress or (lambda line: None)
    corpus = corpus if isinstance(corpus, Corpus) else read_corpus(corpus)
    chosen = distinct(DEFAULT if architectures is None else architectures)
    _check(time, sample, seed)
    Contexts(corpus, window)  # raises for the whole corpus, not for the part that is left of it
    training, held = _parts(corpus, window, seed)
    models = first_order(training, chosen, memory=memory, progress=_first_to(announce or say, say))
    names = [describe(one) for one in chosen]
    scored = pl.DataFrame(schema=dict.fromkeys(PERPLEXITY, pl.Float64))
    if held is not None:
        say("perplexities on held-out text")
        half = len(held) // 2
        scored = perplexities(dict(zip(names, models, strict=True)), held[:half], held[half:], sample=sample, seed=seed)
    best = dict(zip(scored["model"], scored["chosen"], strict=True)) if held is not None else {}
    answers = []
    for name, model in zip(names, models, strict=True):
        say(f"strongest pairs of {name}")
        answers.append(_answer(name, model, best.get(name, 1.0) if time == "best" else float(time), held, seed))
    say("positions in the window")
    lags = _lags(at_first_order(models[0], 1.0), answers)
    notes = [] if held is not None else ["The corpus is too short to hold a part out: no perplexities, no examples" + (
        ", and scores at time 1." if time == "best" else ".")]
    glance = _glance(corpus, training, held)
    options = {"window": window, "time": time, "sample": sample, "seed": seed}
    return LanguageAnswer(glance, tuple(answers), lags, scored, _settings(corpus, chosen, options), notes)


def _first_to(first: Say, others: Say) -> Say:
    """Sends the first line, which states the memory, to one and all others to the other."""
    waiting = [first]

    def send(line: str) -> None:
        (waiting.pop() if waiting else others)(line)
    return send


def _check(time: Any, sample: Any, seed: Any) -> None:
    if time != "best" and (isinstance(time, str | bool) or not 0 < time < np.inf):
        raise OptionError(f'time must be a positive number or "best", not {time!r}')
    if isinstance(sample, bool) or not isinstance(sample, int) or sample < 1:
        raise OptionError(f"sample must be a whole number of at least 1, not {sample!r}")
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise OptionError(f"seed must be a whole number of at least 0, not {seed!r}")


def _parts(corpus: Corpus, window: int | None, seed: int) -> tuple[Contexts, Contexts | None]:
    """Training contexts, and held-out ones where the corpus is long enough for both."""
    try:
        training, held = corpus.split(HELD_OUT, seed=seed)
        contexts = [Contexts(part, window if window is None else min(window, int(part.tokens.lengths.max()) - 1))
                    for part in (training, held)]
        if len(contexts[1]) >= 10:
            return contexts[0], contexts[1]
    except DataError:
        pass
    return Contexts(corpus, window), None


def _answer(name: str, model: FirstOrder, time: float, held: Contexts | None, seed: int) -> LanguageArchitecture:
    examples = () if held is None else _examples(at_first_order(model, time), held, seed)
    return LanguageArchitecture(name, repr(model.architecture), model.columns.columns, model.pairs, time,
                                target_pairs(model, time), context_pairs(model, time), heat_pairs(model, time),
                                examples)


def _examples(model: LanguageModel, held: Contexts, seed: int) -> tuple[LanguageExample, ...]:
    """A few held-out contexts drawn at random among the longest, and what the model says of the token that follows."""
    rows = np.flatnonzero(held.lengths == held.lengths.max())
    drawn = np.random.default_rng(seed).choice(rows, min(EXAMPLES, len(rows)), replace=False)
    found = []
    for row in np.sort(drawn):
        context = held[[row]]
        tokens, number = context.tokens(), int(context.targets[0])
        target, following = held.vocabulary[number], model.next_token(tokens, most=len(held.vocabulary))
        told, own = model.explain(tokens, target), following.filter(pl.col("token") == target).row(0, named=True)
        parts = told.parts.select(PARTS)
        rest = float(parts[SHOWN:]["contribution"].sum())
        words = " ".join("…" if one < 0 else held.vocabulary[one] for one in tokens.ids.tolist())
        found.append(LanguageExample(words, target, own["probability"], own["unigram"], told.logit, told.start, rest,
                                     following.head(SHOWN), parts.head(SHOWN)))
    return tuple(found)


def _lags(model: LanguageModel, answers: Sequence[LanguageArchitecture]) -> pl.DataFrame:
    """By lag, for the strongest pairs of single tokens, each token once."""
    schema = {"feature": pl.String, "target": pl.String, "lag": pl.Int64, "count": pl.Int64, "lift": pl.Float64}
    pairs = pl.concat([one.targets for one in answers]).filter(order=1)
    pairs = pairs.sort("beyond", descending=True, maintain_order=True).unique("feature", keep="first",
                                                                             maintain_order=True)
    tables = [model.by_lag(row["feature"], row["target"]).select(
        pl.lit(row["feature"]).alias("feature"), pl.lit(row["target"]).alias("target"), "lag", "count", "lift")
        for row in pairs.head(LAGGED).to_dicts() if row["feature"] in model.vocabulary]
    return pl.concat(tables).select(LAGS) if tables else pl.DataFrame(schema=schema)


def _glance(corpus: Corpus, training: Contexts, held: Contexts | None) -> CorpusGlance:
    rule = corpus.vocabulary.tokenizer
    return CorpusGlance(corpus.source, len(corpus), len(corpus.ids), len(training.vocabulary), corpus.tokens.unknown,
                        len(training), training.window or 0, 0 if held is None else len(held.corpus.ids), str(rule))


def _settings(corpus: Corpus, chosen: Sequence[Architecture], options: dict[str, Any]) -> dict[str, Any]:
    from tangentlens import __version__
    return {"reading": {"source": corpus.source, **corpus.reading}, "architectures": list(map(repr, chosen)), **options,
            "versions": {"python": platform.python_version(), "tangentlens": __version__}}
