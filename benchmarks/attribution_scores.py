"""Only the linear datamodeling scores of the benchmark `attribution`, each printed when it is known.

Command: python -m benchmarks.attribution_scores SST/bag [SST/CNN …]
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from time import process_time

import torch

from benchmarks import attribution_rivals as rivals
from benchmarks.attribution import chance, datamodeling_score, nearest, ours, relearned
from benchmarks.attribution_truth import checkpoints, halved, problem

DATA, CACHE = Path("../shared/data/sst"), Path("benchmarks/.cache/attribution")


def scores(name: str, kind: str) -> None:
    """Prints method, score and CPU seconds for one data set and network."""
    asked = problem(name, DATA)
    outputs, spent = halved(asked, kind, CACHE, lambda line: print(line, file=sys.stderr))
    margins = outputs * (2 * asked.test_y - 1)
    truth = margins.mean(axis=1)
    ceiling = datamodeling_score(margins[:, ::2].mean(axis=1), margins[:, 1::2].mean(axis=1))
    networks, training = checkpoints(asked, kind, asked.y)
    loss = rivals.training_loss(networks, asked, asked.y)
    print(f"{name}, {kind}: half of the networks {ceiling:.3f} ({spent:.0f} s); {len(networks)} checkpoints: "
          f"{training:.1f} s, training loss {loss:.3f}", flush=True)
    for one in [*ours(asked, kind, asked.y, loss), nearest(asked, asked.y), chance(asked),
                relearned(asked, kind, loss)]:
        sums = one.predicted if one.scores is None else asked.halves @ one.scores.T
        assert sums is not None
        print(f"{one.method}: {datamodeling_score(sums, truth):.3f} ({one.seconds:.2f} s)", flush=True)
    for method, attribute in rivals.RIVALS.items():
        with tempfile.TemporaryDirectory() as folder:
            began = process_time()
            found = attribute(networks, asked, asked.y, Path(folder))[0]
            print(f"{method}: {datamodeling_score(asked.halves @ found.T, truth):.3f} "
                  f"({process_time() - began:.2f} s)", flush=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    for asked_for in sys.argv[1:]:
        scores(*asked_for.split("/"))
