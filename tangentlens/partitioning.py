"""Texts in parts → features in parts: for data larger than memory, and for several processes."""

from __future__ import annotations

import os
from typing import Any

from tangentlens.audit import Progress
from tangentlens.data import Texts
from tangentlens.data.scanning import Scan, parts_of
from tangentlens.errors import OptionError
from tangentlens.kernels import Architecture
from tangentlens.learning.engines import engine_of
from tangentlens.learning.needs import Needs, foresee
from tangentlens.learning.parts import Cut, PartitionedFeatures, partitioned


def partition(source: Scan | Texts, architecture: Architecture, *, columns: PartitionedFeatures | None = None,
              folder: str | os.PathLike[str] | None = None, client: Any = None,
              tokenizer: str | os.PathLike[str] = "words", lowercase: bool = False, min_count: int = 1,
              part: int = 20_000, memory: float | None = None, progress: Progress | None = None
              ) -> PartitionedFeatures:
    """The feature map of texts in parts, for `tl.learn`: the same columns and numbers as in one piece.

    source: of `tl.scan_texts`, or Texts, which are cut into parts of `part` texts. tokenizer, lowercase, min_count: see
    `tokenize`. columns: the features of the training texts, for texts to validate or decide on; they bring the
    vocabulary, the tokenizer, and where work is done.
    folder: parts are kept there, and mapped into memory when needed; a run that was interrupted goes on, and only what
    a changed source or setting has changed is made again. Without it they are kept in memory. client: a
    distributed.Client (extra `dask`); parts are kept by its workers, and made again where a worker is lost.
    memory: GB that this process may use, by default most of what is free. progress: called with lines of text.

    Raises DataError, OptionError or OutputError.

    >>> import tangentlens as tl
    >>> texts = tl.small_reviews()
    >>> features = tl.partition(texts, tl.MLP(), part=100)
    >>> features.columns.check_columns(tl.MLP().features(tl.tokenize(texts)))  # the same columns
    >>> trajectory = tl.learn(features, features.labels, time=20.0)
    >>> trajectory.label_scores(top=1)["family"].to_list()
    ['token', 'bias']
    """
    if columns is None:
        engine = engine_of(folder, client, progress)
        cut = Cut(os.fspath(tokenizer), lowercase, min_count)
    else:
        if (folder, client, tokenizer, lowercase, min_count) != (None, None, "words", False, 1):
            raise OptionError("columns= say how texts are cut and where parts are kept; leave folder, client, "
                              "tokenizer, lowercase and min_count out")
        if architecture != columns.architecture:
            raise OptionError(f"columns= are those of {columns.architecture}, not of {architecture}")
        engine, cut = columns.engine, columns.cut
    parts = parts_of(source, part)
    if columns is None and parts:
        line = foresee(Needs.of(parts, architecture, cut), engine, memory)
        (progress or (lambda said: None))(line)
    return partitioned(parts, architecture, engine, cut=cut, columns=columns)
