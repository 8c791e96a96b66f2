"""Products with the tangent kernel over texts in parts: Θ a = Z u, u = Σ_i Z_iᵀ a_i added in the order of the parts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import repeat
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tangentlens.data.storage import Arrays
from tangentlens.errors import OptionError
from tangentlens.learning.parts import Layout, PartitionedFeatures, matrix_of
from tangentlens.learning.product import KernelProduct, few_texts

Array = NDArray[np.float64]
Ints = NDArray[np.int64]


def shared_columns(places: Sequence[Arrays], patterns: Arrays, layout: Layout) -> Arrays:
    """The columns that two or more texts of all parts share, in order."""
    entries = np.zeros(layout.ends(patterns)[-1], np.uint8)
    for part in places:
        known = part["columns"] >= 0
        columns = part["columns"][known]
        entries[columns] = np.minimum(entries[columns] + part["entries"][known], 2)
    return {"shared": np.flatnonzero(entries == 2)}


def shared_blocks(part: Arrays, place: Arrays, shared: Arrays) -> Arrays:
    """A part's Z_i over the shared columns that occur in it, `columns` naming them; what only one text has, entry by
    entry (text, column, value); and `own`, the diagonal of Θ that these make.
    """
    columns = np.asarray(place["columns"])
    number, found = _among(shared["shared"], columns)
    index = np.asarray(part["indices"])
    rows = np.repeat(np.arange(len(part["indptr"]) - 1, dtype=np.int32), np.diff(part["indptr"]))
    keep, rare = found[index], ((columns >= 0) & ~found)[index]
    local = (np.cumsum(found) - 1).astype(np.int32)
    own = np.bincount(rows[rare], weights=part["data"][rare] ** 2, minlength=len(part["indptr"]) - 1)
    order = np.argsort(columns[index[rare]], kind="stable")
    return {"data": part["data"][keep], "indices": local[index[keep]],
            "indptr": np.searchsorted(rows[keep], np.arange(len(part["indptr"]))), "columns": number[found], "own": own,
            "rare_rows": rows[rare][order], "rare_columns": columns[index[rare]][order],
            "rare_values": part["data"][rare][order]}


def _among(known: Ints, wanted: Ints) -> tuple[Ints, NDArray[np.bool_]]:
    """Where each wanted number stands among known sorted ones, and whether it is there."""
    if not len(known):
        return np.zeros(len(wanted), np.int64), np.zeros(len(wanted), bool)
    place = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
    return place, np.asarray(known[place] == wanted)


def pushed(part: Arrays, duals: Array) -> Arrays:
    """Z_iᵀ a_i, and the columns that it stands in."""
    return {"columns": part["columns"], "sums": matrix_of(part, len(part["columns"])).T @ duals}


def summed(results: Iterable[Arrays], shared: Arrays, outputs: int) -> Arrays:
    """u = Σ_i Z_iᵀ a_i, in the order of the parts."""
    total = np.zeros((len(shared["shared"]), outputs))
    for part in results:
        total[part["columns"]] += part["sums"]
    return {"sums": total}


def pulled(part: Arrays, sums: Arrays, duals: Array | None) -> Arrays:
    """Z_i u, and for training texts what is theirs alone."""
    f = matrix_of(part, len(part["columns"])) @ sums["sums"][part["columns"]]
    return {"f": f if duals is None else f + part["own"][:, None] * duals}


def rare_between(part: Arrays, duals: Array, low: int, high: int) -> Arrays:
    """Columns low … high − 1 that only one text of a part has, and Zᵀ a there."""
    first, last = np.searchsorted(part["rare_columns"], [low, high])
    rows = part["rare_rows"][first:last]
    return {"columns": np.asarray(part["rare_columns"][first:last]),
            "sums": part["rare_values"][first:last, None] * duals[rows]}


def rare_among(part: Arrays, duals: Array, wanted: Ints) -> Arrays:
    """The same for wanted columns, sorted."""
    place, found = _among(part["rare_columns"], wanted)
    return {"columns": wanted[found], "sums": part["rare_values"][place[found], None] * duals[
        part["rare_rows"][place[found]]]}


def without_own(part: Arrays, most: int) -> Arrays:
    """A part's texts that have no feature of their own, or one more than `most` of them, and their rows of Z_i, whose
    indices are those of all parts.
    """
    texts = np.flatnonzero(part["own"] == 0)[:most + 1]
    rows = matrix_of(part, len(part["columns"]))[texts]
    return {"texts": texts, "data": rows.data, "indices": part["columns"][rows.indices], "indptr": rows.indptr}


class PartitionedProduct(KernelProduct):
    """Θ over parts, as KernelProduct; a part's blocks are in use only while it has its turn."""

    features: PartitionedFeatures  # type: ignore[assignment]
    extra: PartitionedFeatures | None  # type: ignore[assignment]

    def __init__(self, features: PartitionedFeatures, extra: PartitionedFeatures | None = None) -> None:
        self.features, self.extra, self.products, self.runs, self.lanes = features, extra, 0, [], []
        if extra is not None and extra.engine is not features.engine:
            raise OptionError("the held-out texts are kept in another place than the training texts; make them with "
                              "tl.partition(held, architecture, columns=features)")
        engine = features.engine
        both = [features, *([extra] if extra else [])]
        places = [place for one in both for place in one.placed]
        self.shared = engine.one("shared columns", shared_columns, places, features.patterns, features.layout)
        counted = [part for one in both for part in one.counted]
        self.parts = engine.each("blocks", shared_blocks, list(zip(counted, places, strict=True)), self.shared)

    @property
    def rows(self) -> int:
        """Number of rows: training texts, then extra texts."""
        return len(self.features) + (len(self.extra) if self.extra else 0)

    def __matmul__(self, duals: Array) -> Array:
        """Θ a for a of shape (n,) or (n, c); the result has one row for every training and extra text."""
        table = duals[:, None] if duals.ndim == 1 else duals
        self.products += table.shape[1]
        mine: list[Any] = self.features.cut_at_parts(np.ascontiguousarray(table, np.float64))
        sums = self.sums(mine)
        mine += [None] * (len(self.parts) - len(mine))
        results = self.features.engine.stream(pulled, self.parts, [sums] * len(self.parts), mine)
        f = np.concatenate([part["f"] for part in self.features.engine.get(results)])
        return f[:, 0] if duals.ndim == 1 else f

    @cached_property
    def lacking(self) -> tuple[Ints, sparse.csr_array] | None:
        """See KernelProduct.lacking."""
        engine, counts = self.features.engine, self.features.abouts[:, 0]
        columns = len(engine.value(self.shared)["shared"])
        most = few_texts(columns)
        found = list[Arrays]()
        for part in engine.get(engine.stream(without_own, self.parts[:len(counts)], [most] * len(counts))):
            found.append(part)
            if sum(len(one["texts"]) for one in found) > most:
                return None
        first, rows = np.cumsum(counts) - counts, [matrix_of(part, columns) for part in found]
        texts = np.concatenate([part["texts"] + low for part, low in zip(found, first, strict=True)])
        return texts, sparse.csr_array(sparse.vstack(rows))

    def sums(self, duals: list[Array]) -> Any:
        """The handle of u = Σ_i Z_iᵀ a_i over the shared columns, for duals by part."""
        engine = self.features.engine
        results = engine.stream(pushed, self.parts[:len(duals)], duals)
        return engine.total(summed, results, self.shared, duals[0].shape[1])

    def column_sums(self, duals: Array) -> ColumnSums:
        """Zᵀ a over all columns."""
        return ColumnSums(self, self.features.cut_at_parts(duals))


class ColumnSums:
    """Zᵀ a of all columns for duals a (n, c), a range of columns or some of them at a time."""

    def __init__(self, product: PartitionedProduct, duals: list[Array]) -> None:
        engine = product.features.engine
        self.product, self.duals = product, duals
        self.shared: Ints = np.asarray(engine.value(product.shared)["shared"])
        self.values: Array = engine.value(product.sums(duals))["sums"]

    def between(self, low: int, high: int) -> Array:
        """Columns low … high − 1; shape (high − low, c)."""
        first, last = np.searchsorted(self.shared, [low, high])
        total = np.zeros((high - low, self.values.shape[1]))
        total[self.shared[first:last] - low] = self.values[first:last]
        for part in self._rare(rare_between, low, high):
            total[part["columns"] - low] = part["sums"]
        return total

    def among(self, wanted: Ints) -> Array:
        """The wanted columns, sorted; shape (wanted, c)."""
        place, found = _among(self.shared, wanted)
        total = np.zeros((len(wanted), self.values.shape[1]))
        total[found] = self.values[place[found]]
        for part in self._rare(rare_among, wanted):
            total[np.searchsorted(wanted, part["columns"])] = part["sums"]
        return total

    def _rare(self, function: Any, *shared: Any) -> Iterator[Arrays]:
        engine, parts = self.product.features.engine, self.product.parts[:len(self.duals)]
        results = engine.stream(function, parts, self.duals, *(list(repeat(one, len(parts))) for one in shared))
        return engine.get(results)
