"""Which architecture, and why: sentences in which every word follows from a report's figures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import sqrt
from typing import Any

import polars as pl

from tangentlens.predictions.chances import at_least
from tangentlens.predictions.evidence import LEAST, LEVEL
from tangentlens.report import summary
from tangentlens.report.biased import NAMED, bias
from tangentlens.report.content import ComparedAnswer, Report
from tangentlens.report.sentences import Piece, Quoted, Sentence, either, listed, name_of
from tangentlens.report.wording import figure, percent, points, rate

CERTAIN = 2.0  # standard errors above which a difference counts
FEW = 25  # differing texts below which an exact test decides instead
TOGETHER = 1.25  # half times within this ratio are the same time
KINDS = ("the bias", "single tokens", "pairs", "longer patterns")

Row = dict[str, Any]


def verdict(report: Report) -> list[tuple[str, Sentence]]:
    """What a comparison says, by subject: accuracy, n-grams, bias, learning; [] for a report without one."""
    if not report.compared:
        return []
    if not _learned(report):
        return [("Learning", ("Nothing that these architectures learn carries over to new texts: held-out loss is "
                              "least at the start, before anything is learned.",))]
    return [("Accuracy", accuracy(report)), ("N-grams", ngrams(report)), ("Bias", bias(report)),
            ("Learning", learning(report))]


def accuracy(report: Report) -> Sentence:
    """Which architecture is best on held-out texts; of several that are tied, the simplest."""
    rated = _rated(_learned(report))
    nothing = _learn_nothing(report)
    if not rated:
        return ("No text is held out, so nothing says which architecture does best on new texts.", *nothing)
    size = {answer.name: (answer.longest, plan.features)
            for answer, plan in zip(report.compared, report.architectures, strict=True)}
    best = min(rated, key=lambda answer: (-_row(answer)["accuracy"], *size[answer.name]))
    row = _row(best)
    found: list[Piece] = [f"On {figure(row['texts'])} held-out texts ", name_of(best), f" gets {_rate(row)} right"]
    rivals = best.leads.filter(pl.col("other").is_in([answer.name for answer in rated]))
    leads = sorted(rivals.to_dicts(), key=lambda lead: lead["lead"])
    tied = [lead for lead in leads if not certain(lead["only"], lead["lost"])]
    behind = [lead for lead in leads if certain(lead["only"], lead["lost"])]
    if tied:
        simplest = min((answer for answer in rated if answer.name in {best.name, *(lead["other"] for lead in tied)}),
                       key=lambda answer: size[answer.name])
        found += [", but ", *_each(tied), f" {_are(tied)} within what chance may do: these texts cannot tell them "
                  "apart. The simplest of them is ", name_of(simplest), f", which reads {_reads(simplest)}"]
    found += [". ", *_each(behind), f" {_are(behind)} behind"] if tied and behind else []
    found += [", ahead of ", *_each(behind)] if behind and not tied else []
    return (*found, ".", *_beside_majority(report, row), *nothing)


def _learned(report: Report) -> list[ComparedAnswer]:
    """Without the architectures whose best time is the start, where every output is 0."""
    return [answer for answer, plan in zip(report.compared, report.architectures, strict=True)
            if not answer.learned.is_empty() and plan.best_time]


def _learn_nothing(report: Report) -> list[Piece]:
    learned = [answer.name for answer in _learned(report)]
    names = [[name_of(answer)] for answer in report.compared if answer.name not in learned]
    verb = "learns" if len(names) == 1 else "learn"
    return [" ", *listed(names), f" {verb} nothing here that carries over to new texts."] if names else []


def _beside_majority(report: Report, row: Row) -> list[Piece]:
    label, share = summary.majority(report)
    if share is None or summary.beats(row["accuracy"], row["texts"], share):
        return []
    return [" That is no better than always answering ", Quoted(label, "class"), f" ({percent(share)})."]


def ngrams(report: Report) -> Sentence:
    """How many contrary n-grams the data have, which architectures read them, and whether those do better."""
    table = report.compared[0].contrary
    readers = [answer for answer in _learned(report) if answer.longest > 1]
    others = [answer for answer in _learned(report) if answer.longest < 2]
    if table.is_empty():
        return ("No two or three neighbouring tokens say, for certain, the opposite of what they say by themselves "
                f"(of those in {LEAST} training texts or more, at a false discovery rate of {100 * LEVEL:g} %).",
                *_paying(readers, others))
    return (*_examples(table.to_dicts()), *_read(readers, others), *_paying(readers, others))


def _examples(rows: list[Row]) -> list[Piece]:
    """The surest one, and the surest one of another class or polarity."""
    kinds = [(row["class"], row["polarity"] > 0) for row in rows]
    second = next((place for place, kind in enumerate(kinds) if kind != kinds[0]), 1)
    shown = [rows[place] for place in (0, second) if place < len(rows)]
    start = (f"{figure(len(rows))} n-grams say the opposite of their words, such as " if len(rows) > 1
             else "One n-gram says the opposite of its words: ")
    return [start, *listed(map(_example, shown)), ". "]


def _example(row: Row) -> list[Piece]:
    lean = "towards it" if row["words"] > 0 else "away from it"
    return [Quoted(row["feature"], "feature"), f" ({figure(row['in_class'])} of its {figure(row['texts'])} texts are ",
            Quoted(row["class"], "class"), f", though its words lean {lean})"]


def _read(readers: Sequence[ComparedAnswer], others: Sequence[ComparedAnswer]) -> list[Piece]:
    if not (readers or others):
        return []
    count = figure((readers or others)[0].contrary.height)
    found: list[Piece] = []
    if readers:
        ordered = [[name_of(answer), f" {'' if place else 'gets '}{right(answer):,}"]
                   for place, answer in enumerate(sorted(readers, key=right, reverse=True))]
        found += ["Asked about each by itself, ", *listed(ordered), f" of {count} right"]
    if others:
        span = sorted({right(answer) for answer in (others[0], *others)})
        some = figure(span[0]) if len(span) == 1 else f"{figure(span[0])} to {figure(span[-1])}"
        found += ["; " if readers else "", *listed([[name_of(answer)] for answer in others]),
                  f" cannot read them at all: single tokens get {some} right"]
    return [*found, "."]


def _paying(readers: Sequence[ComparedAnswer], others: Sequence[ComparedAnswer]) -> list[Piece]:
    """The best architecture that reads n-grams beside the best that does not, on the same held-out texts."""
    rated = _rated(readers), _rated(others)
    if not all(rated):
        return []
    first, second = (max(some, key=lambda answer: _row(answer)["accuracy"]) for some in rated)
    lead = first.leads.row(by_predicate=pl.col("other") == second.name, named=True)
    size = points(abs(lead["lead"]), lead["error"])
    better, worse = certain(lead["only"], lead["lost"]), certain(lead["lost"], lead["only"])
    best, rest = [name_of(first), ", the best that reads them, "], [name_of(second), ", the best that does not"]
    if better or worse:
        do, place = ("do better", "ahead of") if better else ("do not do better", "behind")
        found: list[Piece] = [f" Architectures that read n-grams {do} here: ", *best, f"is {size} {place} ", *rest]
    else:
        found = [" Held-out texts do not show that architectures that read n-grams do better: ", *best, "and ", *rest,
                 f", differ by {size}"]
    return [*found, ".", *_where(first, second, lead, better)]


def _where(first: ComparedAnswer, second: ComparedAnswer, lead: Row, better: bool) -> list[Piece]:
    """The lead of the first on the texts that hold a contrary n-gram, and on the others; better: it leads on all."""
    rows = {subset: (_row(first, subset), _row(second, subset)) for subset in ("with", "without")}
    count = {subset: mine["texts"] for subset, (mine, _) in rows.items()}
    if not count["with"]:
        return []
    places = {"with": f"On the {figure(count['with'])} texts that hold one of these n-grams",
              "without": "on the others"}
    net = {subset: lead[f"only_{subset}"] - lead[f"lost_{subset}"] for subset in rows}
    said = []
    for subset, (mine, other) in rows.items():
        if count[subset]:
            differing = lead[f"only_{subset}"] + lead[f"lost_{subset}"]
            size = points(net[subset] / count[subset], sqrt(differing) / count[subset])
            said.append(f"{places[subset]} the lead is {size} ({_rate(mine)} and {_rate(other)} right)")
    smaller = count["without"] and net["with"] * count["without"] <= net["without"] * count["with"]
    why = "; it is not larger where they are, so not because of these n-grams" if better and smaller else ""
    return [" ", ", ".join(said), why, "."]


def learning(report: Report) -> Sentence:
    """What is learned first by architectures that learn several kinds of features."""
    pairs = list(zip(report.compared, report.architectures, strict=True))
    several = [(answer, plan.best_time) for answer, plan in pairs if answer.learned.height > 1 and plan.best_time]
    if not several:
        return ("Every architecture here learns one kind of feature only, so none is learned first.",)
    told: list[Sentence] = [("in ", name_of(answer), f" {_sequence(answer.learned, best)}")
                            for answer, best in several[:NAMED]]
    return ("When half of the label scores is reached, in parts of the best time: ", *listed(told, "; ", "; "), ".")


def _sequence(learned: pl.DataFrame, best: float) -> str:
    """Kinds of features in the order of their half times; those of nearly the same time together."""
    groups: list[list[Row]] = []
    for row in learned.sort("half_step", "order").to_dicts():
        if groups and row["half_step"] <= TOGETHER * groups[-1][0]["half_step"]:
            groups[-1].append(row)
        else:
            groups.append([row])
    return ", ".join(either([KINDS[row["order"]] for row in group], "and")
                     + f" at {percent(group[0]['half_step'] / best)}" for group in groups)


def certain(only: int, lost: int) -> bool:
    """Whether one architecture is surely better than another: `only` texts it alone gets right, `lost` the other alone.

    McNemar's test: by standard errors, and exactly, by the binomial distribution, where these texts are fewer than FEW.

    >>> certain(60, 30), certain(6, 0), certain(5, 0), certain(0, 9), certain(0, 0)
    (True, True, False, False, False)
    """
    if only <= lost:
        return False
    if only + lost < FEW:
        return bool(at_least(only, only + lost, 0.5) < summary.CHANCE / 2)
    return only - lost > CERTAIN * sqrt(only + lost)


def right(answer: ComparedAnswer) -> int:
    """On how many of the contrary n-grams the output moves the way that they point."""
    return int((answer.contrary["polarity"] * answer.contrary["effect"] > 0).sum())


def corrected(answer: ComparedAnswer) -> int:
    """On how many of them the combination of the words pulls that way, whatever the words do."""
    return int((answer.contrary["polarity"] * answer.contrary["interaction"] > 0).sum())


def _rated(answers: Iterable[ComparedAnswer]) -> list[ComparedAnswer]:
    return [answer for answer in answers if answer.accuracy.height]


def _row(answer: ComparedAnswer, subset: str = "all") -> Row:
    return answer.accuracy.row(by_predicate=pl.col("subset") == subset, named=True)


def _rate(row: Row) -> str:
    return rate(row["accuracy"], row["error"])


def _reads(answer: ComparedAnswer) -> str:
    return ("the bias only", "single tokens")[answer.longest] if answer.longest < 2 else (
        f"up to {answer.longest} tokens together")


def _each(leads: Sequence[Row]) -> list[Piece]:
    return listed([[Quoted(lead["other"], "name"), f" ({points(0 - lead['lead'], lead['error'])})"] for lead in leads])


def _are(items: Sequence[Any]) -> str:
    return "is" if len(items) == 1 else "are"
