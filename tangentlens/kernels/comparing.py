"""Feature spectra side by side: what architectures can extract, and how that changes with their options."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import product

import polars as pl

from tangentlens.errors import OptionError
from tangentlens.kernels.architecture import Architecture, describe
from tangentlens.kernels.parsing import parse_architecture

PARTS = ("bias", "token", "pair", "longer")  # of a spectrum: orders 0, 1, 2, and from 3 on


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
    schema = {"architecture": pl.String} | dict.fromkeys(PARTS, pl.Float64)
    rows = [(describe(architecture), *parts(architecture.spectrum())) for architecture in architectures]
    return pl.DataFrame(rows, schema=schema, orient="row")


def parts(spectrum: pl.DataFrame) -> tuple[float, ...]:
    """What of one spectrum is bias, single tokens, pairs, and longer; see PARTS."""
    kind = spectrum["order"].clip(0, len(PARTS) - 1)
    return tuple(float(spectrum["share"].filter(kind == place).sum()) for place in range(len(PARTS)))


def distinct(architectures: Architecture | Iterable[Architecture]) -> tuple[Architecture, ...]:
    """One or more architectures as a tuple. Raises OptionError for what is none, or is given twice.

    >>> from tangentlens.kernels.mlp import MLP
    >>> [describe(one) for one in distinct(MLP(depth=2))]
    ['MLP:depth=2']
    """
    chosen = (architectures,) if isinstance(architectures, Architecture) else tuple(architectures)
    for one in chosen:
        if not isinstance(one, Architecture):
            raise OptionError(f"architectures are objects such as tl.MLP(), not {one!r}")
    names = [describe(architecture) for architecture in chosen]
    if len(set(names)) < len(names):
        raise OptionError(f"the architecture {max(names, key=names.count)} is given twice; leave one out")
    return chosen


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
            found.append(parse_architecture(f"{text}{separator}{combination}" if combination else text, known))
    return list(distinct(found))
