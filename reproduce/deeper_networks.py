"""Claim: deeper and combined networks learn as their NTK says, and combining brings n-gram interactions to attention.

Attention with an activation or a ReLU block, convolution with attention, two convolutions. There is no sparse map: the
prediction is gradient descent in the dense closed form where there is one, and in the empirical NTK averaged over
networks that are not among the trained ones. Controls: uniform attention and an MLP, whose sparse maps are known.

Command: python -m reproduce.deeper_networks [--data ../shared/data/sst] [--output reproduce/results] [--rows 150]
         [--width 128] [--seeds 10]
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from torch import nn

import tangentlens as tl
from reproduce.combined import Block, Convolution, HeadedAttention, Residual, Stack, TiedAttention
from reproduce.deeper_sheets import sheets_of
from reproduce.deeper_tables import Study, Told
from reproduce.deeper_texts import Material, grammar, sst
from reproduce.options import command_of
from reproduce.sheet import save
from reproduce.sst import DATA
from reproduce.sst_label_scores import RESULTS
from tangentlens.networks.training import train
from tangentlens.verification import empirical_ntk
from tangentlens.verification.own_kernel import descend_with, kernel_product

Array = NDArray[np.float64]
Layers = Callable[[int], Sequence[nn.Module]]
FALL = 0.9  # of the predicted loss, after which networks are asked for the first time; the second time is STEPS
LEAST, STEPS = 8, 30
RATE = 0.5  # share of the critical learning rate (theory, eq. 54), halved where the fall takes fewer than LEAST steps
OTHERS = 10_000  # first seed of the networks that give the mean NTK
CASES: dict[str, tl.Architecture | Layers] = {
    "uniform attention": tl.SelfAttention(),
    "MLP of depth 3": tl.MLP(depth=3),
    "uniform attention, ReLU": tl.SelfAttention(activation="relu"),
    "tied attention, ReLU": tl.SelfAttention(scores="tied", activation="relu"),
    "tied attention + block": lambda m: (TiedAttention(m), Residual(Block(m))),
    "4 heads + block": lambda m: (HeadedAttention(m), Residual(Block(m))),
    "residual 4 heads + block": lambda m: (Residual(HeadedAttention(m)), Residual(Block(m))),
    "convolution + tied attention": lambda m: (Convolution(m, 3), TiedAttention(m)),
    "two convolutions": lambda m: (Convolution(m, 3), Convolution(m, 3)),
}


@dataclass(frozen=True)
class Case:
    """A network by name: an architecture with a closed form, or layers without one."""

    name: str
    made: tl.Architecture | Layers
    width: int
    seeds: int

    def network(self, vocabulary_size: int, seed: int) -> nn.Module:
        """A network of finite width; a seed means the same one every time."""
        if isinstance(self.made, tl.Architecture):
            return tl.networks.build(self.made, vocabulary_size=vocabulary_size, width=self.width, seed=seed)
        torch.manual_seed(seed)
        return Stack(*self.made(self.width), vocabulary_size=vocabulary_size, width=self.width)


@dataclass(frozen=True)
class Course:
    """How prediction and networks descend: the learning rate, and the steps at which they are asked."""

    rate: float
    steps: tuple[int, ...]

    @staticmethod
    def of(kernel: Array, material: Material) -> Course:
        """For a kernel (n, n): asked after the fall, which takes LEAST steps or more, and at the end."""
        rate = RATE * 2 * len(kernel) / (material.targets.loss.steepest * float(np.linalg.eigvalsh(kernel)[-1]))
        while True:
            losses = losses_of(kernel @ Course(rate, tuple(range(STEPS + 1))).duals(kernel, material), material)[0]
            fallen = int(np.argmax(losses <= FALL * losses[0])) or STEPS
            if fallen >= min(LEAST, STEPS):
                return Course(rate, tuple(sorted({fallen, STEPS})))
            rate /= 2

    def duals(self, kernel: Array, material: Material) -> Array:
        """Dual coefficients (T, n, 1) of gradient descent in a kernel (n, n)."""
        n = len(kernel)
        return descend_with(kernel[:, None, :, None], np.eye(n)[:, None, :, None], material.targets,
                            learning_rate=self.rate, record=self.steps)


def studied(case: Case, material: Material) -> Study:
    """What the closed form (if there is one) and the mean NTK foretell, and what trained networks do."""
    architecture, size = case.made, len(material.questions.asked().vocabulary)
    networks = [case.network(size, OTHERS + seed) for seed in range(case.seeds)]
    kernel = np.mean([empirical_ntk(network, material.tokens)[:, 0, :, 0] for network in networks], axis=0)
    predictions = []
    if isinstance(architecture, tl.Architecture):
        course, found = closed_form(architecture, material)
        predictions.append(found)
    else:
        course = Course.of(kernel, material)
    predictions.append(mean_ntk(networks, kernel, material, course))
    return Study(case.name, material, tuple(predictions), trained(case, material, course), course.steps)


def closed_form(architecture: tl.Architecture, material: Material) -> tuple[Course, Told]:
    """Gradient descent in the kernel of infinitely wide networks, and its course."""
    kernel = architecture.kernel(material.tokens)
    rows = architecture.kernel(material.questions.asked(blanks=False), material.tokens)
    course = Course.of(kernel, material)
    duals = course.duals(kernel, material)
    return course, Told("closed form", (material.questions.answers(rows @ duals),), losses_of(kernel @ duals, material))


def mean_ntk(networks: Sequence[nn.Module], kernel: Array, material: Material, course: Course) -> Told:
    """Gradient descent in the mean NTK, and what each network's kernel says with its duals: the mean is foretold."""
    duals, asked = course.duals(kernel, material), material.questions.asked()
    outputs = [np.stack([kernel_product(network, material.tokens, asked, a) for a in duals]) for network in networks]
    return Told(f"{len(networks)} NTKs", tuple(map(material.questions.answers, outputs)),
                losses_of(kernel @ duals, material))


def trained(case: Case, material: Material, course: Course) -> Told:
    """Networks that are really trained, at the same learning rate and to the same steps."""
    asked, answers, losses = material.questions.asked(), [], []
    for seed in range(case.seeds):
        done = train(case.network(len(asked.vocabulary), seed), material.tokens, material.labels, steps=STEPS,
                     learning_rate=course.rate, record=course.steps, probes=asked)
        answers.append(material.questions.answers(done.probes[1:]))
        losses.append(done.curves["train_loss"].to_numpy()[1:])
    return Told("trained", tuple(answers), np.stack(losses))


def losses_of(outputs: Array, material: Material) -> Array:
    """Training losses (1, T) of outputs (T, n, 1)."""
    return np.array([[material.targets.mean_loss(f) for f in outputs]])


def main(arguments: Sequence[str] | None = None) -> None:
    """Parses, trains, prints and saves."""
    parser = argparse.ArgumentParser(prog="python -m reproduce.deeper_networks")
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--output", type=Path, default=RESULTS)
    for name, default in (("rows", 150), ("width", 128), ("seeds", 10)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)  # fastest for small networks, and the same every time
    studies = []
    for material in (grammar(options.rows), sst(options.data, options.rows)):
        for name, made in CASES.items():
            print(f"{material.name}: {name}", flush=True)
            studies.append(studied(Case(name, made, options.width, options.seeds), material))
    about = (f"width {options.width}, {options.seeds} trained networks, and as many others for the mean NTK. Gradient "
             f"descent on all texts, at {RATE:.0%} of the critical rate or less; asked when the predicted loss has "
             f"fallen to {FALL:.0%} of its start, or after {STEPS} steps")
    sheets = sheets_of(studies, about)
    for sheet in sheets.values():
        sheet.print(Console())
    save(sheets, options.output, "deeper_networks", command=command_of(parser, options))


if __name__ == "__main__":
    main()
