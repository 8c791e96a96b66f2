"""What was tried to close the gap between the closed form and ordinary networks, and what it brought on every data set.

Shares of the ceiling as in practice_scores, each to the networks' training loss. SST was there to choose by.

Command: python -m reproduce.practice_ladder [--work practice-work] [--output reproduce/results]
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from rich.console import Console

import tangentlens as tl
from reproduce.options import RESULTS
from reproduce.practice_answers import Answers, ceiling, share, trained_networks
from reproduce.practice_data import DATA_SETS
from reproduce.practice_differences import FIVE
from reproduce.practice_predictions import inquiry, predicted
from reproduce.practice_questions import Array
from reproduce.practice_train import WORK
from reproduce.sheet import Row, Sheet, number, save, text
from tangentlens import CNN, MLP, ElmanRNN, LinearRNN, MatrixVector, SelfAttention, TokenRates

NOISY = "gated n-grams, rates 1/√count"
BAG, GATED = MLP(activation="tanh"), LinearRNN(max_order=3, gate_std=0.4)
ARCHITECTURES: dict[str, tl.Architecture] = {
    "bag of tokens, plain descent": BAG,
    "the same, bias (ReLU)": MLP(),
    "the same, two layers with bias (ReLU)": MLP(depth=2),
    "rates 1/count^0.25": TokenRates(BAG, power=0.25, rate=10.0),
    "rates 1/√count (Adam)": TokenRates(BAG, rate=10.0),
    "rates 1/count^0.75": TokenRates(BAG, power=0.75, rate=10.0),
    "rates 1/count": TokenRates(BAG, power=1.0, rate=10.0),
    "windows of 3 (CNN, ReLU)": CNN(padding="valid"),
    "the same, rates 1/√count": TokenRates(CNN(padding="valid"), rate=0.3),
    "windows of 5 (CNN, ReLU)": CNN(kernel_size=5, padding="valid"),
    "attention to equal tokens": SelfAttention(scores="tied"),
    "order from the end (ElmanRNN, last)": ElmanRNN(pooling="last", weight_std=0.9),
    "gated n-grams, plain descent": GATED,
    "gated n-grams, only embeddings at 1/√count": TokenRates(GATED, rate=10.0),
    NOISY: TokenRates(GATED, rate=0.3),
    "the same, sum over the text": TokenRates(LinearRNN(max_order=3, gate_std=0.4, pooling="sum"), rate=0.3),
    "gates of 1 (longer n-grams weigh more)": TokenRates(LinearRNN(max_order=3, gate_std=1.0), rate=0.3),
    "tokens and bigrams alike (MatrixVector)": TokenRates(MatrixVector(residual=True), rate=0.3),
}
ATTEMPTS = {attempt: (architecture, "train_loss") for attempt, architecture in ARCHITECTURES.items()} | {
    f"{NOISY}, to the loss with dropout": (ARCHITECTURES[NOISY], "dropout_loss")}
STEPS = np.array([-1.0, -0.5, -0.25, -0.1, 0.0, 0.1, 0.25, 0.5, 1.0])  # λ, tried on SST
AFTERWARDS = {"less or more of s(a) + s(b)": np.add, "less or more of s(a) s(b)": np.multiply}
SHOWN = {"attempt": ("attempt", text), "data": ("data", text)} | {
    f"token {network}": (f"tokens,\n{network}", number(".3f")) for network in FIVE} | {
    f"bigram {network}": (f"bigrams,\n{network}", number(".3f")) for network in FIVE[1:]}
NOTES = (
    "The last two attempts add λ times the standardised sum, or product, of the tokens' scores to a bigram's predicted "
    "interaction, with the λ (between −1 and 1) that was best on SST for that network: max pooling lets two tokens "
    "compete, gates multiply. The columns of λ are in the CSV file.",
)


def rows_of(work: Path) -> Iterator[Row]:
    """One row for every attempt and data set."""
    found: dict[str, list[Answers]] = {name: [] for name in DATA_SETS}
    for name, answers in trained_networks(work):
        if answers.network in FIVE:
            found[name].append(answers)
    for attempt, (architecture, loss) in ATTEMPTS.items():
        for name, there in found.items():
            row: Row = {"attempt": attempt, "data": name}
            for answers in there:
                row |= shares(name, answers, architecture, loss)
            yield row
        print(attempt, flush=True)
    for attempt, combine in AFTERWARDS.items():
        yield from corrected_rows(attempt, combine, found)


def corrected_rows(attempt: str, combine: np.ufunc, found: dict[str, list[Answers]]) -> Iterator[Row]:
    """The stand-in's interactions with a correction whose λ was best on SST."""
    best: dict[str, float] = {}
    for name, there in found.items():
        row: Row = {"attempt": attempt, "data": name}
        for answers in there:
            if answers.network == "bag":
                continue
            levels = [afterwards(name, answers, combine, step) for step in STEPS]
            best.setdefault(answers.network, float(STEPS[int(np.argmax(levels))]))  # SST comes first
            row |= {f"bigram {answers.network}": levels[int(np.flatnonzero(best[answers.network] == STEPS)[0])],
                    f"step {answers.network}": best[answers.network]}
        yield row


def shares(name: str, answers: Answers, architecture: tl.Architecture, loss: str) -> Row:
    """Shares of the ceiling of one attempt for one network."""
    said = predicted(architecture, name, float(answers[loss].mean()))
    row = {f"token {answers.network}": share(said["token"], answers["token"])}
    if answers.network == "bag" or np.isnan(ceiling(answers["bigram"])):
        return row
    return row | {f"bigram {answers.network}": share(said["bigram"], answers["bigram"])}


def afterwards(name: str, answers: Answers, combine: np.ufunc, step: float) -> float:
    """Share for bigrams of the stand-in's I + λ (s(a) ∘ s(b)), both standardised; unseen tokens count 0."""
    if np.isnan(ceiling(answers["bigram"])):
        return float("nan")
    said, seen = predicted(tl.stand_in(answers.network).architecture, name, answers.train_loss), inquiry(name).seen
    scores = np.zeros(len(inquiry(name).material.train.tokens.vocabulary))
    scores[seen[0][0][:, 0]] = said["token"]
    other = combine(*scores[seen[1][0]].T)
    return share(unit(said["bigram"]) + step * unit(other), answers["bigram"])


def unit(values: Array) -> Array:
    """Values over their standard deviation."""
    return values / values.std()


def main(arguments: Sequence[str] | None = None) -> None:
    """Parses, asks, prints and saves."""
    parser = argparse.ArgumentParser(prog="python -m reproduce.practice_ladder")
    parser.add_argument("--work", type=Path, default=WORK)
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args(arguments)
    sheet = Sheet("What was tried, and what it brought", list(rows_of(options.work)), SHOWN, NOTES)
    sheet.print(Console(width=180))
    save({"practice_ladder": sheet}, options.output, "practice_ladder", command=parser.prog)


if __name__ == "__main__":
    main()
