"""What the command line asks of a benchmark. Part of: python -m benchmarks"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Asked:
    """data: folder of SST's csv files; repeats: of every measurement; sizes: numbers of texts, empty for each
    benchmark's own; architectures: names, empty for its own; environment: a virtual environment of neural-tangents;
    work: a folder for large files; device: of PyTorch, empty for each benchmark's own.
    """

    data: Path = Path("../shared/data/sst")
    repeats: int = 5
    sizes: tuple[int, ...] = ()
    architectures: tuple[str, ...] = ()
    environment: Path = Path("benchmarks/.cache/neural-tangents")
    work: Path = Path("benchmarks/.cache")
    device: str = ""

    def say(self, line: str) -> None:
        """Progress, on standard error."""
        print(line, file=sys.stderr, flush=True)
