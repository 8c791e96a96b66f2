"""How near products with the kernel come to the memory bandwidth of the machine, measured in the same run.

Command: python -m benchmarks --only bandwidth [--sizes 25000]
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

import tangentlens as tl
from benchmarks import machine
from benchmarks.asked import Asked
from benchmarks.command_line import ranged
from benchmarks.paired import seconds
from benchmarks.processes import spread
from reproduce.sheet import Sheet, number, text, written
from tangentlens.data.threads import parallel
from tangentlens.kernels import Architecture, describe
from tangentlens.learning import KernelProduct

Array = NDArray[np.float64]
SIZES = (25_000,)
ARCHITECTURES: tuple[Architecture, ...] = (tl.MLP(), tl.CNN(), tl.LinearRNN(max_order=3))
BYTES = 2**30  # of every array that is streamed
PIECE = 2**15  # doubles of a piece of the triad that stays in the cache between its two passes
SHOWN = {
    "data": ("data", text), "texts": ("texts", number(",d")), "architecture": ("architecture", text),
    "stored": ("stored MB", number(",.0f")), "milliseconds": ("one product\nms", written),
    "rate": ("product\nGB/s", written), "read": ("memory, read\nGB/s", written),
    "triad": ("memory, triad\nGB/s", written), "share": ("share of\nthe read", number(".2f")),
    "narrow": ("in 32 bits\nms", written), "error": ("its relative\nerror", number(".0e")),
}
NOTES = (
    "One product: KernelProduct @ vector, the map and its transpose, float64. stored MB: values, indices and row "
    "pointers of the sparse matrices, twice, as they are read; vectors are not counted. memory, read: the faster of a "
    f"dot product of an array with itself and a sum, {BYTES / 2**30:g} GiB, cut among all cores; triad: a = b + 3 c on "
    "three such arrays, in pieces, three arrays counted. Medians (least–largest) of product and memory in turns; "
    "share: the median over pairs. Matrices smaller than the last cache may be read from there. In 32 bits: the same "
    "sparse matrices and vectors in float32; its error is the larger one of a vector of ones and a random one.",
)


def stored_bytes(product: KernelProduct) -> int:
    """Bytes of the sparse matrix that one product reads, twice: for Zᵀ a and for Z u."""
    return 2 * sum(part.nbytes for lane in product.lanes for part in (lane.data, lane.indices, lane.indptr))


class Memory:
    """Streams over arrays much larger than any cache, on all cores."""

    def __init__(self, size: int = BYTES) -> None:
        self.cores = machine.cores()
        self.pool = ThreadPoolExecutor(self.cores)
        self.arrays = [np.full(size // 8, float(value)) for value in range(1, 4)]
        self.parts = [np.array_split(array, self.cores) for array in self.arrays]

    def on_all(self, work: Callable[..., object], *parts: Sequence[Array]) -> None:
        """The work on every core's own part."""
        list(self.pool.map(work, *parts))

    def read(self) -> float:
        """Bytes a second, reading one array."""
        with threadpool_limits(limits=1, user_api="blas"):
            best = min(seconds(lambda: self.on_all(lambda part: np.dot(part, part), self.parts[1])),
                       seconds(lambda: self.on_all(np.sum, self.parts[1])))
        return self.arrays[1].nbytes / best

    def triad(self) -> float:
        """Bytes a second of a = b + 3 c, one written and two read."""
        return 3 * self.arrays[0].nbytes / seconds(lambda: self.on_all(_triad, *self.parts))


def _triad(a: Array, b: Array, c: Array) -> None:
    for low in range(0, len(a), PIECE):
        piece = a[low:low + PIECE]
        np.multiply(c[low:low + PIECE], 3.0, out=piece)
        piece += b[low:low + PIECE]


class Narrow:
    """The same product in float32: what it would gain, and lose. The library does not use it."""

    def __init__(self, product: KernelProduct) -> None:
        self.lanes, self.own = [lane.astype(np.float32) for lane in product.lanes], product.own.astype(np.float32)

    def __matmul__(self, vector: NDArray[np.float32]) -> NDArray[np.float32]:
        parts = parallel(lambda lane: lane.T @ (lane @ vector), self.lanes)
        return np.asarray(np.add.reduce([self.own * vector, *parts]))

    def error(self, product: KernelProduct, vectors: Sequence[Array]) -> float:
        """The largest relative one."""
        pairs = [(self @ vector.astype(np.float32), product @ vector) for vector in vectors]
        return max(float(np.linalg.norm(found - exact) / np.linalg.norm(exact)) for found, exact in pairs)


def row_of(product: KernelProduct, memory: Memory, repeats: int) -> dict[str, Any]:
    """Product, read and triad in turns; a timing of a product is the median of ten."""
    vector = np.random.default_rng(0).standard_normal(len(product.features))
    product @ vector
    memory.read()
    stored, spent, reads, triads, halves = stored_bytes(product), [], [], [], []
    narrow, single = Narrow(product), vector.astype(np.float32)
    for _ in range(repeats):
        spent.append(statistics.median(seconds(lambda: product @ vector) for _ in range(10)))
        halves.append(statistics.median(seconds(lambda: narrow @ single) for _ in range(10)))
        reads.append(memory.read() / 1e9)
        triads.append(memory.triad() / 1e9)
    rates = [stored / one / 1e9 for one in spent]
    share = statistics.median(rate / read for rate, read in zip(rates, reads, strict=True))
    return {"stored": stored / 1e6, "milliseconds": ranged(spread([1e3 * one for one in spent]), ".3g"),
            "rate": ranged(spread(rates), ".1f"), "read": ranged(spread(reads), ".1f"),
            "triad": ranged(spread(triads), ".1f"), "share": share,
            "narrow": ranged(spread([1e3 * one for one in halves]), ".3g"),
            "error": narrow.error(product, [vector, np.ones_like(vector)]), "narrow_median": spread(halves)[0],
            "seconds_median": spread(spent)[0],
            "rate_median": spread(rates)[0], "read_median": spread(reads)[0], "triad_median": spread(triads)[0]}


def sheets(asked: Asked) -> dict[str, Sheet]:
    """All architectures on IMDB reviews."""
    reviews = tl.movie_reviews()
    memory = Memory()
    rows = []
    for size in asked.sizes or SIZES:
        tokens = tl.tokenize(reviews[:size])
        for architecture in ARCHITECTURES:
            asked.say(f"bandwidth: {size:,} reviews, {describe(architecture)}")
            product = KernelProduct(architecture.features(tokens))
            rows.append({"data": "IMDB", "texts": size, "architecture": describe(architecture),
                         **row_of(product, memory, asked.repeats)})
    return {"bandwidth": Sheet("Products with the kernel against the memory of the machine", rows, SHOWN, NOTES)}
