"""Which architecture, and why: sentences in which every word follows from a report's figures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from tangentlens.predictions.evidence import LEAST, LEVEL
from tangentlens.report import summary
from tangentlens.report.content import ComparedAnswer, Report
from tangentlens.report.wording import figure, percent, points, rate, signed

CERTAIN = 2.0  # standard errors above which a difference counts
TOGETHER = 1.25  # half times within this ratio are the same time
SMALL = 0.05  # a part of the bias below this share of the other one is not worth a word
NAMED = 3  # architectures of which bias and learning are told; the tables have all
KINDS = ("the bias", "single tokens", "pairs", "longer patterns")

Row = dict[str, Any]


@dataclass(frozen=True)
class Quoted:
    """A text from outside within a sentence. kind: "feature", "class", or "name" (of an architecture)."""

    text: str
    kind: str


Piece = str | Quoted
Sentence = tuple[Piece, ...]


def verdict(report: Report) -> list[tuple[str, Sentence]]:
    """What a comparison says, by subject: accuracy, n-grams, bias, learning; [] for a report without one."""
    if not report.compared:
        return []
    if all(answer.learned.is_empty() for answer in report.compared):
        return [("Learning", ("Nothing that these architectures learn carries over to new texts: held-out loss is "
                              "least at the start, before anything is learned.",))]
    return [("Accuracy", accuracy(report)), ("N-grams", ngrams(report)), ("Bias", bias(report)),
            ("Learning", learning(report))]


def plain(sentence: Sentence) -> str:
    """The sentence as text, with quotation marks around what is quoted from the data.

    >>> plain(("ask ", Quoted("CNN", "name"), " about ", Quoted("not bad", "feature")))
    'ask CNN about "not bad"'
    """
    return "".join(piece if isinstance(piece, str) else piece.text if piece.kind == "name" else f'"{piece.text}"'
                   for piece in sentence)


def accuracy(report: Report) -> Sentence:
    """Which architecture is best on held-out texts; of several that are tied, the simplest."""
    rated = _rated(report.compared)
    if not rated:
        return ("No text is held out, so nothing says which architecture does best on new texts.",)
    size = {answer.name: (answer.longest, plan.features)
            for answer, plan in zip(report.compared, report.architectures, strict=True)}
    best = min(rated, key=lambda answer: (-_row(answer)["accuracy"], *size[answer.name]))
    row = _row(best)
    found: list[Piece] = [f"On {figure(row['texts'])} held-out texts ", _name(best), f" gets {_rate(row)} right"]
    leads = sorted(best.leads.to_dicts(), key=lambda lead: lead["lead"])
    tied = [lead for lead in leads if not certain(lead["lead"], lead["error"])]
    behind = [lead for lead in leads if certain(lead["lead"], lead["error"])]
    if tied:
        simplest = min((answer for answer in rated if answer.name in {best.name, *(lead["other"] for lead in tied)}),
                       key=lambda answer: size[answer.name])
        found += [", but ", *_each(tied), f" {_are(tied)} within two standard errors: these texts cannot tell them "
                  "apart. The simplest of them is ", _name(simplest), f", which reads {_reads(simplest)}"]
    found += [". ", *_each(behind), f" {_are(behind)} behind"] if tied and behind else []
    found += [", ahead of ", *_each(behind)] if behind and not tied else []
    return (*found, ".", *_beside_majority(report, row))


def _beside_majority(report: Report, row: Row) -> list[Piece]:
    label, share = summary.majority(report)
    if share is None or certain(row["accuracy"] - share, row["error"]):
        return []
    return [" That is no better than always answering ", Quoted(label, "class"), f" ({percent(share)})."]


def ngrams(report: Report) -> Sentence:
    """How many contrary n-grams the data have, which architectures read them, and whether reading n-grams pays."""
    table = report.compared[0].contrary
    readers = [answer for answer in report.compared if answer.longest > 1]
    others = [answer for answer in report.compared if answer.longest < 2]
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
    return [start, *_listed(map(_example, shown)), ". "]


def _example(row: Row) -> list[Piece]:
    lean = "towards it" if row["words"] > 0 else "away from it"
    return [Quoted(row["feature"], "feature"), f" ({figure(row['in_class'])} of its {figure(row['texts'])} texts are ",
            Quoted(row["class"], "class"), f", though its words lean {lean})"]


def _read(readers: Sequence[ComparedAnswer], others: Sequence[ComparedAnswer]) -> list[Piece]:
    count = figure((readers or others)[0].contrary.height)
    found: list[Piece] = []
    if readers:
        ordered = [[_name(answer), f" {'' if place else 'gets '}{right(answer):,}"]
                   for place, answer in enumerate(sorted(readers, key=right, reverse=True))]
        found += ["Asked about each by itself, ", *_listed(ordered), f" of {count} right"]
    if others:
        span = sorted({right(answer) for answer in (others[0], *others)})
        some = figure(span[0]) if len(span) == 1 else f"{figure(span[0])} to {figure(span[-1])}"
        found += ["; " if readers else "", *_listed([[_name(answer)] for answer in others]),
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
    best, rest = [_name(first), ", the best that reads them, "], [_name(second), ", the best that does not"]
    if certain(abs(lead["lead"]), lead["error"]):
        pays, place = ("pays", "ahead of") if lead["lead"] > 0 else ("does not pay", "behind")
        found: list[Piece] = [f" Reading n-grams {pays} here: ", *best, f"is {size} {place} ", *rest]
    else:
        found = [" Held-out texts do not show that reading n-grams pays: ", *best, "and ", *rest, f", differ by {size}"]
    return [*found, ".", *_where(first, second)]


def _where(first: ComparedAnswer, second: ComparedAnswer) -> list[Piece]:
    """Both on the texts that hold a contrary n-gram, and on the others."""
    rows = [[_row(answer, subset) for answer in (first, second)] for subset in ("with", "without")]
    said = [f"{where} they get {_rate(mine)} and {_rate(other)} right" for where, (mine, other) in zip(
        (f"On the {figure(rows[0][0]['texts'])} texts that hold one of these n-grams", "on the others"), rows,
        strict=True) if mine["texts"]]
    return [" ", ", ".join(said), "."] if rows[0][0]["texts"] else []


def bias(report: Report) -> Sentence:
    """What the bias of architectures does to single tokens, where it comes from, and what would remove it."""
    biased = [answer for answer in report.compared if answer.bias["bias"].abs().max()]
    none = [[_name(answer)] for answer in report.compared if not answer.bias["bias"].abs().max()]
    biased.sort(key=lambda answer: -int(answer.bias["flipped"].sum()))
    told = biased[:NAMED]
    found: list[Piece] = ["A bias is the output where no token is known. "] if told else []
    found += [piece for answer in told for piece in _bias_of(answer, report)]
    if len(biased) > NAMED:
        found.append(f"The table has {len(biased) - NAMED} more. ")
    for remedy in dict.fromkeys(answer.unbiased for answer in told):
        names = [[_name(answer)] for answer in told if answer.unbiased == remedy]
        found += ([f"With activation={_either(remedy[::-1])} ", *_listed(names), " would have none. "] if remedy
                  else ["No other activation would remove that of ", *_listed(names), ". "])
    if none:
        found += [*_listed(none), " have" if len(none) > 1 else " has", " no bias."]
    return tuple(found)


def _bias_of(answer: ComparedAnswer, report: Report) -> list[Piece]:
    rows = answer.bias.to_dicts()
    row = max(rows, key=lambda row: abs(row["bias"]))
    many = f"{answer.frequent * len(rows):,} frequent tokens" + ("" if len(rows) == 1 else f" in {len(rows)} classes")
    return ["The bias of ", _name(answer), f" is {signed(row['bias'])}, ", *_direction(row, report), parts(row),
            f"; it turns the sign of {int(answer.bias['flipped'].sum()):,} of {many}. "]


def _direction(row: Row, report: Report) -> list[Piece]:
    """The class that a bias pushes towards, and whether it is the larger one; with more than two, its own class."""
    rows = report.data.classes.to_dicts()
    if len(rows) != 2:
        return ["towards " if row["bias"] > 0 else "away from ", Quoted(row["class"], "class")]
    other, mine = rows[::-1] if row["bias"] < 0 else rows
    size = "larger" if mine["texts"] > other["texts"] else "smaller"
    about = f", the {size} class" if mine["texts"] != other["texts"] else ", though both classes are equally large"
    return ["towards ", Quoted(str(mine["class"]), "class"), about]


def parts(row: Row) -> str:
    """Both parts of a bias, where both matter.

    >>> parts({"net": -0.5, "lengths": 0.25}), parts({"net": -0.5, "lengths": 0.0})
    (' (net push of all texts −0.500, text lengths +0.250)', '')
    """
    if abs(row["lengths"]) <= SMALL * abs(row["net"]):
        return ""
    return f" (net push of all texts {signed(row['net'])}, text lengths {signed(row['lengths'])})"


def learning(report: Report) -> Sentence:
    """What is learned first by architectures that learn several kinds of features."""
    pairs = list(zip(report.compared, report.architectures, strict=True))
    several = [(answer, plan.best_time) for answer, plan in pairs if answer.learned.height > 1]
    if not several:
        return ("Every architecture here learns one kind of feature only, so none is learned first.",)
    told: list[Sentence] = [("in ", _name(answer), f" {_sequence(answer.learned, best)}")
                            for answer, best in several[:NAMED]]
    return ("When half of the label scores is reached, in parts of the best time: ", *_listed(told, "; ", "; "), ".")


def _sequence(learned: pl.DataFrame, best: float) -> str:
    """Kinds of features in the order of their half times; those of nearly the same time together."""
    groups: list[list[Row]] = []
    for row in learned.sort("half_step", "order").to_dicts():
        if groups and row["half_step"] <= TOGETHER * groups[-1][0]["half_step"]:
            groups[-1].append(row)
        else:
            groups.append([row])
    return ", ".join(_either([KINDS[row["order"]] for row in group], "and")
                     + f" at {percent(group[0]['half_step'] / best)}" for group in groups)


def certain(lead: float, error: float) -> bool:
    """Whether a difference is more than chance would make it: more than CERTAIN standard errors.

    >>> certain(0.03, 0.01), certain(0.01, 0.01), certain(0.0, 0.0)
    (True, False, False)
    """
    return lead > CERTAIN * error


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
    return _listed([[Quoted(lead["other"], "name"), f" ({points(0 - lead['lead'], lead['error'])})"] for lead in leads])


def _are(items: Sequence[Any]) -> str:
    return "is" if len(items) == 1 else "are"


def _name(answer: ComparedAnswer) -> Piece:
    return Quoted(answer.name, "name")


def _listed(items: Iterable[Sequence[Piece]], between: str = ", ", last: str = " and ") -> list[Piece]:
    """The items with something between them."""
    found: list[Piece] = []
    parts = list(items)
    for place, item in enumerate(parts):
        found += [] if not place else [last] if place == len(parts) - 1 else [between]
        found += item
    return found


def _either(words: Sequence[str], last: str = "or") -> str:
    return plain(tuple(_listed([[word] for word in words], ", ", f" {last} ")))
