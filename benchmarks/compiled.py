"""The same product with the kernel by a few lines of C, where there is a compiler: what compiled code would gain.

Part of: python -m benchmarks --only bandwidth
"""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tangentlens.data.threads import parallel
from tangentlens.learning import KernelProduct

Array = NDArray[np.float64]
SOURCE = Path(__file__).with_name("compiled.c")
OPTIONS = "-O3", "-march=native"


@cache
def library() -> ctypes.CDLL | None:
    """The compiled code; None without a compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "compiled.so"
        subprocess.run([compiler, *OPTIONS, "-shared", "-fPIC", "-o", made, SOURCE], check=True)
        return ctypes.CDLL(str(made))


class Compiled:
    """Θ v for the lanes of a product; name: whether the matrix is read "once" or "twice". The library does not use it.
    """

    def __init__(self, product: KernelProduct, name: str) -> None:
        code = library()
        assert code is not None, "there is no compiler"
        assert all(lane.indices.dtype == lane.indptr.dtype == np.int32 for lane in product.lanes)
        self.product, self.work = product, getattr(code, name)

    def __matmul__(self, vector: Array) -> Array:
        def through(lane: sparse.csr_array) -> Array:
            u, out = np.empty(lane.shape[0]), np.zeros(len(vector))
            self.work(ctypes.c_int64(lane.shape[0]), *map(_pointer, (lane.indptr, lane.indices, lane.data, vector, u,
                                                                     out)))
            return out

        return np.asarray(np.add.reduce([self.product.own * vector, *parallel(through, self.product.lanes)]))


def _pointer(array: NDArray[Any]) -> ctypes.c_void_p:
    assert array.flags.c_contiguous
    return array.ctypes.data_as(ctypes.c_void_p)
