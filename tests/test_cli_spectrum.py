"""`tangentlens spectrum`: shares of bias, tokens and n-grams, for architectures and combinations of options."""

import json

import pytest

import tangentlens as tl
from tangentlens.cli import main
from tangentlens.kernels import ARCHITECTURES, shares


def test_every_architecture_by_default(capsys):
    main(["spectrum"])
    lines = capsys.readouterr().out.splitlines()
    for name in ARCHITECTURES:
        assert sum(line.startswith((f" {name} ", f"{name} ")) for line in lines) == 1


def test_options_vary_in_all_combinations(capsys):
    main(["spectrum", "-a", "MLP", "-a", "CNN:padding=valid", "--vary", "activation=relu,tanh", "--vary",
          "weight_std=0.5,2", "--json"])
    rows = json.loads(capsys.readouterr().out)
    names = list(dict.fromkeys(row["architecture"] for row in rows))
    assert names == ["MLP:weight_std=0.5", "MLP:weight_std=2.0", "MLP:activation=tanh,weight_std=0.5",
                     "MLP:activation=tanh,weight_std=2.0", "CNN:padding=valid,weight_std=0.5",
                     "CNN:padding=valid,weight_std=2.0", "CNN:padding=valid,activation=tanh,weight_std=0.5",
                     "CNN:padding=valid,activation=tanh,weight_std=2.0"]
    expected = tl.CNN(padding="valid", activation="tanh", weight_std=2.0).spectrum()
    assert [row["coefficient"] for row in rows if row["architecture"] == names[-1]] == expected["coefficient"].to_list()


def test_one_architecture_shows_every_family(capsys):
    main(["spectrum", "-a", "MLP"])
    shown = capsys.readouterr().out
    assert "1.34 " in shown
    assert "10.6%" in shown.replace(" %", "%")


@pytest.mark.parametrize("architecture", [kind() for kind in ARCHITECTURES.values()], ids=ARCHITECTURES)
def test_shares_add_up(architecture):
    row = shares([architecture]).row(0, named=True)
    assert sum(row[name] for name in ("bias", "token", "pair", "longer")) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize(("arguments", "words"), [
    (["--vary", "activation"], "KEY=VALUE"),
    (["--vary", "activation="], "KEY=VALUE"),
    (["-a", "MLP", "--vary", "depth=1,2", "--vary", "depth=3"], "once"),
    (["-a", "MLP", "--vary", "width=3"], 'MLP has no option "width"'),
    (["-a", "MLP", "-a", "MLP:depth=1"], "given twice"),
    (["-a", "MLP:depth=2", "--vary", "depth=1"], "twice"),
    (["-a", "SelfAttention:activation=relu"], "no sparse feature map"),
])
def test_bad_options(arguments, words, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["spectrum", *arguments])
    error = capsys.readouterr().err
    assert stop.value.code == 2
    assert words in error
    assert error.count("\n") == 1
