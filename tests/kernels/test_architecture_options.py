"""Options: every impossible value is refused by name; architectures are values."""

import dataclasses

import pytest
from cases import ARCHITECTURES, every_architecture

from tangentlens import CNN, MLP, SelfAttention
from tangentlens.errors import OptionError
from tangentlens.kernels import ARCHITECTURES as KINDS
from tangentlens.kernels import describe


@pytest.mark.parametrize(("kind", "option", "value"), [
    (MLP, "depth", 0), (MLP, "depth", 1.5), (MLP, "depth", True), (MLP, "weight_std", 0.0), (MLP, "weight_std", -1),
    (MLP, "weight_std", float("nan")), (MLP, "bias_std", -0.1), (MLP, "bias_std", float("inf")),
    (MLP, "embedding_std", "1"), (MLP, "embedding_std", True), (MLP, "readout_std", 0), (MLP, "pooling", "last"),
    (MLP, "pooling", "max"), (MLP, "train_embedding", "yes"), (CNN, "kernel_size", 0), (CNN, "kernel_size", -3),
    (CNN, "kernel_size", 2.0), (CNN, "padding", "full"), (CNN, "pooling", None), (SelfAttention, "scores", "dot"),
    (SelfAttention, "positions", 2), (SelfAttention, "key_std", 0.0), (SelfAttention, "position_std", -1.0),
])
def test_impossible_options_are_refused_by_name(kind, option, value):
    with pytest.raises(OptionError, match=f"{kind.__name__}: {option} must be .*not {value!r}"):
        kind(**{option: value})


def test_one_number_per_layer():
    for option in ("weight_std", "bias_std"):
        with pytest.raises(OptionError, match=f"{option} has 2 numbers for 3 layers"):
            MLP(depth=3, **{option: (1.0, 2.0)})
        with pytest.raises(OptionError, match=f"{option} has 2 numbers for 1 layers"):
            CNN(**{option: (1.0, 2.0)})
        assert MLP(depth=2, **{option: [1.0, 2.0]}) == MLP(depth=2, **{option: (1.0, 2.0)})
    with pytest.raises(OptionError, match="weight_std must be a positive number, not -2"):
        MLP(depth=2, weight_std=(1.0, -2))


@pytest.mark.parametrize("kind", [MLP, CNN, SelfAttention])
def test_an_unknown_activation_is_refused(kind):
    with pytest.raises(OptionError, match='unknown activation "tahn": did you mean "tanh"'):
        kind(activation="tahn")


@every_architecture
def test_architectures_are_values(architecture):
    copy = dataclasses.replace(architecture)
    assert copy == architecture
    assert hash(copy) == hash(architecture)
    with pytest.raises(dataclasses.FrozenInstanceError):
        architecture.pooling = "sum"
    assert KINDS[type(architecture).__name__] is type(architecture)


def test_descriptions_tell_all_cases_apart():
    assert len({describe(architecture) for architecture in ARCHITECTURES.values()}) == len(set(ARCHITECTURES.values()))
