"""The program: any bad input is one line and status 2 and leaves nothing; good input prints what was asked."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from command import Ran, Run, runner

import tangentlens as tl

FILES = ["audit.html", "flags.json", "run.json", "scores.parquet", "state.npz"]


Write = Callable[..., str]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(home: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the program in this process, in an empty working directory."""
    return runner(capsys)


@pytest.fixture
def write(home: Path) -> Write:
    """Writes rows as a CSV or JSON lines file; by default 200 reviews with two classes."""
    def make(name: str = "reviews.csv", rows: list[dict[str, object]] | None = None) -> str:
        if rows is None:
            small = tl.small_reviews(200)
            pairs = zip(small.texts, small.labels.tolist(), strict=True)  # type: ignore[union-attr]
            rows = [{"text": text, "label": label} for text, label in pairs]
        table = pl.DataFrame(rows, strict=False)
        table.write_csv(home / name) if name.endswith("csv") else table.write_ndjson(home / name)
        return name

    return make


def left(home: Path) -> set[str]:
    return {path.relative_to(home).as_posix() for path in home.rglob("*")}


def refused(ran: Ran, *words: str) -> None:
    """One line on stderr that holds all the words, status 2, nothing on stdout."""
    assert ran.status == 2, ran
    assert re.fullmatch(r"tangentlens: error: [^\n]+\n", ran.err), ran.err
    assert ran.out == ""
    for word in words:
        assert word in ran.err
    assert not re.search(r"Traceback|label=None|on_bad_row=|encoding=|quote=", ran.err)


GOOD = b"text,label\ngood film,1\nbad film,0\n"
BAD_FILES = {
    "empty": ("data.csv", b"", "data.csv", "is empty"),
    "white space": ("data.csv", b" \n\n", "data.csv", "is empty"),
    "header only": ("data.csv", b"text,label\n", "data.csv", "no rows"),
    "no text column": ("data.csv", b"txet,label\na,1\n", "'text'", 'did you mean "txet"?', "data.csv"),
    "no label column": ("data.csv", b"text,lable\na,1\n", 'did you mean "lable"?'),
    "one class": ("data.csv", b"text,label\na,1\nb,1\n", "only one class", "at least two"),
    "empty text": ("data.csv", b"text,label\na,1\n,0\n", "row 2 (line 3", "text is empty", "--on-bad-row skip"),
    "blank text": ("data.csv", b'text,label\na,1\n" \t",0\n', "row 2 (line 3", "text is empty"),
    "missing label": ("data.csv", b"text,label\na,1\nb,\n", "row 2 (line 3", "label is missing", "--on-bad-row skip"),
    "missing text": ("data.jsonl", b'{"text":"a","label":1}\n{"text":null,"label":0}\n', "line 2", "text is missing"),
    "short row": ("data.csv", b"text,label\na,1\nb\n", "row 2 (line 3", "1 field,", "--on-bad-row skip"),
    "bad bytes": ("data.csv", GOOD + b"\xff\xfe,1\n", "line 4", "byte 34", "--encoding latin-1", "--on-bad-row skip"),
    "binary": ("data.csv", GOOD + b"\0\1\2", "line 4", "NUL", "binary"),
    "picture": ("data.csv", b"\x89PNG\r\n\x1a\n\0\0", "PNG picture"),
    "workbook": ("data.csv", b"PK\x03\x04....", "Excel"),
    "cut gzip": ("data.csv.gz", gzip.compress(GOOD * 100)[:40], "damaged or cut off"),
    "no parquet": ("data.parquet", GOOD, "not a readable Parquet file"),
    "broken JSON": ("data.jsonl", b'{"text":"a","label":1}\n{"text":"b",\n', "line 2", "not valid JSON",
                    "--on-bad-row skip"),
    "no object": ("data.jsonl", b'{"text":"a","label":1}\n[1]\n', "line 2", "not an object"),
    "open quote": ("data.csv", b'text,label\n"a,1\nb,0\n', "row 1 (line 2", "never closed", "--quote none"),
    "extension": ("data.doc", GOOD, "data.doc", ".csv", ".jsonl"),
    "list labels": ("data.jsonl", b'{"text":"a","label":[1]}\n{"text":"b","label":[2]}\n', "line 1", "neither"),
    "mixed labels": ("data.jsonl", b'{"text":"a","label":1}\n{"text":"b","label":"x"}\n', "several types", "strings"),
    "semicolons": ("data.csv", b"text;label\na;1\nb;0\n", "semicolons", "separator=';'"),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_bad_file(run: Run, home: Path, case: str) -> None:
    name, content, *words = BAD_FILES[case]
    (home / name).write_bytes(content)
    refused(run("audit", name), *words)
    assert left(home) == {name}


def test_bad_path(run: Run, home: Path, write: Write) -> None:
    write("reviews.csv")
    (home / "folder").mkdir()
    refused(run("audit", "review.csv"), "review.csv: there is no such file", "did you mean reviews.csv?")
    refused(run("audit", "folder"), "is a folder", "name a file in it")
    refused(run("audit", "reviews.csv/x.csv"), "x.csv", "check the path")
    refused(run("audit", "no/such/folder.csv"), "check the path")
    refused(run("audit", ""), "")
    refused(run("audit", "x" * 5000 + ".csv"), "too long")
    assert left(home) == {"reviews.csv", "folder"}


def test_unusual_columns_and_options_of_a_file(run: Run, home: Path) -> None:
    (home / "latin.csv").write_bytes(b'kritik,note,"b"\ngut,1,x\nsch\xf6n,1,y\nschlecht,0,z\nmies,0,w\n')
    arguments = ("audit", "latin.csv", "--text", "kritik", "--label", "note", "-a", "MLP", "-q", "--validation", "0")
    refused(run(*arguments), "line 3", "--encoding latin-1")
    refused(run(*arguments, "--encoding", "latin-0"), "no encoding latin-0")
    refused(run(*arguments, "--encoding", "latin-1", "--text-b", "c"), "no column 'c'", "kritik, note, b")
    assert run(*arguments, "--encoding", "latin-1", "--text-b", "b").status == 0
    assert "[SEP]" in pl.read_parquet("audit-output/scores.parquet")["feature"].to_list()
    (home / "quotes.tsv").write_text('text\tlabel\n"good\t1\nbad\t0\n')
    refused(run("audit", "quotes.tsv"), "--quote none")
    assert run("audit", "quotes.tsv", "--quote", "none", "-q").status == 0


BAD_OPTIONS = {
    "-a CNM": ('unknown architecture "CNM"', 'did you mean "CNN"?', "MLP"),
    "-a :depth=1": ("unknown architecture",),
    "-a CNN:kernel_size": ('"kernel_size" in "CNN:kernel_size" is not of the form option=value',),
    "-a CNN:kernel_size=x": ("whole number", '"x"'),
    "-a CNN:kernel_size=0": ("at least 1", "0"),
    "-a CNN:kernel_siz=3": ('no option "kernel_siz"', 'did you mean "kernel_size"?'),
    "-a CNN:kernel_size=2,kernel_size=3": ("kernel_size twice",),
    "-a MLP:weight_std=-1": ("weight_std must be a positive number", "-1"),
    "-a MLP:weight_std=nan": ("weight_std", "nan"),
    "-a MLP:weight_std=1+2": ("weight_std has 2 numbers for 1 layers",),
    "-a MLP:weight_std=1e200": ("too large or too small", "nearer to 1"),
    "-a MLP:weight_std=1e-200": ("too large or too small", "nearer to 1"),
    "-a MLP:train_embedding=maybe": ("true or false", "maybe"),
    "-a MLP:activation=rleu": ('did you mean "relu"?',),
    "-a SelfAttention:activation=relu": ("no sparse feature map", "activation=None"),
    "-a MLP -a mlp:depth=1": ("MLP is given twice", "leave one out"),
    "--sample 0": ("at least one text",),
    "--sample 1": ("at least two classes",),
    "--sample x": ("--sample", "integer"),
    "--validation 1.5": ("validation", "below 1", "1.5"),
    "--validation -0.1": ("validation", "-0.1"),
    "--validation nan": ("validation", "nan"),
    "--min-count 0": ("min_count", "at least 1"),
    "--min-count 99999": ("no token of reviews.csv occurs", "lower min_count"),
    "--seed -1": ("--seed", "-1"),
    "--memory 0.0001": ("0.0001 GB are there", "allow more (--memory, in GB)"),
    "--steps 0": ("steps", "at least 1"),
    "--steps 5 --learning-rate 0": ("learning rate must be a positive number", "0"),
    "--steps 5 --learning-rate -1": ("learning rate must be a positive number", "-1"),
    "--steps 5 --learning-rate inf": ("learning rate must be a positive number", "inf"),
    "--steps 5 --learning-rate fast": ("--learning-rate", "auto", "fast"),
    "--learning-rate 1": ("gradient descent", "steps"),
    "--steps 5 --time 3": ("give only one of them",),
    "--time -1": ("time must be a positive number",),
    "--time 0": ("time must be a positive number",),
    "--time nan": ("time must be a positive number",),
    "--time inf": ("time",),
    "--time soon": ("--time", "best", "soon"),
    "--loss logisitc": ("--loss", "logistic"),
    "--tokenizer wrods": ("no tokenizer", 'did you mean "words"?'),
    "--tokenizer nope.json": ("nope.json", "No such file", "tokenizer.json"),
    "--tokenizer reviews.csv": ("reviews.csv is no tokenizer.json",),
    "--no-such-option": ("--no-such-option", "see tangentlens audit --help"),
    "--sampel 3": ("--sampel", "--sample"),
    "extra.csv": ("extra.csv", "see tangentlens audit --help"),
}


@pytest.mark.parametrize("options", BAD_OPTIONS)
def test_bad_option(run: Run, home: Path, write: Write, options: str) -> None:
    refused(run("audit", write(), *options.split()), *BAD_OPTIONS[options])
    assert left(home) == {"reviews.csv"}


def test_unknown_command_and_help(run: Run) -> None:
    refused(run("adit"), "adit", "audit", "see tangentlens --help")
    refused(run("audit"), "FILE", "see tangentlens audit --help")
    for arguments in ([], ["--help"], ["audit", "-h"], ["--version"]):
        ran = run(*arguments)
        assert (ran.status, ran.err) == (0, "")
        assert "tangentlens" in ran.out


def test_too_few_classes_for_the_loss(run: Run, write: Write) -> None:
    rows = [{"text": f"word{i}", "label": i % 3} for i in range(12)]
    refused(run("audit", write(rows=rows), "--loss", "logistic"), "two classes, not 3", "--loss softmax")


BAD_OUTPUTS = {
    "a file": ("reviews.csv", "File exists|Not a directory"),
    "below a file": ("reviews.csv/out/more", "Not a directory"),
    "in /proc": ("/proc/x", "No such file|not permitted"),
    "too long": ("x" * 300, "too long"),
    "a folder in the way": ("taken", "a folder named audit.html"),
    "control characters": ("reviews.csv/\x1b[31m", "⟨ESC⟩"),
}


@pytest.mark.parametrize("case", BAD_OUTPUTS)
def test_unwritable_output(run: Run, home: Path, write: Write, case: str) -> None:
    folder, reason = BAD_OUTPUTS[case]
    file = write()
    (home / "taken/audit.html").mkdir(parents=True)
    (home / "taken/run.json").write_text("old")
    before = left(home)
    ran = run("audit", file, "-a", "MLP", "--output", folder)
    refused(ran, "cannot write to the folder", "give another with --output")
    assert re.search(reason, ran.err)
    assert left(home) == before
    assert (home / "taken/run.json").read_text() == "old"


def test_a_good_run_writes_its_files_and_leaves_others(run: Run, home: Path, write: Write) -> None:
    ran = run("audit", write(), "-a", "MLP", "-o", "deep/out")
    assert ran.status == 0
    assert ran.err == ""
    for word in ("200 texts", "negative", "positive", "deep/out/audit.html"):
        assert word in ran.out
    assert sorted(path.name for path in (home / "deep/out").iterdir()) == FILES
    (home / "deep/out/mine.txt").write_text("kept")
    assert run("demo", "--small", "-a", "MLP", "-o", "deep/out", "-q") == Ran(0, "", "")
    assert sorted(path.name for path in (home / "deep/out").iterdir()) == sorted([*FILES, "mine.txt"])
    assert "grammar" in (home / "deep/out/run.json").read_text()


def test_nothing_of_another_command_stays_beside_a_new_run(run: Run, home: Path, write: Write) -> None:
    file = write()
    assert run("compare", file, "-a", "MLP", "--time", "5", "-o", "out", "-q").status == 0
    (home / "out/mine.parquet").write_text("kept")
    (home / "out/pairs.parquet").symlink_to("mine.parquet")
    assert (home / "out/compared.parquet").exists()
    assert run("audit", file, "-a", "MLP", "-o", "out", "-q").status == 0
    assert sorted(path.name for path in (home / "out").iterdir()) == sorted([*FILES, "mine.parquet", "pairs.parquet"])
    assert run("language", file, "-a", "MLP", "--documents", "lines", "--window", "2", "-o", "out", "-q").status == 0
    names = ["language.html", "mine.parquet", "pairs.parquet", "run.json"]
    assert sorted(path.name for path in (home / "out").iterdir()) == names
    assert (home / "out/mine.parquet").read_text() == "kept"


def test_files_of_our_names_stay_where_no_run_of_ours_has_been(run: Run, home: Path, write: Write) -> None:
    (home / "out").mkdir()
    for name, content in (("compared.parquet", "mine"), ("run.json", "{}")):
        (home / "out" / name).write_text(content)
        assert run("audit", write(), "-a", "MLP", "-o", "out", "-q").status == 0
        assert (home / "out/compared.parquet").read_text() == "mine"
        for made in FILES:
            (home / "out" / made).unlink()


def test_labels_that_differ_only_in_white_space_are_noted(run: Run, home: Path, write: Write) -> None:
    texts, names = _reviews(200)
    labels = [f" {name}" if row % 5 == 0 and name == "positive" else name for row, name in enumerate(names)]
    rows: list[dict[str, object]] = [{"text": text, "label": label} for text, label in zip(texts, labels, strict=True)]
    ran = run("audit", write(rows=rows), "-a", "MLP", "--time", "5")
    assert ran.status == 0
    assert "white space around them count as different classes: ' positive', 'positive'." in " ".join(ran.out.split())
    assert "white space around them" in (home / "audit-output/audit.html").read_text(encoding="utf-8")


def test_quiet_and_json(run: Run, home: Path, write: Write) -> None:
    file = write()
    assert run("audit", file, "--quiet", "-a", "MLP") == Ran(0, "", "")
    ran = run("audit", file, "--json", "-a", "MLP", "-a", "CNN:padding=valid")
    assert (ran.status, ran.err) == (0, "")
    assert ran.out == (home / "audit-output/run.json").read_text()
    assert [result["architecture"] for result in json.loads(ran.out)["results"]] == ["MLP", "CNN:padding=valid"]
    refused(run("audit", "none.csv", "--quiet"), "no such file")


def test_a_learning_rate_above_the_critical_one_warns(run: Run, write: Write) -> None:
    arguments = ("audit", write(), "-a", "MLP", "-a", "CNN", "--steps", "20", "--learning-rate", "100")
    ran = run(*arguments)
    assert ran.status == 0
    line = r"tangentlens: warning: (MLP|CNN): learning rate 100 is above the critical one, [\d.]+: [^\n]*diverge\n"
    assert re.fullmatch(f"({line}){{2}}", ran.err), ran.err
    assert "Note: MLP: learning rate 100 is above" in ran.out
    ran = run(*arguments, "--json")
    notes = json.loads(ran.out)["notes"]
    assert [note for note in notes if re.fullmatch(r"(MLP|CNN): learning rate 100 is above.*", note)] == notes[:2]
    assert "learning rate 100 is above" in Path("audit-output/audit.html").read_text()
    assert run(*arguments, "--quiet") == Ran(0, "", "")
    assert "warning" not in run(*arguments[:-1], "0.1").err


def test_a_learning_rate_that_diverges(run: Run, write: Write) -> None:
    ran = run("audit", write(), "-a", "MLP", "--loss", "squared", "--steps", "3000", "--learning-rate", "1e6", "--json")
    assert ran.status == 0
    json.loads(ran.out, parse_constant=pytest.fail)
    assert re.fullmatch(r"tangentlens: warning: [^\n]+\n", ran.err)


def test_labels_that_cannot_be_told_from_the_texts(run: Run, write: Write) -> None:
    rows = [{"text": f"word{i}", "label": i % 2} for i in range(40)]
    ran = run("audit", write(rows=rows), "-a", "MLP")
    assert ran.status == 0
    assert "before anything is learned" in " ".join(ran.out.split())


def test_texts_without_any_window_are_counted(run: Run, write: Write) -> None:
    rows = [{"text": text, "label": label} for text, label in
            [("so very good", 1), ("so very bad", 0), ("good", 1), ("bad film", 0)] * 4]
    ran = run("audit", write(rows=rows), "-a", "CNN:padding=valid", "-a", "MLP", "--validation", "0")
    assert "Note: CNN:padding=valid: 8 training texts hold no window" in ran.out
    results = json.loads(Path("audit-output/run.json").read_text())["results"]
    assert [result["windowless"] for result in results] == [8, 0]


def test_no_text_has_a_window(run: Run, write: Write) -> None:
    rows = [{"text": text, "label": label} for text, label in [("good", 1), ("bad film", 0)] * 10]
    ran = run("audit", write(rows=rows), "-a", "CNN:padding=valid")
    assert ran.status == 0
    assert "hold no window" in ran.out


def test_two_texts_and_no_validation(run: Run, write: Write) -> None:
    ran = run("audit", write(rows=[{"text": "good", "label": "yes"}, {"text": "bad", "label": "no"}]))
    assert (ran.status, ran.err) == (0, "")
    assert "2 texts (2 training, 0 validation)" in ran.out
    assert "No text is held out" in ran.out


def test_a_class_without_held_out_text_and_five_classes(run: Run, write: Write) -> None:
    rows: list[dict[str, object]] = [{"text": f"common{i % 5} word{i % 3}", "label": "abcd"[i % 4]} for i in range(80)]
    rows.append({"text": "a single text", "label": "rare"})
    for row in rows:
        row["text"] = f"{row['text']} {row['label']}ness"
    ran = run("audit", write(rows=rows), "-a", "MLP", "-a", "CNN")
    assert ran.status == 0
    assert "single" in pl.read_parquet("audit-output/scores.parquet")["feature"].to_list()
    assert set(pl.read_parquet("audit-output/scores.parquet")["class"]) == {"a", "b", "c", "d", "rare"}


def test_skipped_rows_are_counted_everywhere(run: Run, home: Path) -> None:
    lines = [f"{text},{label}" for text, label in zip(*_reviews(200), strict=True)]
    (home / "r.csv").write_text("\n".join(["text,label", *lines, ",positive", "good,", "a,b,c"]), encoding="utf-8")
    refused(run("audit", "r.csv"), "row 201", "--on-bad-row skip")
    ran = run("audit", "r.csv", "--on-bad-row", "skip", "-a", "MLP")
    assert ran.status == 0
    assert "3 skipped rows" in " ".join(ran.out.split())
    assert "3 rows had no usable text or label" in ran.out
    assert json.loads((home / "audit-output/run.json").read_text())["data"]["skipped"] == 3
    assert "3 rows had no usable text or label" in (home / "audit-output/audit.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("labels", [
    (False, True), (0, 2**40),
    (-1, 1), (0.5, 2.5), ("", "x"), ("日本", "<b>")], ids=repr)
def test_labels_of_any_kind_have_features(run: Run, write: Write, labels: tuple[object, object]) -> None:
    texts, names = _reviews(200)
    rows = [{"text": text, "label": labels[name == "positive"]} for text, name in zip(texts, names, strict=True)]
    ran = run("audit", write("r.jsonl", rows), "-a", "MLP")
    if "" in labels:
        refused(ran, "line 1" if rows[0]["label"] == "" else "line", "label is missing")
        return
    assert ran.status == 0
    table = ran.out[ran.out.index("MLP: strongest"):]
    assert re.search(r"^\S+ +\S+ +token", table, re.MULTILINE), table


HOSTILE = "\x1b[31mred\x1b]0;title\x07[bold]markup[/bold]\u202e[link=http://x.invalid]"


def test_hostile_names_and_labels_are_shown_not_read(run: Run, home: Path) -> None:
    name = f"{HOSTILE.replace('/', '')}.jsonl"
    pairs = zip(*_reviews(200), strict=True)
    rows = [{"text": f"{HOSTILE} {text}", "label": f"{HOSTILE}{label}"} for text, label in pairs]
    (home / name).write_text("\n".join(map(json.dumps, rows)))
    ran = run("audit", name, "-a", "MLP", "-o", f"out{HOSTILE.replace('/', '')}")
    assert ran.status == 0
    assert "[bold]markup" in ran.out
    for text in (ran.out, run("audit", f"{name}x").err, run("audit", name, "--text", HOSTILE).err,
                 run("audit", name, "-a", HOSTILE).err, run(HOSTILE).err, run("audit", name, "--time", HOSTILE).err):
        assert not [c for c in text if (ord(c) < 32 and c != "\n") or 127 <= ord(c) < 160 or c == "\u202e"]
        assert text.count("\n") == 1 or text is ran.out
    assert "\x1b" not in run("audit", name, "-a", "MLP", "--json").out


def test_same_seed_same_result(run: Run, home: Path, write: Write) -> None:
    file = write()
    arguments = ("audit", file, "-a", "MLP", "-a", "CNN", "--sample", "150", "--seed", "3", "-q")
    assert [run(*arguments, "-o", name).status for name in ("one", "two")] == [0, 0]
    one, two = (pl.read_parquet(home / name / "scores.parquet") for name in ("one", "two"))
    assert one.equals(two)
    assert (home / "one/scores.parquet").read_bytes() == (home / "two/scores.parquet").read_bytes()
    texts = [(home / name / "run.json").read_text() for name in ("one", "two")]
    assert len({re.sub(r'"seconds": [\d.]+', "", text) for text in texts}) == 1
    assert run(*arguments[:-2], "4", "-q", "-o", "three").status == 0
    assert not one.equals(pl.read_parquet(home / "three/scores.parquet"))


def test_a_tokenizer_whose_path_is_not_unicode(run: Run, home: Path, write: Write) -> None:
    tokens = tl.tokenize(["good bad film"])
    path = home / "t\udcff.json"
    path.write_text(json.dumps({"version": "1.0", "added_tokens": [], "model": {
        "type": "WordLevel", "vocab": {**tokens.vocabulary.ids, "?": 3}, "unk_token": "?"},
        "pre_tokenizer": {"type": "Whitespace"}}))
    ran = run("audit", write(), "-a", "MLP", "--tokenizer", str(path))
    assert (ran.status, ran.err) == (0, "")
    assert "udcff" in json.loads((home / "audit-output/run.json").read_text())["settings"]["tokenizer"]


def _reviews(size: int) -> tuple[tuple[str, ...], list[str]]:
    small = tl.small_reviews(size)
    assert small.labels is not None
    return tuple(text.replace(",", ";") for text in small.texts), small.labels.tolist()
