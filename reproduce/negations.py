"""Claim: multiplication-based models learn negations; attention, CNNs and bags of tokens learn less of them, or none.

A grammar of negated and intensified adjectives: accuracy on new sentences of combinations that were seen, of new
triples (not very good) whose pair was seen with other words, and of new pairs, predicted and trained; and real
negations: n-grams of SST and of film reviews that say the opposite of their words.

Command: python -m reproduce.negations [--data ../shared/data/sst] [--output reproduce/results] [--rows 1500]
         [--width 128] [--seeds 4] [--work FOLDER]
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from rich.console import Console

import tangentlens as tl
from reproduce.options import command_of, parser_of
from reproduce.pictures import negations_picture
from reproduce.sheet import Row, Sheet, number, save, text
from tangentlens.data.negation import Negations
from tangentlens.kernels import describe
from tangentlens.predictions.questions import Answers, Questions
from tangentlens.verification import Course, Measured, measure

Array = NDArray[np.float64]
COURSE = Course(epochs=200, batch_size=None, fall=0.4)
GROUPS = {"seen": "combination\nseen", "triple": "new triple,\nknown pair", "pair": "new\npair"}
WIDTHS = (32, 128, 512)
KNOBS = ({}, {"noise": 0.2}, {"positive": 0.8})
ACCURACY: dict[str, Any] = {"network": ("network", text), "data": ("data", text), "fall": ("loss\nleft", number(".0%"))}
for _group, _heading in GROUPS.items():
    ACCURACY |= {_group: (f"{_heading}, pred.", number(".1%")), f"{_group}_trained": ("trained", number(".1%")),
                 f"{_group}_single": ("one\nnetwork", number(".1%"))}
SIGNS = {
    "network": ("network", text), "share": ("interaction\nshare, pred.", number(".1%")),
    "common": ("trained", number(".1%")), "right": ("sign of I right,\nseen pairs, pred.", number(".1%")),
    "right_trained": ("trained", number(".1%")), "new": ("new pairs,\npred.", number(".1%")),
    "new_trained": ("trained", number(".1%")),
}
SWEEP = {
    "network": ("network", text), "width": ("width", text), "seeds": ("seeds", text),
    "share": ("interaction\nshare", number(".1%")), "drift": ("size of I next\nto predicted", number(".2f")),
    **{group: (heading, number(".1%")) for group, heading in GROUPS.items()},
}
NOTES = (
    "Accuracy of the prediction, of the mean network over the seeds (trained) and, on average, of one network. Every "
    "text has one clause and 30 % of them are negated, so 70 % is what the adjectives alone give on seen combinations, "
    "and 0 % on new ones, which are all negated. loss left: training loss, as a share of its start, at which "
    "prediction and networks are compared: 40 %, or as low as 200 steps at a quarter of the critical rate go.",
    "In the limit of infinite width a pattern that never occurred has score 0, so a new pair can only be decided by "
    "its words; a new triple also by skip-grams (not _ good), which only a CNN has.",
)
WIDTH_NOTE = ("Single networks, trained to the same time. What wide networks cannot do and narrower ones do is feature "
              "learning: the embeddings of negators, and those of adjectives, become alike, and a new pair is read "
              "like a known one. The prediction (∞) has none of it.")



def cases() -> Iterator[tl.Architecture]:
    """The architectures compared."""
    yield from (tl.MLP(), tl.SelfAttention(), tl.SelfAttention(scores="tied"), tl.ElmanRNN(), tl.CNN())
    yield from (tl.MatrixVector(order=3, residual=True), tl.LinearRNN(gate_std=0.7, max_order=12))


@dataclass(frozen=True)
class Material:
    """Training texts, texts to decide with the group that each belongs to, and pairs with the sign that I should have.

    Shapes: group, positive (n,); pairs (N, 2); wanted, new (N,).
    """

    tokens: tl.Tokens
    labels: Any
    texts: tl.Tokens
    group: NDArray[np.str_]
    positive: NDArray[np.bool_]
    pairs: NDArray[np.int64]
    wanted: NDArray[np.int64]
    new: NDArray[np.bool_]


def material(size: int, **knobs: Any) -> Material:
    """Three quarters of the grammar's training texts to train on; the rest, and the held-out texts, to decide."""
    made = tl.negations(size * 4 // 3, seed=1, **knobs)
    train, seen = made.train[:size], made.train[size:]
    tokens = tl.tokenize(train, tokenizer="whitespace")
    group = np.concatenate([np.full(len(seen), "seen"), groups(made)])
    clean = (np.asarray(seen.labels) == "positive") ^ made.flipped[size:]
    positive = np.concatenate([clean, np.asarray(made.held.labels) == "positive"])
    texts = tl.tokenize([*seen.texts, *made.held.texts], vocabulary=tokens.vocabulary)
    pairs = made.combinations.filter(pl.col("words").list.len() == 2)
    ids = np.array([[tokens.vocabulary.ids[word] for word in words] for words in pairs["words"]])
    return Material(tokens, train.labels, texts, group, positive, ids,
                    np.where(pairs["polarity"] == "positive", 1, -1), pairs["held_out"].to_numpy())


def groups(made: Negations) -> NDArray[np.str_]:
    """Whether each held-out text has a new pair or a new triple of a known pair."""
    new = made.combinations.filter(pl.col("new_pair"))["pattern"].to_list()
    return np.array(["pair" if any(text_of.rstrip(" .!").endswith(" " + pattern) for pattern in new) else "triple"
                     for text_of in made.held.texts])


def accuracy(answers: Answers, wanted: Material) -> dict[str, float]:
    """By group, at the last record."""
    right = (answers.decisions[-1, :, 0] > 0) == wanted.positive
    return {name: float(right[wanted.group == name].mean()) for name in GROUPS}


def accuracy_row(found: Measured, wanted: Material, knobs: dict[str, Any]) -> Row:
    """One network, predicted, trained on average, and single ones."""
    single = [accuracy(one, wanted) for one in found.trained]
    losses = found.trajectory.curves["train_loss"]
    row: Row = {"network": describe(found.architecture), "fall": losses[-1] / losses[0],
                "data": ", ".join(f"{name} {value}" for name, value in knobs.items()) or "clean, balanced"}
    for name, value in accuracy(found.predicted, wanted).items():
        row |= {name: value, f"{name}_trained": accuracy(found.mean, wanted)[name],
                f"{name}_single": float(np.mean([one[name] for one in single]))}
    return row


def sign_row(found: Measured, wanted: Material) -> Row:
    """Interaction share on the texts to decide, and how often I has the sign that turns the adjective round."""
    row: Row = {"network": describe(found.architecture), "share": float(found.predicted.interaction_share[-1]),
                "common": float(found.common_share[-1])}
    size = np.abs(found.predicted.effects[-1]).max()
    for name, answers in (("", found.predicted), ("_trained", found.mean)):
        values = answers.interactions[0][-1, :, 0]
        right = (np.sign(values) == wanted.wanted) & (np.abs(values) > 1e-6 * size)
        row |= {f"right{name}": float(right[~wanted.new].mean()), f"new{name}": float(right[wanted.new].mean())}
    return row


def width_rows(options: Any) -> Iterator[Row]:
    """Accuracy of single networks against width, and of the limit of infinite width."""
    wanted = material(options.rows)
    for network in (tl.MatrixVector(order=3, residual=True), tl.LinearRNN(gate_std=0.7, max_order=12)):
        questions = Questions(wanted.tokens.vocabulary, np.unique(wanted.pairs), (wanted.pairs,), wanted.texts)
        for width in WIDTHS:
            print(f"{describe(network)} width {width}", flush=True)
            course = replace(COURSE, width=width, seeds=2)
            found = measure(network, wanted.tokens, wanted.labels, questions, course, folder=options.work)
            yield width_row(found, found.trained, wanted, str(width))
        yield width_row(found, [found.predicted], wanted, "∞")


def width_row(found: Measured, answers: Sequence[Answers], wanted: Material, width: str) -> Row:
    """Means over networks of one width; the size of I is that of the trained pairs."""
    seen = ~wanted.new
    size = [np.sqrt(np.mean(one.interactions[0][-1, seen, 0] ** 2)) for one in (found.predicted, *answers)]
    row: Row = {"network": describe(found.architecture), "width": width, "seeds": len(answers) if width != "∞" else "–",
                "share": float(np.mean([one.interaction_share[-1] for one in answers])),
                "drift": float(np.mean(size[1:]) / size[0])}
    return row | {name: float(np.mean([accuracy(one, wanted)[name] for one in answers])) for name in GROUPS}


def trained(options: Any, knobs: dict[str, Any], folder: Path | None) -> Iterator[tuple[Measured, Material]]:
    """Every network on one variant of the grammar."""
    wanted = material(options.rows, **knobs)
    for network in cases():
        print(f"{describe(network)} {knobs or ''}", flush=True)
        questions = Questions(wanted.tokens.vocabulary, np.unique(wanted.pairs), (wanted.pairs,), wanted.texts)
        course = replace(COURSE, width=options.width, seeds=options.seeds if not knobs else 2)
        yield measure(network, wanted.tokens, wanted.labels, questions, course, folder=folder), wanted


def main(arguments: Sequence[str] | None = None) -> None:
    """Parses, trains, prints and saves."""
    parser = parser_of("negations", rows=1500, width=128, seeds=4)
    options = parser.parse_args(arguments)
    rows: list[Row] = []
    signs: list[Row] = []
    for knobs in KNOBS:
        for found, wanted in trained(options, knobs, options.work):
            rows.append(accuracy_row(found, wanted, knobs))
            signs += [] if knobs else [sign_row(found, wanted)]
    sheets = {"negations": Sheet("Negations of a grammar: accuracy", rows, ACCURACY, NOTES),
              "negation_widths": Sheet("Accuracy against width", list(width_rows(options)), SWEEP, (WIDTH_NOTE,)),
              "negation_signs": Sheet("Negated pairs: does the interaction turn the adjective round?", signs, SIGNS)}
    for sheet in sheets.values():
        sheet.print(Console())
    save(sheets, options.output, "negations", command=command_of(parser, options))
    negations_picture(pl.DataFrame(rows).filter(data="clean, balanced"), options.output / "negations.png")


if __name__ == "__main__":
    main()
