"""Kernel and learning on the same texts and network: neural-tangents, in an environment of its own, and this package.

Command: python -m benchmarks --only neural_tangents [--sizes 250,500,1000] [--environment FOLDER]
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import tangentlens as tl
from benchmarks.asked import Asked
from benchmarks.growth import PowerLaw
from benchmarks.paired import Paired, seconds
from reproduce.sheet import Row, Sheet, number, text, written
from tangentlens.kernels import Architecture, describe

Array = NDArray[np.float64]
PINS = ("jax==0.4.25", "jaxlib==0.4.25", "numpy==1.26.4", "scipy==1.12.0", "ml_dtypes==0.5.1", "frozendict==2.4.7")
PEER = "neural-tangents==0.6.5"
WORKER = Path(__file__).with_name("neural_tangents_worker.py")
SIZES, WHOLE = (250, 500, 1000), 6920
CHECKED = 8  # texts whose kernel is also taken from one-hot inputs
THEIRS = 1e-3  # tolerance of their integrator; its own 1.4e-8 is beyond float32, and 5e-3 errs by more than AGREE
EQUAL, AGREE = 1e-5, 5e-3  # relative: kernels, the largest difference; outputs after learning, by the L2 norm
FINISHED = 0.5  # learning ends where the logistic training loss has fallen to this part of log 2
ARCHITECTURES: tuple[tuple[Architecture, dict[str, Any]], ...] = (
    (tl.MLP(), {"kernel_size": 1, "padding": "same", "pooling": "mean"}),
    (tl.CNN(), {"kernel_size": 3, "padding": "same", "pooling": "mean"}),
)
LOSSES = ("squared", "logistic")
SHOWN = {
    "architecture": ("network", text), "loss": ("loss", text), "texts": ("n", number(",d")),
    "time": ("time t", number(".3g")), "ours": ("tangentlens\ns", written), "theirs": ("neural-tangents\ns", written),
    "their_kernel": ("of which\nkernel", number(".3g")), "ratio": ("times\nfaster", number(",.0f")),
    "kernel_error": ("kernels\ndiffer by", number(".1e")), "output_error": ("outputs\ndiffer by", number(".1e")),
}
GROWTH_SHOWN = {
    "architecture": ("network", text), "loss": ("loss", text), "our_slope": ("tangentlens:\nslope", number(".2f")),
    "their_slope": ("neural-tangents:\nslope", number(".2f")), "texts": ("n", number(",d")),
    "ours_fit": ("tangentlens\ns, by fit", number(".3g")), "ours": ("tangentlens\ns, measured", number(".3g")),
    "theirs_fit": ("neural-tangents\ns, by fit", number(",.0f")),
    "ratio": ("times faster,\nboth by fit", number(",.0f")),
    "ratio_measured": ("times faster,\nours measured", number(",.0f")),
}
NOTES = (
    "Random SST sentences. From token ids to outputs on the training texts at the time when the logistic training loss "
    f"is {FINISHED:g} log 2. Ours, float64: architecture.features(tokens), then tl.learn(…, time=t, record=[], "
    f"tolerance={AGREE:g}). Theirs, {PEER}, float32: the exact kernel on both cores, then "
    "predict.gradient_descent_mse (closed form) or predict.gradient_descent (its integrator; its tolerance is raised "
    f"to {THEIRS:g}, the largest power of ten by which it errs by less than ours may). "
    "It is given every help that keeps its kernel exact: texts sorted by length in blocks padded to their longest, one "
    "half of the symmetric matrix, and no one-hot inputs, since its layers take the covariance of the tokens; that "
    f"this is its kernel is asserted on {CHECKED} texts, against masked one-hot inputs.",
    f"Asserted: kernels equal to {EQUAL:g} of the largest entry, outputs to {AGREE:g}. Compiled before, with the same "
    "shapes. Median (least–largest) of runs in turns in two processes, each waiting for the other; ratio: median over "
    "pairs.",
)


def environment(folder: Path) -> Path:
    """The interpreter of the peer's virtual environment; made and filled if it is not there. TensorFlow, which only
    its subpackage for networks of TensorFlow needs, is left out.
    """
    python = folder / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
        install = [str(python), "-m", "pip", "install", "--quiet"]
        subprocess.run([*install, *PINS], check=True)
        subprocess.run([*install, "--no-deps", PEER], check=True)
    return python


class Peer:
    """The worker: one line of JSON there, one line back."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def ask(self, **asked: Any) -> dict[str, Any]:
        """Waits for the answer."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(asked) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the process of neural-tangents ended with status {self.process.wait()}")
        return dict(json.loads(line))


@contextmanager
def started(python: Path) -> Iterator[Peer]:
    """A worker that ends with the block."""
    # -P: this file has the peer's name, and must not be found for it
    command = [str(python), "-P", str(WORKER), str(THEIRS)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield Peer(process)
        assert process.stdin is not None
        process.stdin.close()


def sample(data: Path, size: int) -> tuple[tl.Tokens, NDArray[np.int64]]:
    """Random training sentences of SST and labels ±1."""
    texts = tl.read_texts(data / "train.csv")
    chosen = texts[np.sort(np.random.default_rng(0).permutation(len(texts))[:size])]
    return tl.tokenize(chosen, tokenizer="whitespace"), np.where(chosen.labels == texts.classes[-1], 1, -1)


def write(path: Path, tokens: tl.Tokens, y: NDArray[np.int64]) -> str:
    """Texts for the worker."""
    np.savez(path, ids=tokens.ids, offsets=tokens.offsets, y=y)
    return str(path)


def time_of(features: tl.Features, y: NDArray[np.int64]) -> float:
    """When the logistic loss has fallen to the wanted part."""
    return float(tl.learn(features, y, until_loss=FINISHED * float(np.log(2))).steps[-1])


def learn(architecture: Architecture, tokens: tl.Tokens, y: NDArray[np.int64], loss: str, time: float) -> tl.Trajectory:
    """Our side: features and learning."""
    return tl.learn(architecture.features(tokens), y, loss, time=time, record=[], tolerance=AGREE)


def compared(peer: Peer, folder: Path, architecture: Architecture, about: dict[str, Any], asked: Asked, size: int
             ) -> list[dict[str, Any]]:
    """A row for either loss."""
    tokens, y = sample(asked.data, size)
    end = time_of(architecture.features(tokens), y)
    files = {"texts": write(folder / "texts.npz", tokens, y), "network": about, "times": dict.fromkeys(LOSSES, end)}
    result = folder / "result.npz"
    peer.ask(**files, output=str(result))
    errors = check(architecture, tokens, y, end, result)
    ours: dict[str, list[float]] = {loss: [] for loss in LOSSES}
    theirs: list[dict[str, float]] = []
    for loss in LOSSES:
        learn(architecture, tokens, y, loss, end)
    for _ in range(asked.repeats):
        for loss in LOSSES:
            ours[loss].append(seconds(lambda loss=loss: learn(architecture, tokens, y, loss, end)))
        theirs.append(peer.ask(**files)["seconds"])
    kernels = float(np.median([one["kernel"] for one in theirs]))
    return [{"architecture": describe(architecture), "loss": loss, "texts": len(tokens), "time": end,
             **Paired(tuple(ours[loss]), tuple(one["kernel"] + one[loss] for one in theirs)).row(),
             "their_kernel": kernels, "kernel_error": errors["kernel"], "output_error": errors[loss]}
            for loss in LOSSES]


def check(architecture: Architecture, tokens: tl.Tokens, y: NDArray[np.int64], end: float, result: Path
          ) -> dict[str, float]:
    """Relative differences of kernel and outputs; raises AssertionError if they are not small."""
    with np.load(result, allow_pickle=False) as theirs:
        features = architecture.features(tokens)
        theta = features.kernel()
        errors = {"kernel": float(np.abs(theta - theirs["kernel"]).max() / np.abs(theta).max())}
        for loss in LOSSES:
            outputs = theta @ learn(architecture, tokens, y, loss, end).duals[-1][:, 0]
            errors[loss] = float(np.linalg.norm(outputs - theirs[loss]) / np.linalg.norm(outputs))
    assert errors["kernel"] <= EQUAL, f"kernels differ by {errors['kernel']}"
    assert max(errors[loss] for loss in LOSSES) <= AGREE, f"outputs differ: {errors}"
    return errors


def check_one_hot(peer: Peer, folder: Path, architecture: Architecture, about: dict[str, Any], data: Path) -> None:
    """Asserts that the worker's kernel is that of one-hot inputs, on a few texts."""
    tokens, y = sample(data, CHECKED)
    result = folder / "one_hot.npz"
    peer.ask(texts=write(folder / "few.npz", tokens, y), network=about, one_hot=True, output=str(result))
    theta = architecture.features(tokens).kernel()
    with np.load(result, allow_pickle=False) as theirs:
        error = float(np.abs(theta - theirs["kernel"]).max() / np.abs(theta).max())
    assert error <= EQUAL, f"the kernel of one-hot inputs differs by {error}"


def growth(rows: list[dict[str, Any]], asked: Asked) -> list[Row]:
    """Power laws of both sides, and what they say of the whole data set, where ours is measured too."""
    found: list[Row] = []
    for architecture, _ in ARCHITECTURES:
        tokens, y = sample(asked.data, WHOLE)
        end = time_of(architecture.features(tokens), y)
        for loss in LOSSES:
            mine = [row for row in rows if (row["architecture"], row["loss"]) == (describe(architecture), loss)]
            sizes = [row["texts"] for row in mine]
            learn(architecture, tokens, y, loss, end)
            spent = float(np.median([seconds(lambda a=architecture, t=tokens, y=y, loss=loss, end=end:
                                             learn(a, t, y, loss, end)) for _ in range(asked.repeats)]))
            theirs = PowerLaw.fit(sizes, [row["theirs_median"] for row in mine])
            ours = PowerLaw.fit([*sizes, len(tokens)], [*(row["ours_median"] for row in mine), spent])
            later = theirs.at(len(tokens))
            found.append({"architecture": describe(architecture), "loss": loss, "our_slope": ours.slope,
                          "their_slope": theirs.slope, "texts": len(tokens), "ours_fit": ours.at(len(tokens)),
                          "ours": spent, "theirs_fit": later, "ratio": later / ours.at(len(tokens)),
                          "ratio_measured": later / spent})
    return found


def sheets(asked: Asked) -> dict[str, Sheet]:
    """Both networks and losses at every size, and the growth."""
    rows: list[dict[str, Any]] = []
    sizes = asked.sizes or SIZES
    with started(environment(asked.environment)) as peer, tempfile.TemporaryDirectory() as folder:
        for architecture, about in ARCHITECTURES:
            check_one_hot(peer, Path(folder), architecture, about, asked.data)
            for size in sizes:
                asked.say(f"neural_tangents: {describe(architecture)}, {size:,} texts")
                rows += compared(peer, Path(folder), architecture, about, asked, size)
    made = {"neural_tangents": Sheet("Kernel and learning: neural-tangents", rows, SHOWN, NOTES)}
    if len(set(sizes)) > 1:
        note = "Least squares in the logarithms of the medians above; ours is run at this n too, theirs is not."
        made["neural_tangents_growth"] = Sheet("The same by a power law in n", growth(rows, asked), GROWTH_SHOWN,
                                               (note,))
    return made
