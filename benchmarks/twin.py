"""The prediction against a network of width 512 that is trained to the same time, as fast as PyTorch can.

Command: python -m benchmarks --only twin [--sizes 6920] [--device cuda]: the network's device; the prediction stays on
the processor.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import tangentlens as tl
from benchmarks import machine
from benchmarks.asked import Asked
from benchmarks.paired import Paired, seconds
from benchmarks.twin_by_hand import Batch, MLPByHand, Setting
from reproduce.sheet import Row, Sheet, number, text, written
from tangentlens.learning import KernelProduct, critical_learning_rate, start

Array = NDArray[np.float64]
WIDTH = 512
SIZES = (6920,)
SMALLEST = 500  # steps, at least, of the training that the others must agree with
SETTINGS = tuple(Setting(batch, momentum, part) for batch in (None, 1024, 256, 64) for momentum in (0.0, 0.9)
                 for part in (0.9, 0.45, 0.2))
SAME = 0.1  # relative L2 distance of outputs to the reference that a faster setting may have
ALIKE = 0.9  # least correlation of outputs, predicted and trained
PROBED = 10  # steps by which a setting's seconds are foretold …
UNSURE = 1.5  # … so roughly that those are tried that are to take up to so many times as long as the fastest that fits
TOLERANCES = 1e-3, 0.03, SAME, 2.5 * SAME  # of the prediction: the default, …, what the network is allowed, …
# … and more, of which it uses so little that it is still nearer to the exact outputs than the network: asserted
EXACT = 1e-7  # tolerance of the prediction that the error of others is taken against
SHOWN = {
    "texts": ("texts", number(",d")), "time": ("time t", number(".3g")), "tolerance": ("tolerance", number("g")),
    "error": ("error of the\nprediction", number(".1e")), "ours": ("tangentlens\ns", written),
    "setting": ("setting", text), "steps": ("steps", number(",d")), "theirs": ("PyTorch\ns", written),
    "ratio": ("times\nfaster", number(",.3g")), "distance": ("distance to\nsmall steps", number(".3f")),
    "correlation": ("correlation with\nthe prediction", number(".3f")),
}
TRIED_SHOWN = {
    "texts": ("texts", number(",d")), "setting": ("setting", text), "steps": ("steps", number(",d")),
    "foretold": ("seconds,\nforetold", number(",.1f")), "seconds": ("seconds,\nmeasured", number(",.1f")),
    "distance": ("distance to\nsmall steps", number(".3f")), "state": ("state", text),
}


class Case:
    """SST, the time of the least validation loss, and the critical learning rate of full batches."""

    def __init__(self, asked: Asked, size: int) -> None:
        train, dev = (tl.read_texts(asked.data / f"{name}.csv") for name in ("train", "dev"))
        texts = train[np.sort(np.random.default_rng(0).permutation(len(train))[:size])]
        self.tokens, self.labels = tl.tokenize(texts, tokenizer="whitespace"), texts.labels
        features = tl.MLP().features(self.tokens)
        others = tl.tokenize(dev, vocabulary=self.tokens.vocabulary)
        validation = (tl.MLP().features(others, columns=features), dev.labels)
        found = tl.learn(features, self.labels, time="best", validation=validation)
        self.end = float(found.steps[found.best])
        targets = start(features, self.labels, None, None).targets
        self.critical = critical_learning_rate(KernelProduct(features), targets)
        self.device = asked.device or "cpu"
        self.y = torch.as_tensor(np.where(texts.labels == train.classes[-1], 1.0, -1.0), dtype=torch.float32,
                                 device=self.device)
        self.whole = Batch(self.tokens, device=self.device)

    def ours(self, tolerance: float) -> tl.Trajectory:
        """Features and learning; like the network's, only the end is recorded."""
        return tl.learn(tl.MLP().features(self.tokens), self.labels, time=self.end, record=[], tolerance=tolerance)

    def predicted(self, tolerance: float) -> Array:
        """Its outputs on the training texts."""
        trajectory = self.ours(tolerance)
        return trajectory.decision(trajectory.features)[:, 0]

    def drawn(self) -> MLPByHand:
        """A network as it starts."""
        return MLPByHand(len(self.tokens.vocabulary), WIDTH, device=self.device)

    def trained(self, setting: Setting) -> Array:
        """Outputs minus those at the start, on the training texts, of the network drawn and trained anew."""
        network = self.drawn()
        before = network.outputs(self.whole)
        network.train(self.tokens, self.y, setting, setting.rate(self.critical), self.steps(setting))
        return np.asarray((network.outputs(self.whole) - before).cpu().numpy(), np.float64)

    @property
    def small_steps(self) -> Setting:
        """The reference: full batches, in steps of which smaller ones would change little."""
        steps = Setting(None, 0.9, 1.0).steps(self.end, self.critical)
        return Setting(None, 0.9, min(0.45, steps / SMALLEST))

    def steps(self, setting: Setting) -> int:
        """To the time."""
        return setting.steps(self.end, self.critical)

    def foretold(self, setting: Setting) -> float:
        """Seconds that training will take."""
        network, rate = self.drawn(), setting.rate(self.critical)
        return foretold(lambda steps: network.train(self.tokens, self.y, setting, rate, steps), self.steps(setting))


def foretold(train: Callable[[int], object], steps: int) -> float:
    """Seconds of so many steps, from a few, and from one alone for what is there once."""
    _, once, more = (seconds(lambda count=count: train(count)) for count in (1, 1, 1 + PROBED))
    return once + max(more - once, 0.0) / PROBED * (steps - 1)


def distance(found: Array, wanted: Array) -> float:
    """Relative, by the L2 norm; infinite where training diverged."""
    value = float(np.linalg.norm(found - wanted) / np.linalg.norm(wanted))
    return value if np.isfinite(value) else float("inf")


def tried(case: Case, reference: Array, asked: Asked) -> Iterator[tuple[Setting, dict[str, Any]]]:
    """Settings from the fastest on, until none is left that may be faster than one that ends where small steps do; the
    reference itself always does.
    """
    size = len(case.tokens)
    settings = [*(one for one in SETTINGS if one.batch is None or one.batch < size), case.small_steps]
    order = sorted((case.foretold(setting), place) for place, setting in enumerate(settings))
    fastest = float("inf")
    for guess, place in order:
        if guess > UNSURE * fastest:
            return
        setting = settings[place]
        asked.say(f"twin: {setting}, {case.steps(setting):,} steps, about {guess:.0f} s")
        began = time.perf_counter()
        found = distance(case.trained(setting), reference)
        spent = time.perf_counter() - began
        fits = found <= SAME
        yield setting, {"setting": str(setting), "steps": case.steps(setting), "foretold": guess, "seconds": spent,
                        "distance": found, "state": "fits" if fits else "ends elsewhere"}
        fastest = min(fastest, spent) if fits else fastest


def library_row(case: Case) -> Row:
    """What the library's own twin would take, by autograd and full batches at the largest stable rate."""
    setting = Setting(None, 0.0, 0.9)
    network = tl.networks.build(tl.MLP(), vocabulary_size=len(case.tokens.vocabulary), width=WIDTH, device=case.device)
    steps, rate = case.steps(setting), setting.rate(case.critical)
    guess = foretold(lambda count: tl.networks.train(network, case.tokens, case.labels, learning_rate=rate,
                                                     steps=count, record=[]), steps)
    return {"setting": f"tl.networks.train: {setting}", "steps": steps, "foretold": guess, "seconds": None,
            "distance": None, "state": "not run"}


def compared(asked: Asked, size: int) -> tuple[list[Row], list[Row]]:
    """The fastest setting in turns with the prediction, at every tolerance, and the settings that were tried."""
    case = Case(asked, size)
    asked.say(f"twin: {case.steps(case.small_steps):,} small steps, about {case.foretold(case.small_steps):.0f} s")
    reference = case.trained(case.small_steps)
    attempts = list(tried(case, reference, asked))
    found, best = min((one for one in attempts if one[1]["state"] == "fits"), key=lambda one: one[1]["seconds"])
    best["state"] = "the fastest that fits"
    tries = [library_row(case), *(row for _, row in attempts)]
    known = {"texts": len(case.tokens), "time": case.end, "setting": str(found), "steps": case.steps(found)}
    same = agreement(case, case.trained(found), reference)
    ours: dict[float, list[float]] = {tolerance: [] for tolerance in TOLERANCES}
    theirs = []
    for repeat in range(asked.repeats):  # the first of ours runs on caches that the network has left
        for tolerance in TOLERANCES[::(-1) ** repeat]:
            ours[tolerance].append(seconds(lambda tolerance=tolerance: case.ours(tolerance)))
        theirs.append(seconds(lambda: case.trained(found)))
    rows = [known | same[tolerance] | Paired(tuple(spent), tuple(theirs)).row() for tolerance, spent in ours.items()]
    return rows, [{"texts": len(case.tokens), **one} for one in tries]


def agreement(case: Case, outputs: Array, reference: Array) -> dict[float, Row]:
    """How far the network's outputs are from the reference's, and the prediction at every tolerance from the exact one
    and from the network; raises AssertionError where that is too much.
    """
    agreed, exact = distance(outputs, reference), case.predicted(EXACT)
    assert agreed <= SAME, f"not the same training twice: {agreed}"
    found: dict[float, Row] = {}
    for tolerance in TOLERANCES:
        predicted = case.predicted(tolerance)
        error, alike = distance(predicted, exact), float(np.corrcoef(predicted, outputs)[0, 1])
        assert error <= min(tolerance, agreed), f"the prediction errs by {error}"
        assert alike >= ALIKE, f"prediction and network differ: {alike}"
        found[tolerance] = {"tolerance": tolerance, "error": error, "distance": agreed, "correlation": alike}
    return found


def sheets(asked: Asked) -> dict[str, Sheet]:
    """All sizes."""
    torch.set_num_threads(machine.cores())
    found = [compared(asked, size) for size in asked.sizes or SIZES]
    notes = (
        f"SST, MLP with mean pooling, logistic loss, to the time of the least validation loss. Theirs: PyTorch "
        f"{torch.__version__}, width {WIDTH}, float32, on {machine.device(asked.device)}, written by hand without "
        "autograd: only distinct tokens, fused updates; drawing the network included. Ours, float64, on "
        f"{machine.cores()} cores: tl.MLP().features(tokens), then tl.learn(…, time=t, record=[], tolerance=…), of "
        "which the first tolerance is the default. Both from token ids. Error of the prediction: relative L2 of its "
        f"outputs on the training texts to those at a tolerance of {EXACT:g}; that it is less than the distance to "
        "small steps that the network is allowed, and has, is asserted.",
        "The setting is the fastest of those tried, in the order foretold, whose outputs on the training texts are "
        f"within {SAME:g} (relative L2) of those after at least {SMALLEST} small steps of full batches and momentum "
        "0.9; with momentum μ a step of rate η counts as the time η / (1 − μ). Correlation of outputs with the "
        "prediction: on the training texts; a network of this width has drifted from its limit by then. Median "
        "(least–largest) of runs in turns after one untimed run of each; ratio: median over pairs.",
    )
    rows, tried_rows = ([one for part in parts for one in part] for parts in zip(*found, strict=True))
    return {"twin": Sheet("The prediction and training in PyTorch", rows, SHOWN, notes),
            "twin_settings": Sheet("Settings tried", tried_rows, TRIED_SHOWN,
                                   ("foretold: steps × the seconds of one, from a few.",))}
