"""neural-tangents' side of a comparison, in an environment of its own: exact kernels and learning, timed from inside.

Command: ENVIRONMENT/bin/python benchmarks/neural_tangents_worker.py TOLERANCE (of its integrator), started by
python -m benchmarks --only neural_tangents. Asked by lines of JSON on standard input, answers by lines of JSON; arrays
go through .npz files.

It is given every help that keeps its kernel exact: both cores, texts sorted by length so that blocks are padded little,
only one half of the symmetric matrix, and no one-hot inputs: its layers take the covariance of the tokens, [t = t'].
"""

from __future__ import annotations

import json
import os
import sys
import time
import types
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import ode

# Its subpackage `experimental` (networks of TensorFlow) is all that needs TensorFlow, and is not needed here.
sys.modules["neural_tangents.experimental"] = types.ModuleType("neural_tangents.experimental")
import neural_tangents as nt  # noqa: E402
from neural_tangents import stax  # noqa: E402
from neural_tangents._src import predict as flows  # noqa: E402

BLOCK = 8  # texts on either side of a block
STEP = 4  # blocks are padded to whole multiples of so many tokens: fewer shapes to compile
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def network(about: dict[str, Any]) -> Any:
    """The kernel function of embedding, dense layer or convolution, ReLU, pooling, readout."""
    pool = stax.GlobalAvgPool() if about["pooling"] == "mean" else stax.GlobalSumPool()
    size = about["kernel_size"]
    hidden = stax.Dense(1) if size == 1 else stax.Conv(1, (size,), padding=about["padding"].upper())
    return stax.serial(stax.Dense(1), hidden, stax.Relu(), pool, stax.Dense(1))[2]


def covariance(one: jax.Array, other: jax.Array) -> nt.Kernel:
    """The kernel of the inputs: equal tokens have covariance 1, different ones 0; −1 is padding, and masked."""
    def equal(left: jax.Array, right: jax.Array) -> jax.Array:
        same = (left[..., :, None] == right[..., None, :]) & (left[..., :, None] >= 0)
        return same.astype(jnp.zeros(()).dtype)

    cross = equal(one[:, None], other[None])
    return nt.Kernel(
        nngp=cross, ntk=jnp.zeros((), cross.dtype), cov1=equal(one, one), cov2=equal(other, other),
        x1_is_x2=jnp.zeros((), bool), is_gaussian=False, is_reversed=False, is_input=False, diagonal_batch=True,
        diagonal_spatial=False, shape1=(*one.shape, 1), shape2=(*other.shape, 1), batch_axis=0, channel_axis=2,
        mask1=(one < 0)[..., None], mask2=(other < 0)[..., None])


@cache
def compiled(about: str) -> Any:
    """A block of the tangent kernel from token ids (b, L) and (b', L')."""
    kernel = network(json.loads(about))
    return jax.jit(lambda one, other: kernel(covariance(one, other), pattern=None).ntk)


def one_hot_kernel(ids: list[np.ndarray], about: dict[str, Any]) -> np.ndarray:
    """The kernel as its documentation has it, from masked one-hot inputs; for few and short texts."""
    longest, types_ = max(map(len, ids)), 1 + max(int(row.max()) for row in ids)
    inputs = np.full((len(ids), longest, types_), -7.0)
    for row, tokens in enumerate(ids):
        inputs[row, :len(tokens)] = np.eye(types_)[tokens] * types_**0.5
    return np.asarray(network(about)(jnp.asarray(inputs), None, "ntk", mask_constant=-7.0))


def blocks_of(ids: list[np.ndarray]) -> tuple[np.ndarray, list[np.ndarray]]:
    """The order by length, and blocks (BLOCK, L) of padded ids in it; the last one repeats its last text."""
    order = np.argsort([len(row) for row in ids], kind="stable")
    blocks = []
    for low in range(0, len(order), BLOCK):
        chosen = [ids[row] for row in order[low:low + BLOCK]]
        chosen += [chosen[-1]] * (BLOCK - len(chosen))
        block = np.full((BLOCK, -(-max(map(len, chosen)) // STEP) * STEP), -1, np.int32)
        for row, tokens in enumerate(chosen):
            block[row, :len(tokens)] = tokens
        blocks.append(block)
    return order, blocks


def kernel(ids: list[np.ndarray], about: dict[str, Any]) -> np.ndarray:
    """The tangent kernel of all texts, (n, n)."""
    block = compiled(json.dumps(about))
    order, blocks = blocks_of(ids)
    total = np.empty((len(blocks) * BLOCK, len(blocks) * BLOCK), np.float32)

    def fill(pair: tuple[int, int]) -> None:
        i, j = pair
        value = np.asarray(block(blocks[i], blocks[j]))
        total[i * BLOCK:(i + 1) * BLOCK, j * BLOCK:(j + 1) * BLOCK] = value
        total[j * BLOCK:(j + 1) * BLOCK, i * BLOCK:(i + 1) * BLOCK] = value.T

    with ThreadPoolExecutor(CORES) as pool:
        list(pool.map(fill, [(i, j) for i in range(len(blocks)) for j in range(i, len(blocks))]))
    result = np.empty((len(ids), len(ids)), np.float32)
    result[np.ix_(order, order)] = total[:len(ids), :len(ids)]
    return result


def learned(theta: np.ndarray, y: np.ndarray, loss: str, end: float) -> np.ndarray:
    """Outputs on the training texts after gradient flow to a time, from zero; (n,). y = ±1."""
    matrix, targets = jnp.asarray(theta), jnp.asarray(y[:, None], theta.dtype)
    if loss == "squared":
        return np.asarray(nt.predict.gradient_descent_mse(matrix, targets)(end, 0.0))[:, 0]
    return np.asarray(logistic(matrix, targets, end))[:, 0]


@jax.jit
def logistic(matrix: jax.Array, targets: jax.Array, end: float) -> jax.Array:
    """The integrator, compiled once for a number of texts."""
    return nt.predict.gradient_descent(lambda f, y: jnp.mean(jnp.logaddexp(0, -y * f)), matrix, targets)(end, 0.0)


def timed(function: Any, *arguments: Any) -> tuple[Any, float]:
    """A result and the seconds it took."""
    began = time.perf_counter()
    result = function(*arguments)
    return result, time.perf_counter() - began


def answer(asked: dict[str, Any]) -> dict[str, Any]:
    """Computes what a line asks for: the kernel of texts in a file and what is learned with it by each loss."""
    with np.load(asked["texts"], allow_pickle=False) as file:
        ids, y = np.split(file["ids"], file["offsets"][1:-1]), file["y"]
    if asked.get("one_hot"):
        np.savez(asked["output"], kernel=one_hot_kernel(ids, asked["network"]))
        return {}
    theta, seconds = timed(kernel, ids, asked["network"])
    spent, results = {"kernel": seconds}, {"kernel": theta}
    for loss, end in asked["times"].items():
        results[loss], spent[loss] = timed(learned, theta, y, loss, end)
    if asked.get("output"):
        np.savez(asked["output"], **results)
    return {"seconds": spent}


def main() -> None:
    """Answers one line at a time."""
    tolerance = float(sys.argv[1])
    flows.ode = types.SimpleNamespace(odeint=partial(ode.odeint, rtol=tolerance, atol=tolerance))
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
