"""Trains ordinary networks on three data sets and keeps what they answer, one small table for every network and seed.

Each piece (network × data set × seed) is a file; what is there is not trained again, so the study can be interrupted,
go on, or get more seeds. `--share 0/2` and `--share 1/2` split the pieces between two processes.

Command: python -m reproduce.practice_train [--work practice-work] [--seeds 8] [--share 0/1]
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Sequence
from functools import lru_cache
from itertools import product
from pathlib import Path

import numpy as np
import polars as pl
import torch

import tangentlens as tl
from reproduce.practice_data import DATA_SETS, material
from reproduce.practice_questions import Array, Inquiry
from tangentlens.learning.losses import encode
from tangentlens.networks import Fitting, OrdinaryNetwork, fit, ordinary, outputs_of
from tangentlens.networks.fitting import loss_of

NETWORKS = ("bag", "textcnn", "lstm", "gru", "transformer", "textcnn tanh")
FITTING = {"bag": Fitting(epochs=30, records=1)}  # learns slowly; the others as Fitting() says
SIZE = 64
WORK = Path("practice-work")


@lru_cache(maxsize=1)
def inquiry(name: str) -> Inquiry:
    """The questions about one data set."""
    return Inquiry(material(name))


def trained(name: str, network: str, seed: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Answers of one network (question, item, value), and the scores of the followed tokens (epoch, item, value)."""
    asks = inquiry(name)
    train, dev, test = asks.material.train, asks.material.dev, asks.material.test
    started = time.process_time()
    net = ordinary(network, vocabulary_size=len(train.tokens.vocabulary) + asks.blanks, size=SIZE, seed=seed)

    def ask(tokens: tl.Tokens) -> Array:
        return outputs_of(net, tokens)

    fitted = fit(net, train.tokens, train.labels, dev=(dev.tokens, dev.labels), fitting=FITTING.get(network),
                 seed=seed, watch=lambda: asks.followed_scores(ask, blanks=True))
    assert fitted.curves is not None
    y = encode(train.labels, None, texts=len(train.labels)).y
    found = asks.answers(ask, blanks=True) | {
        "train_loss": [loss_of(ask(train.tokens), y)], "dropout_loss": [dropout_loss(net, train.tokens, y)],
        "dev_loss": [fitted.dev_losses.min()], "epochs": [fitted.epochs[-1]],
        "accuracy": [np.mean((ask(test.tokens)[:, 0] > 0) == test.labels)],
        "seconds": [time.process_time() - started]}
    answers = pl.concat([pl.DataFrame({"question": [question] * len(values), "item": np.arange(len(values)),
                                       "value": np.asarray(values, np.float32)}) for question, values in found.items()])
    moments, items = np.repeat(fitted.epochs, len(asks.followed)), np.tile(asks.followed, len(fitted.epochs))
    curves = pl.DataFrame({"epoch": moments, "item": items, "value": fitted.curves.ravel().astype(np.float32)})
    return answers, curves


def dropout_loss(network: OrdinaryNetwork, tokens: tl.Tokens, y: Array) -> float:
    """Training loss as training sees it, with dropout."""
    network.train()
    with torch.inference_mode():
        parts = [loss_of(network(tokens[start:start + 1000]).numpy().astype(np.float64), y[start:start + 1000])
                 for start in range(0, len(tokens), 1000)]
    network.eval()
    return float(np.mean(parts))


def path_of(work: Path, name: str, network: str, seed: int, kind: str = "answers") -> Path:
    """The file of one piece."""
    return work / f"{name}-{network.replace(' ', '-')}-{seed}-{kind}.parquet"


def write(table: pl.DataFrame, path: Path) -> None:
    """Writes to a temporary name first, so that a file that exists is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(f".{os.getpid()}")
    table.write_parquet(temporary, compression="zstd")
    temporary.replace(path)


def main(arguments: Sequence[str] | None = None) -> None:
    """Trains what is not there yet: the first seeds of every network first, data set by data set."""
    parser = argparse.ArgumentParser(prog="python -m reproduce.practice_train")
    parser.add_argument("--work", type=Path, default=WORK)
    parser.add_argument("--data-sets", nargs="+", default=DATA_SETS, choices=DATA_SETS)
    parser.add_argument("--networks", nargs="+", default=NETWORKS, choices=NETWORKS)
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--share", default="0/1", help="which of how many processes this is")
    options = parser.parse_args(arguments)
    mine, processes = map(int, options.share.split("/"))
    torch.set_num_threads(1)
    for name in options.data_sets:
        pieces = list(product(range(options.seeds), options.networks))[mine::processes]
        for seed, network in pieces:
            if path_of(options.work, name, network, seed).exists():
                continue
            answers, curves = trained(name, network, seed)
            write(curves, path_of(options.work, name, network, seed, "curves"))
            write(answers, path_of(options.work, name, network, seed))
            line = {row["question"]: row["value"] for row in answers.filter(pl.col("item") == 0).iter_rows(named=True)}
            print(f"{name} {network} seed {seed}: {line['seconds']:.0f} s, {line['epochs']:.0f} epochs, training loss "
                  f"{line['train_loss']:.3f}, accuracy {line['accuracy']:.3f}", flush=True)


if __name__ == "__main__":
    main()
