"""Trained networks against the prediction: probes, empirical kernels, error against width. Extra: torch."""

import tangentlens.networks  # noqa: F401  (first: it says what to install where PyTorch is missing)
from tangentlens.verification.empirical import drift, empirical_ntk, jacobian_bytes
from tangentlens.verification.expected import announce
from tangentlens.verification.kernel_study import kernel_slope, kernel_study
from tangentlens.verification.measured import Course, Measured, correlation, measure
from tangentlens.verification.own_kernel import OwnKernel, own_kernel
from tangentlens.verification.probes import Probe, Probes, network_scores, probes_of
from tangentlens.verification.verify import Size, sample, verify
from tangentlens.verification.width_study import Material, WidthStudy, foretell, trained_scores, width_study

__all__ = [
    "Course", "Material", "Measured", "OwnKernel", "Probe", "Probes", "Size", "WidthStudy", "announce", "correlation",
    "drift", "empirical_ntk", "foretell", "jacobian_bytes", "kernel_slope", "kernel_study", "measure", "network_scores",
    "own_kernel", "probes_of", "sample", "trained_scores", "verify", "width_study",
]
