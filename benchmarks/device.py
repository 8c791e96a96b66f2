"""Products with the kernel, and learning, on a GPU and on the processor of the same machine.

Command: python -m benchmarks --only device [--device cuda] [--sizes 25000,200000]
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import tangentlens as tl
from benchmarks import machine
from benchmarks.asked import Asked
from benchmarks.paired import in_turns, seconds
from benchmarks.scale import reviews_file
from reproduce.sheet import Sheet, number, text, written
from tangentlens.kernels import Architecture, describe
from tangentlens.learning import KernelProduct
from tangentlens.learning.on_device import DeviceProduct

Array = NDArray[np.float64]
SIZES = (25_000,)
REAL = 25_000  # so many reviews are IMDB's; beyond, they are made up
ARCHITECTURES: tuple[Architecture, ...] = (tl.MLP(), tl.CNN(), tl.LinearRNN(max_order=3))
TIME = 1000.0
WIDTHS = (1, 8)
SAME = 1e-6  # relative, of dual coefficients
SHOWN = {
    "data": ("data", text), "texts": ("texts", number(",d")), "architecture": ("architecture", text),
    "stored": ("stored\ncounts", number(",d")), "ours": ("learn\nGPU s", written),
    "theirs": ("learn\nprocessor s", written), "ratio": ("times\nfaster", number(".2f")),
    "distance": ("distance\nof duals", number(".1e")),
}
PRODUCTS_SHOWN = {
    "texts": ("texts", number(",d")), "architecture": ("architecture", text), "width": ("columns", number("d")),
    "processor": ("processor\nms", number(".3g")), "gpu": ("GPU\nms", number(".3g")),
    "resident": ("GPU, vectors\nthere: ms", number(".3g")), "single": ("the same,\n32-bit: ms", number(".3g")),
    "error": ("error\n64-bit", number(".1e")), "single_error": ("error\n32-bit", number(".1e")),
}


def reviews(asked: Asked, size: int) -> tl.Texts:
    """IMDB reviews, or made-up ones where more are asked for."""
    if size > REAL:
        return tl.read_texts(reviews_file(Path(asked.work), size), text="text", label="label")
    return tl.movie_reviews()[np.sort(np.random.default_rng(0).permutation(REAL)[:size])]


def milliseconds(work: Callable[[], object], device: str) -> float:
    """Median of ten, after one."""
    def waited() -> None:
        work()
        if device.startswith("cuda"):
            torch.cuda.synchronize(device)

    waited()
    return 1e3 * statistics.median(seconds(waited) for _ in range(10))


def product_rows(features: tl.Features, about: dict[str, Any], device: str) -> list[dict[str, Any]]:
    """One product of one vector and of several, 64- and 32-bit."""
    plain, there = KernelProduct(features), DeviceProduct(features, device=device)
    single = [matrix.to(torch.float32) for matrix in (there.by_rows, there.by_columns)]
    rows = []
    for width in WIDTHS:
        vectors = np.random.default_rng(0).standard_normal((len(features), width))
        resident = torch.from_numpy(vectors).to(device)
        narrow = resident.to(torch.float32)
        expected = plain._shared(vectors)
        largest = float(np.abs(expected).max())

        def error(found: torch.Tensor, expected: Array = expected, largest: float = largest) -> float:
            return float(np.abs(found.cpu().numpy() - expected).max()) / largest

        rows.append(about | {
            "width": width, "processor": milliseconds(lambda vectors=vectors: plain._shared(vectors), "cpu"),
            "gpu": milliseconds(lambda vectors=vectors: there._shared(vectors), device),
            "resident": milliseconds(lambda v=resident: there.by_rows @ (there.by_columns @ v), device),
            "single": milliseconds(lambda v=narrow: single[0] @ (single[1] @ v), device),
            "error": error(torch.from_numpy(there._shared(vectors))),
            "single_error": error(single[0] @ (single[1] @ narrow))})
    return rows


def learning(features: tl.Features, labels: Any, repeats: int, device: str) -> dict[str, Any]:
    """There and here, in turns."""
    distance: list[float] = []

    def same(there: tl.Trajectory, here: tl.Trajectory) -> None:
        distance.append(float(np.linalg.norm(there.duals - here.duals) / np.linalg.norm(here.duals)))
        assert distance[-1] <= SAME, f"not the same learning: {distance}"

    paired = in_turns(lambda: tl.learn(features, labels, time=TIME, device=device),
                      lambda: tl.learn(features, labels, time=TIME), same, repeats)
    return {"distance": distance[0], "stored": KernelProduct(features).nnz, **paired.row()}


def sheets(asked: Asked) -> dict[str, Sheet]:
    """All sizes and architectures."""
    device = asked.device or "cuda"
    learned, products = [], []
    for size in asked.sizes or SIZES:
        texts = reviews(asked, size)
        tokens = tl.tokenize(texts)
        for architecture in ARCHITECTURES:
            asked.say(f"device: {size:,} reviews, {describe(architecture)}")
            features = architecture.features(tokens)
            about = {"texts": size, "architecture": describe(architecture)}
            products += product_rows(features, about, device)
            data = "IMDB" if size <= REAL else "made up"
            learned.append({"data": data, **about, **learning(features, texts.labels, asked.repeats, device)})
    place = f"{machine.device(device)} with PyTorch {torch.__version__}; processor: {machine.cores()} cores"
    return {"device": Sheet("Learning on a GPU and on the processor", learned, SHOWN, (
                f"{place}. tl.learn(features, y, time={TIME:g}, device={device!r}) against the same without device, "
                "float64, making the product and moving it there included. Median (least–largest) of runs in turns.",)),
            "device_products": Sheet("Products with the kernel", products, PRODUCTS_SHOWN, (
                "Z Zᵀ v. GPU: v goes there and the result comes back, as in learning; vectors there: without that. "
                "Median of ten. Errors: largest difference to the processor, by the largest entry.",))}
