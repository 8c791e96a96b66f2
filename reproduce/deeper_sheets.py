"""The four tables of the study, and the sentences that a reader needs to read them.

Part of: python -m reproduce.deeper_networks
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from reproduce.deeper_tables import CLEAR, ROUNDING, Study, agreement, decisions, effects_of, later, ranged, shares
from reproduce.sheet import Row, Sheet, number, text, written

NAMES = {"data": ("data", text), "network": ("network", text)}
AGREEMENT = NAMES | {
    "route": ("foretold by", text), "effects": ("tokens:\ncorrelation", number(".3f")),
    "effects_interval": ("95 % interval", written), "effects_ceiling": ("ceiling", number(".3f")),
    "interactions": ("bigrams:\ncorrelation", number(".3f")), "interactions_interval": ("95 % interval", written),
    "interactions_ceiling": ("ceiling", number(".3f")), "signs": ("same\nsign", number(".2f")),
    "signs_interval": ("95 % interval", written),
}
SHARES = NAMES | {
    "share_closed": ("interaction share,\nclosed form", number(".3f")), "share_mean": ("mean\nNTK", number(".3f")),
    "share_trained": ("trained", number(".3f")), "share_interval": ("95 % interval", written),
    "order_closed": ("order share,\nclosed form", number(".2f")), "order_mean": ("mean\nNTK", number(".2f")),
    "order_trained": ("trained", number(".2f")), "order_interval": ("95 % interval", written),
}
DECISIONS = NAMES | {
    "bias": ("bias,\npred.", number(".2f")), "bias_own": ("95 % interval", written),
    "bias_trained": ("trained", number(".2f")), "bias_interval": ("95 % interval", written),
    "new": ("new texts,\npred.", number(".0%")), "new_trained": ("trained", number(".0%")),
    "new_interval": ("95 % interval", written),
    "combinations": ("new combi-\nnations, pred.", number(".0%")), "combinations_trained": ("trained", number(".0%")),
    "combinations_interval": ("95 % interval", written),
}
LATER = NAMES | {
    "step": ("step", number("d")), "effects": ("tokens:\ncorrelation", number(".3f")),
    "interactions": ("bigrams", number(".3f")), "last": ("step", number("d")),
    "effects_last": ("tokens", number(".3f")), "interactions_last": ("bigrams", number(".3f")),
    "loss": ("loss,\npred.", number(".3f")), "loss_trained": ("trained", number(".3f")),
    "share": ("interaction\nshare, pred.", number(".3f")), "share_trained": ("trained", number(".3f")),
}


def sheets_of(studies: Sequence[Study], about: str) -> dict[str, Sheet]:
    """All tables; about: how networks were trained."""
    sizes = [f"{material.name}: {len(material.tokens)} training texts, {len(material.tokens.vocabulary)} different "
             f"tokens, {len(material.questions.patterns[0])} bigrams"
             for material in dict.fromkeys(study.material for study in studies)]
    about = f"{'; '.join(sizes)}; {about}."
    rows = [agreement(study, prediction) for study in studies for prediction in study.predictions]
    return {"deeper_networks": agreement_sheet(rows, (about, *twice_note(studies))),
            "deeper_shares": share_sheet(list(map(shares, studies))),
            "deeper_decisions": decision_sheet(list(map(decisions, studies))),
            "deeper_later": later_sheet(list(map(later, studies)))}


def twice_note(studies: Sequence[Study]) -> list[str]:
    """How far the mean NTK agrees with the closed form, where there are both."""
    pairs = [study.predictions for study in studies if len(study.predictions) > 1]
    found = [np.corrcoef(*(effects_of(told.mean, 0) for told in pair))[0, 1] for pair in pairs]
    return [f"Closed form and mean NTK: correlation of tokens {ranged(*bounds(found))}."] if found else []


def agreement_sheet(rows: Sequence[Row], about: Sequence[str]) -> Sheet:
    """Correlations with trained networks."""
    clear = [row for row in rows if row.get("interactions_ceiling", 0) > CLEAR]
    noisy = [row for row in rows if row.get("interactions_ceiling", 1) <= CLEAR]
    ratios = [row["interactions"] / row["interactions_ceiling"] for row in clear]
    notes = [*about, "tokens: f(a) − f(□) of the most frequent ones; bigrams: I(a, b) of frequent ones; – where I = 0. "
             "NTKs: the mean over networks that are not among the trained ones. Intervals: of a correlation over "
             "values and seeds (bootstrap), of same sign (of I) over seeds (jackknife). ceiling: what the scatter of "
             "networks, foretelling and trained, leaves possible (theory, eq. 67)."]
    if ratios:
        notes.append(f"Correlation of interactions over its ceiling, where the ceiling is above {CLEAR} "
                     f"({len(clear)} rows): {min(ratios):.2f} to {max(ratios):.2f}, median {np.median(ratios):.2f}; "
                     f"lowest: {named(clear[int(np.argmin(ratios))])}.")
    if noisy:
        notes.append(f"Ceiling at most {CLEAR}, too much scatter to tell: {'; '.join(map(named, noisy))}.")
    return Sheet("Deeper and combined networks: does training follow the NTK?", rows, AGREEMENT, notes)


def share_sheet(rows: Sequence[Row]) -> Sheet:
    """How much is in combinations of tokens, and in their order."""
    notes = ["interaction share: Var J / (Var M + Var J) over the texts to decide (theory, eq. 65), of what networks "
             "have in common (eq. 74). order share: the same of I(a, b) − I(b, a) beside I(a, b) + I(b, a) over the "
             "bigrams: 0 where the order does not matter, 1/2 where only one of the two orders interacts; – where "
             "interactions are absent or too scattered. Interval: jackknife over seeds."]
    for name, words in (("share", "Interaction share"), ("order", "Order share")):
        asked = [row for row in rows if f"{name}_inside" in row]
        outside = [f"{named(row)} ({best(row, name):.3f}, trained {row[f'{name}_trained']:.3f})"
                   for row in asked if not row[f"{name}_inside"]]
        notes.append(f"{words}: the prediction is inside the trained networks' interval in "
                     f"{len(asked) - len(outside)} of {len(asked)}{'; not: ' if outside else ''}{'; '.join(outside)}.")
    orders = {has: [row["order_trained"] for row in rows if "order_trained" in row
                    and ("convolution" in row["network"]) == has] for has in (True, False)}
    if all(orders.values()):
        notes.append(f"Order share of trained networks: with a convolution {ranged(*bounds(orders[True]))}, without "
                     f"{ranged(*bounds(orders[False]))}.")
    return Sheet("How much is in combinations of tokens", rows, SHARES, notes)


def decision_sheet(rows: Sequence[Row]) -> Sheet:
    """Bias and accuracy."""
    held = [row for row in rows if "combinations" in row]
    notes = ["Of the first prediction of a network and of the mean of the trained ones. bias: f(□) in units of the "
             "tokens' effects (root mean square). new texts: of the same source. new combinations: clauses whose "
             "negator and adjective, or these with an intensifier, never stand together in training. Interval: "
             "jackknife over seeds."]
    if held:
        most = [max(float(row[key]) for row in held) for key in ("combinations", "combinations_trained")]
        notes.append(f"New combinations, best network: {most[0]:.0%} right foretold, {most[1]:.0%} trained; guessing "
                     "gives 50 %.")
    return Sheet("Bias and decisions", rows, DECISIONS, notes)


def later_sheet(rows: Sequence[Row]) -> Sheet:
    """The same networks at the last step."""
    ratios = [row["loss_trained"] / row["loss"] for row in rows]
    joint = [row for row in rows if abs(row["share"]) > ROUNDING]
    more = sum(row["share_trained"] > row["share"] for row in joint)
    lowest = named(rows[int(np.argmin(ratios))])
    notes = ["Correlations with the first prediction at the step of the tables above and at the last one; loss and "
             "interaction share at the last one.",
             f"Training loss, trained over predicted: {min(ratios):.2f} ({lowest}) to {max(ratios):.2f}, below 1 in "
             f"{sum(ratio < 1 for ratio in ratios)} of {len(rows)}: there kernels have moved. Interaction share larger "
             f"than foretold in {more} of {len(joint)} networks that have one."]
    return Sheet("Trained on", rows, LATER, notes)


def named(row: Row) -> str:
    """Network and data of a row."""
    return ", ".join(str(row[key]) for key in ("network", "data", "route") if key in row)


def best(row: Row, name: str) -> float:
    """The first prediction."""
    return float(row.get(f"{name}_closed", row[f"{name}_mean"]))


def bounds(values: Sequence[float]) -> tuple[float, float]:
    """Smallest and largest."""
    return min(values), max(values)
