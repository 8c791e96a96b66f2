"""How a cost grows with n: a power law fitted to logarithms. Part of: python -m benchmarks"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class PowerLaw:
    """cost = factor · n^slope, by least squares in the logarithms."""

    factor: float
    slope: float

    @classmethod
    def fit(cls, sizes: Sequence[float], costs: Sequence[float]) -> PowerLaw:
        """From two sizes on.

        >>> law = PowerLaw.fit([10, 100, 1000], [1, 100, 10_000])
        >>> round(law.slope, 6), round(law.at(10_000))
        (2.0, 1000000)
        """
        if len(set(sizes)) < 2:
            raise ValueError("a power law needs two sizes or more")
        slope, constant = np.polyfit(np.log(sizes), np.log(costs), 1)
        return cls(float(np.exp(constant)), float(slope))

    def at(self, size: float) -> float:
        """The cost at a size."""
        return self.factor * size**self.slope
