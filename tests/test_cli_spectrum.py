"""`tangentlens spectrum`: shares of bias, tokens and n-grams, for architectures and combinations of options."""

import io
import json

import pytest
from command import runner
from rich.console import Console

import tangentlens as tl
from tangentlens.cli import main
from tangentlens.kernels import ARCHITECTURES, describe, shares
from tangentlens.report import print_spectra


@pytest.fixture
def run(capsys):
    return runner(capsys, "spectrum")


def printed(architectures, width, encoding="utf-8"):
    """What the terminal shows."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    print_spectra(architectures, Console(file=stream, width=width))
    stream.seek(0)
    return stream.read()


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


LONG = [tl.MLP(activation="gelu", weight_std=value, embedding_std=0.25) for value in (0.5, 2.0)]


@pytest.mark.parametrize(("encoding", "characters"), [("utf-8", "░█▒≡"), ("ascii", "btpl")])
def test_a_bar_of_24_characters_stands_beside_the_numbers(encoding, characters):
    nets = [tl.CNN(), tl.SelfAttention(), tl.MatrixVector()]
    lines = printed(nets, 80, encoding).splitlines()
    bars = {line.split()[0]: line.split()[-1] for line in lines if line.startswith(("CNN", "Self", "Matrix"))}
    assert {name: [bar.count(character) for character in characters] for name, bar in bars.items()} == {
        "CNN": [3, 14, 5, 2], "SelfAttention": [0, 24, 0, 0], "MatrixVector": [0, 0, 24, 0]}
    assert sum(all(f"{character} {word}" in line for character, word in
                   zip(characters, ("bias", "tokens", "pairs", "longer"), strict=True)) for line in lines) == 1


@pytest.mark.parametrize("width", [40, 60, 77, 80, 200])
def test_numbers_stay_whole_and_names_in_full_at_any_width(width):
    shown = printed(LONG, width)
    assert ("█" in shown) == (width >= 80)
    assert max(map(len, shown.splitlines())) <= width
    for architecture in LONG:
        for share in shares([architecture]).row(0)[1:]:
            assert f"{100 * share:.1f} %" in shown
    names = "".join(line.split()[0] for line in shown.split("\n\n")[0].splitlines() if not line[:1].isspace())
    assert all(describe(architecture) in names for architecture in LONG)


def test_output_is_one_page_and_replaces_an_earlier_one(run, tmp_path):
    target = tmp_path / "spectrum.html"
    target.write_text("old")
    ran = run("-a", "MLP", "-a", "CNN", "--output", str(target))
    assert (ran.status, ran.err) == (0, "")
    assert ran.out.rstrip().endswith(f"Open {target} in a browser.")
    assert list(tmp_path.iterdir()) == [target]
    again = tmp_path / "again.html"
    tl.spectrum_page([tl.MLP(), tl.CNN()], again)
    assert again.read_text("utf-8") == target.read_text("utf-8")


def test_output_with_json_prints_json_only(run, tmp_path):
    ran = run("-a", "MLP", "-o", str(tmp_path / "page.html"), "--json")
    assert [row["family"] for row in json.loads(ran.out)] == ["token", "bias"]
    assert (tmp_path / "page.html").stat().st_size > 100_000


@pytest.mark.parametrize(("arguments", "place", "words"), [
    (["-a", "MLP"], "missing/page.html", "could not be written"),
    (["-a", "MLP"], "", "could not be written"),
    (["-a", "MLP", "-a", "SelfAttention:activation=relu"], "page.html", "no sparse feature map"),
])
def test_no_page_is_left_by_a_failure(run, tmp_path, arguments, place, words):
    (tmp_path / "before").mkdir()
    ran = run(*arguments, "--output", str(tmp_path / place))
    assert (ran.status, ran.out) == (2, "")
    assert words in ran.err
    assert ran.err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["before"]


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
