"""What language models hold as named arrays and a little JSON, for saving without pickle."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import sparse

from tangentlens.data.contexts import Contexts
from tangentlens.data.corpus import Corpus
from tangentlens.data.storage import Arrays
from tangentlens.features.family import Features
from tangentlens.features.saving import features_from_arrays, features_to_arrays
from tangentlens.kernels import ARCHITECTURES
from tangentlens.kernels.architecture import Architecture
from tangentlens.predictions.score_tables import DenseScores, FirstOrderScores, ScoreTable


def problem_to_arrays(architecture: Architecture, contexts: Contexts, columns: Features
                      ) -> tuple[dict[str, Any], Arrays]:
    """What was learned from, by what, and the names of its features."""
    corpus = contexts.corpus
    about, arrays = features_to_arrays(columns)
    arrays |= {f"corpus_{name}": array for name, array in corpus.tokens.arrays().items()}
    if len(contexts) < len(corpus.ids) - corpus.tokens.unknown:
        arrays["positions"] = contexts.positions
    return {"architecture": [type(architecture).__name__, vars(architecture)], "window": contexts.window,
            "corpus": corpus.about, "columns": about}, arrays


def problem_from_arrays(about: dict[str, Any], arrays: Arrays) -> tuple[Architecture, Contexts, Features]:
    """The inverse of `problem_to_arrays`."""
    name, options = about["architecture"]
    own = {name.removeprefix("corpus_"): array for name, array in arrays.items() if name.startswith("corpus_")}
    given = [arrays["positions"]] if "positions" in arrays else []
    contexts = Contexts(Corpus.from_arrays(about["corpus"], own), about["window"], *given)
    return ARCHITECTURES[name](**options), contexts, features_from_arrays(about["columns"], arrays)


def tables_to_arrays(tables: Sequence[sparse.csr_array]) -> tuple[list[Any], Arrays]:
    """Tables by family: for each the first family that has the same one, and its shape. What is shared is kept once."""
    owners: dict[int, int] = {}
    about: list[Any] = []
    arrays: Arrays = {}
    for number, table in enumerate(tables):
        owner = owners.setdefault(id(table), number)
        about.append([owner, *table.shape])
        if owner == number:
            arrays |= {f"table{number}_{part}": getattr(table, part) for part in ("data", "indices", "indptr")}
    return about, arrays


def tables_from_arrays(about: Sequence[Any], arrays: Arrays) -> tuple[sparse.csr_array, ...]:
    """The inverse of `tables_to_arrays`."""
    found: list[sparse.csr_array] = []
    for owner, *shape in about:
        if owner < len(found):
            found.append(found[owner])
            continue
        parts: Any = tuple(arrays[f"table{owner}_{part}"] for part in ("data", "indices", "indptr"))
        found.append(sparse.csr_array(parts, shape=tuple(shape)))
    return tuple(found)


def scores_to_arrays(scores: ScoreTable) -> tuple[dict[str, Any], Arrays]:
    """Label scores of either kind, without their columns."""
    if isinstance(scores, FirstOrderScores):
        tables, arrays = tables_to_arrays(scores.tables)
        return {"tables": tables, "scale": scores.scale}, arrays | {"q": scores.q}
    assert isinstance(scores, DenseScores)
    return {"families": len(scores.scores)}, {f"scores{number}": one for number, one in enumerate(scores.scores)}


def scores_from_arrays(about: dict[str, Any], columns: Features, arrays: Arrays) -> ScoreTable:
    """The inverse of `scores_to_arrays`."""
    if "tables" in about:
        tables = tables_from_arrays(about["tables"], arrays)
        sums = tuple(np.asarray(table.sum(axis=1), float) for table in tables)
        return FirstOrderScores(columns, tables, sums, arrays["q"], about["scale"])
    return DenseScores(columns, tuple(arrays[f"scores{number}"] for number in range(about["families"])))
