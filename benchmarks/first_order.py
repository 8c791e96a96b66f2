"""Label scores of a language model at first order: time and memory over the size of the corpus.

Every size is a process of its own: python -m benchmarks.first_order TOKENS ARCHITECTURE. All: python -m benchmarks
--only first_order
"""

from __future__ import annotations

import itertools
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import tangentlens as tl
from benchmarks.command_line import ranged
from benchmarks.processes import measure, spread
from reproduce.sheet import Row, Sheet, number, text, written

ARCHITECTURES = {"MLP": tl.MLP(), "SelfAttention": tl.SelfAttention(), "MatrixVector": tl.MatrixVector()}
ALL = "all three"
SHOWN_ARCHITECTURES = (ALL,)  # python -m benchmarks.first_order takes any one of them alone
TOKENS = (2_500_000, 5_000_000, 10_000_000)
TYPES, WINDOW = 30_000, 32
SHOWN = {
    "architecture": ("architecture", text), "tokens": ("tokens", number(",d")), "pairs": ("pairs", number(",d")),
    "seconds": ("seconds", written), "processor": ("processor s", written), "peak": ("peak MiB", written),
    "twice": ("times half\nthe tokens", number(".2f")),
    "state": ("state", text),
}


def corpus_of(tokens: int) -> tl.Corpus:
    """Film reviews, each drawn as often as any other (again from the first where there are too few)."""
    reviews = tl.movie_reviews().texts
    order = np.random.default_rng(0).permutation(len(reviews))
    chosen = order[np.arange(max(1, tokens // 100)) % len(reviews)]
    corpus = tl.read_corpus([reviews[row] for row in chosen], lowercase=True, vocabulary_size=TYPES)
    keep = max(1, int(np.searchsorted(corpus.offsets, tokens, side="right")) - 1)
    return tl.Corpus(corpus.tokens[:keep], corpus.source)


def work(tokens: int, name: str) -> dict[str, Any]:
    """Counts once; seconds of `first_order` alone, without reading."""
    contexts = tl.Contexts(corpus_of(tokens), WINDOW)
    wanted = list(ARCHITECTURES.values()) if name == ALL else ARCHITECTURES[name]
    started, used = time.perf_counter(), time.process_time()
    found = tl.first_order(contexts, wanted)
    seconds, processor = time.perf_counter() - started, time.process_time() - used
    return {"seconds": seconds, "processor": processor, "tokens": len(contexts.corpus.ids),
            "pairs": sum(one.pairs for one in found)}


def sheets(data: Path, repeats: int, say: Callable[[str], None]) -> dict[str, Sheet]:
    """All three together at every size; `data` does not matter."""
    rows: list[Row] = []
    for name in SHOWN_ARCHITECTURES:
        found = [row(name, tokens, repeats, say) for tokens in TOKENS]
        for half, one in itertools.pairwise(found):
            if half["state"] == one["state"] == "ok":
                one["twice"] = one["processor_median"] / half["processor_median"]
        rows += found
    return {"first_order": Sheet("Label scores of a language model at first order", rows, SHOWN, (
        f"Film reviews, resampled where they are too few; {TYPES:,} types at most, window {WINDOW}. {repeats} "
        "processes each: median (least–largest). seconds and processor s (user + system, which other jobs disturb "
        "less): first_order alone; peak: the whole process, reading included. times half the tokens: of processor s. "
        "all three share the counts they have in common; pairs: summed over them.",))}


def row(name: str, tokens: int, repeats: int, say: Callable[[str], None]) -> dict[str, Any]:
    """One architecture at one size, in processes of its own."""
    runs, peaks = [], []
    for repeat in range(repeats):
        say(f"{name}, {tokens:,} tokens (run {repeat + 1} of {repeats})")
        run = measure([sys.executable, "-m", "benchmarks.first_order", str(tokens), name])
        if run.status:
            why = (run.errors.strip().splitlines() or ["no message"])[-1]
            return {"architecture": name, "tokens": tokens, "state": f"exit {run.status}: {why}"}
        runs.append(json.loads(run.output.splitlines()[-1]))
        peaks.append(run.peak)
    seconds, processor = (spread([run[key] for run in runs]) for key in ("seconds", "processor"))
    return {"architecture": name, **runs[0], "seconds": ranged(seconds, ".1f"), "seconds_median": seconds[0],
            "processor": ranged(processor, ".1f"), "processor_median": processor[0],
            "peak": ranged(spread(peaks), ",.0f"), "peak_median": spread(peaks)[0], "state": "ok"}


if __name__ == "__main__":
    print(json.dumps(work(int(sys.argv[1]), sys.argv[2])))
