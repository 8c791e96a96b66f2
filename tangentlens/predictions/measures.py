"""Label scores as one would measure them on a network: by asking it about probe texts (theory, section "Measures")."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tangentlens.data.tokens import Tokens, Vocabulary
from tangentlens.kernels.architecture import Architecture
from tangentlens.predictions.trajectory import Trajectory


def responses(architecture: Architecture, trajectory: Trajectory, vocabulary: Vocabulary, *, step: int = -1
              ) -> NDArray[np.float64]:
    """The response f(a) of every one-token text a, bias included; shape (v, c): the paper's label score (eq. 61).

    An architecture whose windows need more than one token ("valid" padding) answers 0.
    """
    size = len(vocabulary)
    probes = Tokens(np.arange(size, dtype=np.int32), np.arange(size + 1), vocabulary)
    return trajectory.decision(architecture.features(probes, columns=trajectory.features), step)
