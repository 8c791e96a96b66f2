"""Feature spectra side by side: what architectures can extract, and how that changes with their options."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product

import polars as pl

from tangentlens.errors import OptionError
from tangentlens.kernels.architecture import Architecture, describe
from tangentlens.kernels.parsing import parse_architecture


def spectra(architectures: Sequence[Architecture]) -> pl.DataFrame:
    """The spectra of several architectures: architecture, family, order, coefficient, share, one row per family.

    Raises NoSparseFormError for an architecture without a sparse map.

    >>> from tangentlens.kernels.mlp import MLP
    >>> spectra([MLP(), MLP(activation="tanh")]).filter(family="bias")["share"].round(4).to_list()
    [0.1061, 0.0]
    """
    return pl.concat([architecture.spectrum().select(pl.lit(describe(architecture)).alias("architecture"), pl.all())
                      for architecture in architectures])


def shares(architectures: Sequence[Architecture]) -> pl.DataFrame:
    """One row per architecture: the shares of its spectrum that belong to the bias (order 0), to single tokens, to
    pairs, and to patterns of three tokens and more.

    >>> from tangentlens.kernels.cnn import CNN
    >>> shares([CNN(padding="valid")]).select("bias", "token", "pair", "longer").select(pl.all().round(4)).row(0)
    (0.1061, 0.59, 0.2036, 0.1004)
    """
    table = spectra(architectures)
    sums = [pl.col("share").filter(mask).sum().alias(name) for name, mask in (
        ("bias", pl.col("order") == 0), ("token", pl.col("order") == 1), ("pair", pl.col("order") == 2),
        ("longer", pl.col("order") > 2))]
    return table.group_by("architecture", maintain_order=True).agg(*sums)


def varied(texts: Sequence[str], changes: Mapping[str, Sequence[str]], known: Mapping[str, type[Architecture]]
           ) -> list[Architecture]:
    """Architectures as the command line writes them, with every combination of changed options.

    Raises OptionError for an option that an architecture does not have, or that it is given twice.

    >>> from tangentlens.kernels.mlp import MLP
    >>> [describe(one) for one in varied(["MLP"], {"activation": ["relu", "tanh"]}, {"MLP": MLP})]
    ['MLP', 'MLP:activation=tanh']
    """
    combinations = [",".join(f"{option}={value}" for option, value in zip(changes, values, strict=True))
                    for values in product(*changes.values())]
    found = []
    for text in texts:
        for combination in combinations:
            separator = "," if ":" in text else ":"
            architecture = parse_architecture(f"{text}{separator}{combination}" if combination else text, known)
            if architecture in found:
                raise OptionError(f"the architecture {describe(architecture)} is given twice; leave one out")
            found.append(architecture)
    return found
