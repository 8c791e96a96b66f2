"""What a comparison says of the bias: how large it is, where it comes from, and what would remove it."""

from __future__ import annotations

from typing import Any

import polars as pl

from tangentlens.report.content import ComparedAnswer, Report
from tangentlens.report.sentences import Piece, Quoted, Sentence, either, listed, name_of
from tangentlens.report.wording import signed

ROUNDING = 1e-12  # a smaller share of the spectrum is none
SMALL = 0.05  # a part of the bias below this share of the other one is not worth a word
NAMED = 3  # architectures of which bias and learning are told; the tables have all

Row = dict[str, Any]


def bias(report: Report) -> Sentence:
    """What the bias of architectures does to single tokens, where it comes from, and what would remove it."""
    biased = [answer for answer in report.compared if answer.bias["bias"].abs().max()]
    biased.sort(key=lambda answer: -int(answer.bias["flipped"].sum()))
    told = biased[:NAMED]
    found: list[Piece] = ["A bias is the output where no token is known. "] if told else []
    found += [piece for answer in told for piece in _bias_of(answer, report)]
    if len(biased) > NAMED:
        found.append(f"The table has {len(biased) - NAMED} more. ")
    for remedy in dict.fromkeys(answer.unbiased for answer in told):
        names = [[name_of(answer)] for answer in told if answer.unbiased == remedy]
        found += ([f"With activation={either(remedy[::-1])} ", *listed(names), " would have none. "] if remedy
                  else ["No other activation would remove that of ", *listed(names), ". "])
    return (*found, *_without_bias(report))


def _without_bias(report: Report) -> list[Piece]:
    """Those that can have no bias, and those that could but whose bias is 0 here."""
    kinds: dict[bool, list[list[Piece]]] = {True: [], False: []}
    for answer, plan in zip(report.compared, report.architectures, strict=True):
        if not answer.bias["bias"].abs().max():
            share = plan.spectrum.filter(pl.col("order") == 0)["share"].sum()
            kinds[bool(share <= ROUNDING)].append([name_of(answer)])
    never, here = kinds[True], kinds[False]
    found: list[Piece] = [*listed(never), " have" if len(never) > 1 else " has", " no bias family."] if never else []
    if here:
        found += [" " if never else "", "The bias of ", *listed(here), " is 0 here."]
    return found


def largest(answer: ComparedAnswer) -> Row:
    """The row of the output whose bias is largest; of two that only differ in sign, the positive one."""
    return max(answer.bias.to_dicts(), key=lambda row: (float(f"{abs(row['bias']):.9g}"), row["bias"]))


def _bias_of(answer: ComparedAnswer, report: Report) -> list[Piece]:
    row, outputs = largest(answer), answer.bias.height
    many = f"{answer.frequent * outputs:,} frequent tokens" + ("" if outputs == 1 else f" in {outputs} classes")
    return ["The bias of ", name_of(answer), f" is {signed(row['bias'])}, ", *_direction(row, report), parts(row),
            f"; it turns the sign of {int(answer.bias['flipped'].sum()):,} of {many}. "]


def _direction(row: Row, report: Report) -> list[Piece]:
    """The class that a bias pushes towards, and whether it is the larger one; with more than two, its own class."""
    rows = report.data.classes.to_dicts()
    if len(rows) != 2:
        return ["towards " if row["bias"] > 0 else "away from ", Quoted(row["class"], "class")]
    own = str(rows[1]["class"]) == row["class"]
    other, mine = rows if own == (row["bias"] > 0) else rows[::-1]
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
