"""The empirical NTK of any PyTorch module with a text front end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tangentlens.data.tokens import Tokens
from tangentlens.errors import OptionError

Array = NDArray[np.float64]
Call = Callable[[nn.Module, Tokens], Tensor]
MEMORY = 2**31  # bytes that a Jacobian may take


def empirical_ntk(module: nn.Module, tokens: Tokens, other: Tokens | None = None, *, call: Call | None = None,
                  memory: int = MEMORY, projection: int | None = None, seed: int = 0) -> Array:
    """Θ̂ = J J'ᵀ with J = ∂f/∂θ over all trained parameters, at their present values (theory, eq. 69).

    module: any; call(module, tokens) gives outputs (n, c), by default module(tokens). Returns (n, c, n', c').
    The Jacobian of the training side, n c × parameters, must fit into `memory` bytes (see `jacobian_bytes`); the other
    side goes through in blocks. projection: a random projection of the parameters to that many numbers (count sketch,
    seeded): unbiased, relative error of an entry about 1 / √projection. Raises OptionError where memory is too small.

    >>> import tangentlens as tl
    >>> tokens = tl.Tokens.from_ids([[0, 1], [1, 1]])
    >>> network = tl.networks.build(tl.MLP(), vocabulary_size=2, width=256)
    >>> bool(np.allclose(empirical_ntk(network, tokens)[:, 0, :, 0], tl.MLP().kernel(tokens), rtol=0.3))
    True
    """
    run = call or (lambda network, texts: network(texts))
    chosen = [p for p in module.parameters() if p.requires_grad]
    outputs = _outputs(module, tokens, run)
    needed = jacobian_bytes(module, len(tokens) * outputs, projection=projection)
    if needed > memory:
        raise OptionError(f"the Jacobian of {len(tokens)} texts with {outputs} outputs takes {needed / 2**30:.1f} GiB, "
                          f"more than {memory / 2**30:.1f} GiB; give fewer texts, projection=65536, or more memory=")
    sketch = None if projection is None else _Sketch(chosen, projection, seed)
    left = _jacobian(module, tokens, run, chosen, sketch, outputs)
    if other is None:
        blocks = [left @ left.T]
    else:
        size = max(1, memory // 4 // max(1, needed // max(1, len(tokens))))
        blocks = [left @ _jacobian(module, other[low:low + size], run, chosen, sketch, outputs).T
                  for low in range(0, len(other), size)]
    kernel = np.concatenate([np.zeros((len(left), 0)), *(block.to("cpu", torch.float64).numpy() for block in blocks)],
                            axis=1)
    return kernel.reshape(len(tokens), outputs, kernel.shape[1] // outputs, outputs)


def jacobian_bytes(module: nn.Module, rows: int, *, projection: int | None = None) -> int:
    """Memory of the Jacobian of `rows` outputs (texts × outputs): rows × parameters (or projection) × item size."""
    chosen = [p for p in module.parameters() if p.requires_grad]
    width = sum(p.numel() for p in chosen) if projection is None else projection
    return rows * width * max((p.element_size() for p in chosen), default=4)


def drift(start: Array, end: Array) -> float:
    """‖Θ_t − Θ_0‖ / ‖Θ_0‖ (Frobenius): how far a kernel has moved, 0 in the infinite limit."""
    return float(np.linalg.norm(end - start) / np.linalg.norm(start))


class _Sketch:
    """A count sketch: every parameter goes to one of `size` places with a random sign."""

    def __init__(self, parameters: list[nn.Parameter], size: int, seed: int) -> None:
        if size < 1:
            raise OptionError(f"projection must be at least 1, not {size}")
        generator = torch.Generator().manual_seed(seed)
        self.size = size
        self.places = [torch.randint(size, (p.numel(),), generator=generator).to(p.device) for p in parameters]
        self.signs = [(torch.randint(2, (p.numel(),), generator=generator) * 2 - 1).to(p) for p in parameters]

    def __call__(self, gradients: list[Tensor]) -> Tensor:
        """(rows, parameters) in parts to (rows, size)."""
        result = gradients[0].new_zeros(len(gradients[0]), self.size)
        for gradient, place, sign in zip(gradients, self.places, self.signs, strict=True):
            result.index_add_(1, place, gradient * sign)
        return result


def _outputs(module: nn.Module, tokens: Tokens, run: Call) -> int:
    with torch.no_grad():
        return int(run(module, tokens[:1]).shape[1])


@torch.enable_grad()
def _jacobian(module: nn.Module, tokens: Tokens, run: Call, parameters: list[nn.Parameter], sketch: _Sketch | None,
              outputs: int) -> Tensor:
    """∂f/∂θ, text by text; (texts · c, parameters or projection)."""
    columns = sum(p.numel() for p in parameters) if sketch is None else sketch.size
    widest = max(parameters, key=lambda p: p.element_size(), default=torch.zeros(0))
    result = torch.zeros(len(tokens) * outputs, columns, dtype=widest.dtype, device=widest.device)
    for text in range(len(tokens)):
        for place, output in enumerate(run(module, tokens[text]).reshape(-1)):
            if output.requires_grad:
                result[text * outputs + place] = _gradient(output, parameters, sketch)
    return result


def _gradient(output: Tensor, parameters: list[nn.Parameter], sketch: _Sketch | None) -> Tensor:
    found: Any = torch.autograd.grad(output, parameters, retain_graph=True, allow_unused=True)
    rows = [(torch.zeros_like(p) if g is None else g).reshape(1, -1) for p, g in zip(parameters, found, strict=True)]
    return (torch.cat(rows, dim=1) if sketch is None else sketch(rows))[0]
