"""`tangentlens compare`: its files, its answer on data that lack something, and what it refuses."""

import json
import re

import numpy as np
import polars as pl
import pytest
from command import Ran, runner

import tangentlens as tl
from tangentlens.report.comparison import SCHEMA

FILES = ["audit.html", "compared.parquet", "flags.json", "run.json", "scores.parquet", "state.npz"]
TWO = ("-a", "MLP", "-a", "LinearRNN:max_order=2", "--time", "20")
SUBJECTS = ["Accuracy", "N-grams", "Bias", "Learning"]


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A working directory with reviews.csv: 400 reviews of two classes."""
    monkeypatch.chdir(tmp_path)
    small = tl.small_reviews()
    pl.DataFrame({"text": small.texts, "label": small.labels}).write_csv("reviews.csv")
    return tmp_path


@pytest.fixture
def run(home, capsys):
    """Runs `tangentlens compare` in this process."""
    return runner(capsys, "compare")


def left(home):
    return sorted(path.relative_to(home).as_posix() for path in home.rglob("*"))


def subjects(out):
    return re.findall(r"^(Accuracy|N-grams|Bias|Learning): ", out, re.MULTILINE)


def test_a_good_run(run, home):
    ran = run("reviews.csv", *TWO)
    assert (ran.status, ran.err) == (0, "")
    assert subjects(ran.out) == SUBJECTS
    words = " ".join(ran.out.split())
    for part in ("360 texts to learn from, 40 held out", "On 40 held-out texts", "No two or three neighbouring tokens",
                 "the sign of", "LinearRNN:max_order=2 has no bias family", "half learned", "compared.parquet"):
        assert part in words
    assert max(map(len, ran.out.splitlines()[:-1])) <= 100
    assert ran.out.index("Accuracy: ") < ran.out.index("architecture ")
    assert left(home) == ["compare-output", *(f"compare-output/{name}" for name in FILES), "reviews.csv"]
    table = pl.read_parquet("compare-output/compared.parquet")
    assert table.schema == SCHEMA
    assert table["architecture"].unique().sort().to_list() == ["LinearRNN:max_order=2", "MLP"]
    assert 'id="which"' in (home / "compare-output/audit.html").read_text("utf-8")
    scores = pl.read_parquet("compare-output/scores.parquet")
    assert scores.equals(tl.load("compare-output").table)


def test_run_json(run):
    ran = run("reviews.csv", *TWO, "--json", "-o", "out")
    found = json.loads(ran.out, parse_constant=pytest.fail)
    assert [line.split(":")[0] for line in found["verdict"]] == SUBJECTS
    assert found["contrary"] == []
    assert [row["longest"] for row in found["compared"]] == [1, 2]
    assert found["compared"][0]["unbiased"] == ["identity", "erf", "sin", "tanh"]
    assert found["compared"][0]["accuracy"][0] | {"accuracy": 0, "error": 0} == {
        "subset": "all", "texts": 40, "accuracy": 0, "error": 0}
    assert len(found["results"]) == 2
    with open("out/run.json", encoding="utf-8") as file:
        assert file.read() == ran.out


def test_every_kind_by_default_and_quiet(run, home):
    assert run("reviews.csv", "-q", "--time", "5") == Ran(0, "", "")
    assert sorted(path.name for path in (home / "compare-output").iterdir()) == FILES
    found = tl.load("compare-output").content.compared
    assert [answer.name for answer in found] == [
        "MLP", "CNN", "SelfAttention", "MatrixVector", "LinearRNN", "ElmanRNN"]


def test_no_held_out_texts(run, home):
    ran = run("reviews.csv", *TWO, "--validation", "0")
    assert ran.status == 0
    assert "Accuracy: No text is held out" in ran.out
    assert "held-out accuracy" not in " ".join(ran.out.split())
    words = " ".join(ran.out.split())
    assert "do better" not in words
    assert "(training" in words
    assert "Interaction share (training texts)" in (home / "compare-output/audit.html").read_text("utf-8")
    answer = tl.load("compare-output").content.compared[1]
    assert (answer.share_held, answer.share_texts, answer.accuracy.height) == (False, 400, 0)


def test_three_classes(run):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 300)
    words = np.array(["money", "ball", "atom"])[labels]
    texts = [f"a {rng.choice(['good', 'bad'])} {word} {rng.choice(['here', 'there'])}" for word in words]
    pl.DataFrame({"text": texts, "label": labels}).write_csv("topics.csv")
    ran = run("topics.csv", *TWO)
    assert ran.status == 0
    assert "tokens summed over 3 classes" in " ".join(ran.out.split())
    assert re.search(r'(towards|away from)\s+"[012]"', ran.out)
    found = tl.load("compare-output").content.compared
    assert found[0].bias["class"].to_list() == ["0", "1", "2"]
    assert found[0].bias["bias"].sum() == pytest.approx(0, abs=1e-9)


def test_ngrams_that_say_the_opposite(run):
    texts = tl.negations(size=2000, clauses=4).train
    pl.DataFrame({"text": texts.texts, "label": texts.labels}).write_csv("negations.csv")
    ran = run("negations.csv", *TWO)
    assert ran.status == 0
    words = " ".join(ran.out.split())
    assert re.search(r'N-grams: \d\d n-grams say the opposite of their words, such as "\w+ \w+" \(', words)
    assert "MLP cannot read them at all: single tokens get 0 right." in words
    assert "architecture accuracy right corrected one without" in words
    table = pl.read_parquet("compare-output/compared.parquet")
    assert table.filter(measure="contrary_right", architecture="MLP")["value"].to_list() == [0.0]


def test_nothing_to_learn(run):
    rng = np.random.default_rng(1)
    texts = [" ".join(rng.choice(list("abcdefghij"), 6)) for _ in range(200)]
    pl.DataFrame({"text": texts, "label": rng.integers(0, 2, 200)}).write_csv("noise.csv")
    ran = run("noise.csv", "-a", "MLP", "-a", "CNN")
    assert ran.status == 0
    assert "do better here" not in " ".join(ran.out.split())
    assert ", ahead of " not in ran.out


def test_one_architecture_and_short_texts(run):
    pl.DataFrame({"text": ["good", "bad", "fine", "poor"] * 20, "label": [1, 0] * 40}).write_csv("short.csv")
    for name in ("MLP", "CNN:padding=valid", "MatrixVector:order=3", "SelfAttention:scores=tied"):
        ran = run("short.csv", "-a", name, "--time", "5")
        assert ran.status == 0, ran.err
        assert "cannot tell them apart" not in ran.out


BAD = {
    "-a CNM": ('unknown architecture "CNM"', 'did you mean "CNN"?'),
    "-a SelfAttention:activation=relu": ("no sparse feature map", "activation=None"),
    "-a MLP -a MLP": ("given twice",),
    "--validation 1.5": ("validation", "below 1"),
    "--sample 1": ("at least two",),
    "--min-count 999": ("no token of reviews.csv", "lower min_count"),
    "--loss logisitc": ("--loss", "logistic"),
    "--time soon": ("--time", '"soon"'),
    "--text nope": ("no column 'nope'", "text"),
    "--widths 3": ("--widths", "see tangentlens compare --help"),
}


def refused(ran, *words):
    assert (ran.status, ran.out) == (2, ""), ran
    assert re.fullmatch(r"tangentlens: error: [^\n]+\n", ran.err), ran.err
    assert all(word in ran.err for word in words), ran.err


@pytest.mark.parametrize("options", BAD)
def test_bad_option(run, home, options):
    refused(run("reviews.csv", *options.split()), *BAD[options])
    assert left(home) == ["reviews.csv"]


def test_one_class(run, home):
    (home / "one.csv").write_text("text,label\na b,1\nb c,1\n")
    refused(run("one.csv"), "only one class", "at least two")


def test_help_and_overview(run, capsys):
    assert "Which architecture for FILE, and why?" in run("--help").out
    assert "tangentlens compare reviews.csv" in runner(capsys)("--help").out
