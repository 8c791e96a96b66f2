"""Products with the kernel on a GPU, through PyTorch (extra: torch); everything else of learning stays where it is."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from tangentlens.errors import OptionError
from tangentlens.features.family import Features
from tangentlens.learning.product import KernelProduct

Array = NDArray[np.float64]


class DeviceProduct(KernelProduct):
    """Θ a as KernelProduct, float64, with Z and Zᵀ on a PyTorch device: 24 bytes there for each stored count.

    Sums are added in another order than on the CPU: results agree to about 1e-14 of their largest, and those of a GPU
    may differ in the last digits from run to run.
    """

    textwise = False

    def __init__(self, features: Features, extra: Features | None = None, *, device: str = "cuda") -> None:
        super().__init__(features, extra)
        self.device = found_device(device)
        columns = sparse.csr_array(sparse.vstack(self.lanes)) if self.lanes else sparse.csr_array((0, self.rows))
        self.stored = columns.nnz
        self.by_columns, self.by_rows = self._there(columns), self._there(sparse.csr_array(columns.T))
        self.lacking  # noqa: B018  is looked for while there are lanes, and then known
        self.lanes = []

    @property
    def nnz(self) -> int:
        """Stored counts in Z."""
        return self.stored

    def _there(self, matrix: sparse.csr_array) -> Any:
        import torch

        starts, indices = (torch.from_numpy(part.astype(np.int64)) for part in (matrix.indptr, matrix.indices))
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Sparse CSR tensor support")  # "in beta state"
            made = torch.sparse_csr_tensor(starts, indices, torch.from_numpy(matrix.data), size=matrix.shape,
                                           check_invariants=False)
        return made.to(self.device)

    def _shared(self, vectors: Array) -> Array:
        import torch

        there = torch.from_numpy(np.ascontiguousarray(vectors, np.float64).reshape(self.rows, -1)).to(self.device)
        f: Array = (self.by_rows @ (self.by_columns @ there)).cpu().numpy()
        return f.reshape(vectors.shape)


def found_device(name: str) -> Any:
    """The PyTorch device of this name. Raises OptionError where there is none."""
    try:
        import torch
    except ImportError as error:
        raise OptionError(f'device="{name}" needs PyTorch: pip install "tangentlens[torch]"') from error
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).strip().splitlines()[0].rstrip(".")
        raise OptionError(f'there is no device "{name}" here ({reason}); leave device= out to use the processor'
                          ) from error
    return device
