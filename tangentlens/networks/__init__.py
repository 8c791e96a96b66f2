"""The finite-width PyTorch twin of every architecture, in NTK parametrisation, and its training. Extra: torch."""

try:
    import safetensors as _safetensors  # noqa: F401
    import torch as _torch  # noqa: F401
except ModuleNotFoundError as error:
    raise ImportError('tangentlens.networks needs PyTorch and safetensors: pip install "tangentlens[torch]"') from error

from tangentlens.networks.building import build
from tangentlens.networks.fitting import Fitted, Fitting, fit, outputs_of
from tangentlens.networks.ordinary import OrdinaryNetwork, ordinary
from tangentlens.networks.training import Training, train
from tangentlens.networks.twin import Plan, Twin

__all__ = ["Fitted", "Fitting", "OrdinaryNetwork", "Plan", "Training", "Twin", "build", "fit", "ordinary", "outputs_of",
           "train"]
