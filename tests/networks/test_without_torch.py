"""The core does not import PyTorch; without it, networks and verification say what to install."""

import subprocess
import sys

import pytest
from command import refusing


def lines(script):
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_importing_the_package_imports_neither_torch_nor_the_slow_parts_of_scipy():
    assert lines("import sys, tangentlens, tangentlens.cli; names = ('torch', 'safetensors', 'scipy.stats', "
                 "'scipy.optimize'); print([name for name in names if name in sys.modules])") == ["[]"]


@pytest.mark.parametrize(("use", "missing"), [
    ("import tangentlens.networks", "torch"), ("import tangentlens.verification", "torch"),
    ("import tangentlens; tangentlens.networks", "torch"), ("from tangentlens import verification", "torch"),
    ("from tangentlens import networks", "safetensors"),
])
def test_without_torch_the_extra_is_named(use, missing):
    assert lines(f"""{refusing(missing)}
try:
    {use}
except ImportError as error:
    print(type(error).__name__, error)
""") == ['ImportError tangentlens.networks needs PyTorch and safetensors: pip install "tangentlens[torch]"']
