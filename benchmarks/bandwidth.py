"""How near products with the kernel come to the memory bandwidth of the machine, measured in the same run.

Command: python -m benchmarks --only bandwidth [--sizes 25000,300000] [--work FOLDER]
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
from benchmarks.compiled import OPTIONS, Compiled, library
from benchmarks.paired import seconds
from benchmarks.processes import spread
from benchmarks.scale import reviews_file
from reproduce.sheet import Sheet, number, text, written
from tangentlens.data.threads import parallel
from tangentlens.kernels import Architecture, describe
from tangentlens.learning import KernelProduct

Array = NDArray[np.float64]
SIZES = 25_000, 300_000  # of these, more than there are film reviews are made up
ARCHITECTURES: tuple[Architecture, ...] = (tl.MLP(), tl.CNN(), tl.LinearRNN(max_order=3))
BYTES = 2**30  # of every array that is streamed
PIECE = 2**15  # doubles of a piece of the triad that stays in the cache between its two passes
SHOWN = {
    "data": ("data", text), "texts": ("texts", number(",d")), "architecture": ("architecture", text),
    "by": ("stored by", text), "stored": ("stored MB", number(",.0f")), "milliseconds": ("one product\nms", written),
    "rate": ("product\nGB/s", written), "read": ("memory, read\nGB/s", written),
    "triad": ("memory, triad\nGB/s", written), "share": ("share of\nthe read", number(".2f")),
    "twice": ("in C\nms", written), "twice_share": ("its share\nof the read", number(".2f")),
    "once": ("in C, read once\nms", written), "narrow": ("in 32 bits\nms", written),
    "error": ("its relative\nerror", number(".0e")),
}
NOTES = (
    "One product: KernelProduct @ vector, the map and its transpose, float64. stored MB: values, indices and row "
    "pointers of the sparse matrices, twice, as they are read; vectors are not counted. memory, read: the faster of a "
    f"dot product of an array with itself and a sum, {BYTES / 2**30:g} GiB, cut among all cores; triad: a = b + 3 c on "
    "three such arrays, in pieces, three arrays counted. Medians (least–largest) of product and memory in turns; "
    "share: the median over pairs. Matrices smaller than the last cache may be read from there. In C: the same two "
    f"passes over the same arrays, compiled by cc {' '.join(OPTIONS)}, and both in one, if there is a compiler. In 32 "
    "bits: the same sparse matrices and vectors in float32; its error is the larger one of a vector of ones and a "
    "random one. The library uses neither. Maps of many texts with few features are stored by texts, without "
    "alternatives here; those texts are made by python -m benchmarks.resampling.",
)


def stored_bytes(product: KernelProduct) -> int:
    """Bytes of the sparse matrix that one product reads, twice: for Zᵀ a and for Z u."""
    matrices = [*product.lanes, *(counts for run in product.runs for counts in run.counts)]
    return 2 * sum(part.nbytes for one in matrices for part in (one.data, one.indices, one.indptr))


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


def alternatives(product: KernelProduct, vector: Array) -> tuple[dict[str, Callable[[], Array]], float | None]:
    """What else the product of a map stored by columns could be, and the error in 32 bits."""
    if product.runs:
        return {}, None
    expected, narrow, single = product @ vector, Narrow(product), vector.astype(np.float32)
    ways: dict[str, Callable[[], Array]] = {"narrow": lambda: narrow @ single}
    for name in ("twice", "once") if library() else ():
        compiled = Compiled(product, name)
        ways[name] = lambda compiled=compiled: compiled @ vector
        np.testing.assert_allclose(compiled @ vector, expected, rtol=1e-9, atol=1e-9)
    return ways, narrow.error(product, [vector, np.ones_like(vector)])


def row_of(product: KernelProduct, memory: Memory, repeats: int) -> dict[str, Any]:
    """Product, read and triad in turns; a timing of a product is the median of ten."""
    vector = np.random.default_rng(0).standard_normal(len(product.features))
    others, error = alternatives(product, vector)
    ways: dict[str, Callable[[], Array]] = {"seconds": lambda: product @ vector} | others
    ways["seconds"]()
    memory.read()
    stored, spent, reads, triads = stored_bytes(product), {name: list[float]() for name in ways}, [], []
    for _ in range(repeats):
        for name, way in ways.items():
            spent[name].append(statistics.median(seconds(way) for _ in range(10)))
        reads.append(memory.read() / 1e9)
        triads.append(memory.triad() / 1e9)
    rates = {name: [stored / one / 1e9 for one in found] for name, found in spent.items()}
    shares = {name: statistics.median(rate / read for rate, read in zip(found, reads, strict=True))
              for name, found in rates.items()}
    shown = {name: ranged(spread([1e3 * one for one in found]), ".3g") for name, found in spent.items()}
    found = spent | {"rate": rates["seconds"], "read": reads, "triad": triads}
    medians = {f"{name}_median": spread(one)[0] for name, one in found.items()}
    return {"stored": stored / 1e6, "milliseconds": shown.pop("seconds"),
            "rate": ranged(spread(rates["seconds"]), ".1f"), "read": ranged(spread(reads), ".1f"),
            "triad": ranged(spread(triads), ".1f"), "share": shares["seconds"], "twice_share": shares.get("twice"),
            "error": error, **dict.fromkeys(("twice", "once", "narrow")), **shown, **medians}


def sheets(asked: Asked) -> dict[str, Sheet]:
    """All architectures on IMDB reviews."""
    reviews = tl.movie_reviews()
    memory = Memory()
    rows = []
    for size in asked.sizes or SIZES:
        real = size <= len(reviews)
        tokens = tl.tokenize(reviews[:size] if real else tl.read_texts(reviews_file(asked.work, size)))
        for architecture in ARCHITECTURES if real else ARCHITECTURES[:1]:
            asked.say(f"bandwidth: {size:,} reviews, {describe(architecture)}")
            product = KernelProduct(architecture.features(tokens))
            rows.append({"data": "IMDB" if real else "made up of IMDB", "texts": size,
                         "architecture": describe(architecture), "by": "texts" if product.runs else "columns",
                         **row_of(product, memory, asked.repeats)})
    return {"bandwidth": Sheet("Products with the kernel against the memory of the machine", rows, SHOWN, NOTES)}
