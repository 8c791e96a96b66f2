"""The benchmarks against peers: pairs alternate, fits find exponents, both sides are compared before they are timed."""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from cases import store_by_texts

import tangentlens as tl

pytest.importorskip("sklearn", reason="the benchmarks compare with scikit-learn (extra benchmarks)")
ROOT = Path(__file__).parents[1]
TEXTS = [" ".join(f"w{word}_x" if word % 7 == 0 else f"Word{word}" for word in
                  np.random.default_rng(row).integers(0, 40, size=12 + row % 9)) + " a, don't!" for row in range(50)]


@pytest.fixture(autouse=True)
def root_on_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder is no part of the installed package."""
    monkeypatch.syspath_prepend(str(ROOT))


def test_pairs_alternate_after_one_comparison() -> None:
    from benchmarks.paired import Paired, in_turns

    seen: list[object] = []
    paired = in_turns(lambda: seen.append("a") or 1, lambda: seen.append("b") or 2,
                      lambda a, b: seen.append((a, b)), 3)
    assert seen == ["a", "b", (1, 2), "a", "b", "a", "b", "a", "b"]
    assert len(paired.ours) == len(paired.theirs) == 3
    assert Paired((1.0, 2.0, 1.0), (3.0, 4.0, 5.0)).row()["ratio"] == 3

    def differ(a: int, b: int) -> None:
        raise AssertionError("they differ")
    with pytest.raises(AssertionError, match="differ"):
        in_turns(lambda: 1, lambda: 2, differ, 3)


def test_a_power_law_is_found_and_extended() -> None:
    from benchmarks.growth import PowerLaw

    sizes = [250, 500, 1000]
    law = PowerLaw.fit(sizes, [3e-5 * n**1.7 for n in sizes])
    assert law.slope == pytest.approx(1.7)
    assert law.at(6920) == pytest.approx(3e-5 * 6920**1.7)
    with pytest.raises(ValueError, match="two sizes"):
        PowerLaw.fit([10, 10], [1, 2])


def test_the_vectorizer_has_the_same_vocabulary_and_counts() -> None:
    from benchmarks import vectorizer

    features, counts = vectorizer.ours(TEXTS)
    theirs = vectorizer.theirs(TEXTS)
    vectorizer.check((features, counts), theirs)
    counts[1].data[0] += 1
    with pytest.raises(AssertionError, match="differ"):
        vectorizer.check((features, counts), theirs)


def test_the_explicit_matrix_is_the_map() -> None:
    from benchmarks import regression

    tokens = tl.tokenize(TEXTS)
    for architecture in regression.ARCHITECTURES:
        features = architecture.features(tokens)
        x = regression.explicit(features)
        assert np.allclose((x @ x.T).toarray(), features.kernel(), rtol=1e-12)
    row = regression.row_of(tl.MLP(), tokens, np.where(np.arange(50) % 3 == 0, 1.0, -1.0), repeats=1)
    assert row["our_loss"] == pytest.approx(row["loss"], rel=regression.CLOSE)


def test_bandwidth_counts_the_bytes_that_are_stored() -> None:
    from benchmarks import bandwidth
    from tangentlens.learning import KernelProduct

    product = KernelProduct(tl.MLP().features(tl.tokenize(TEXTS)))
    row = bandwidth.row_of(product, bandwidth.Memory(2**16), repeats=1)
    assert row["stored"] * 1e6 >= 2 * product.nnz * (8 + 4)
    assert row["share"] == pytest.approx(row["rate_median"] / row["read_median"])
    assert (row["twice"] is None) == (shutil.which("cc") is None)  # else they were found to be equal
    assert row["error"] < 1e-5
    memory = bandwidth.Memory(2**16)
    memory.triad()
    assert (memory.arrays[0] == 2 + 3 * 3).all()


def test_bandwidth_of_a_map_that_is_stored_by_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmarks import bandwidth
    from tangentlens.learning import KernelProduct

    store_by_texts(monkeypatch)
    product = KernelProduct(tl.MLP().features(tl.tokenize(TEXTS)))
    row = bandwidth.row_of(product, bandwidth.Memory(2**16), repeats=1)
    assert product.runs
    assert row["stored"] * 1e6 >= 2 * product.nnz * (8 + 4)
    assert row["twice"] is row["once"] is row["narrow"] is row["error"] is None


def test_made_up_reviews_are_seeded_and_written_group_by_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    from benchmarks import resampling

    monkeypatch.setattr(resampling, "GROUP", 8)
    real = resampling.Reviews(["Good. Very good! Fine?", "Bad. So bad.", "Nice."], [1, 0, 1])
    for name, rows, seed in (("a", 20, 0), ("b", 30, 0), ("c", 20, 1)):
        resampling.write(tmp_path / name, rows, seed, real)
    a, b, c = (pq.read_table(tmp_path / name) for name in "abc")
    assert pq.ParquetFile(tmp_path / "a").metadata.num_row_groups == 3
    assert a.equals(b.slice(0, 20))
    assert not a.equals(c)
    own = {1: {"Good.", "Very good!", "Fine?", "Nice."}, 0: {"Bad.", "So bad."}}
    drawn = [(row["label"], sentence) for row in b.to_pylist() for sentence in resampling.END.split(row["text"])]
    assert {sentence for _, sentence in drawn} <= own[0] | own[1]
    assert 0.5 < np.mean([sentence in own[label] for label, sentence in drawn]) < 1
    made = resampling.groups(real, 10**12, 0)  # lazily: never more than one group is made
    assert len(next(made)) == 8


def test_slopes_leave_out_what_failed() -> None:
    from benchmarks import scale

    rows = [{"architecture": "MLP", "texts": n, "state": "ok", "seconds_median": n / 50, "processor_median": n**1.1,
             "peak_median": 200.0} for n in (100, 1000, 10_000)]
    found = scale.slopes([*rows, {"architecture": "MLP", "texts": 10**6, "state": "exit 1: no memory"}])
    assert [round(found[0][key], 6) for key in ("seconds", "processor", "peak")] == [1.0, 1.1, 0.0]
    assert found[0]["to"] == 10_000


def test_settings_that_may_be_faster_than_the_first_that_fits_are_tried() -> None:
    """Seconds are foretold roughly: one that is to take a little longer is tried as well, not one far longer."""
    pytest.importorskip("torch")
    from benchmarks import twin
    from benchmarks.asked import Asked

    seconds = dict(zip(twin.SETTINGS, [0.01, 0.05, 0.06], strict=False))
    case = SimpleNamespace(tokens=range(10**6), small_steps=twin.Setting(None, 0.9, 0.01), steps=lambda setting: 7,
                           foretold=lambda setting: seconds.get(setting, 9.0))

    def trained(setting: object) -> np.ndarray:
        time.sleep(case.foretold(setting))
        return np.full(3, 5.0 if case.foretold(setting) < 0.05 else 1.0)

    case.trained = trained
    rows = [row for _, row in twin.tried(case, np.ones(3), Asked())]
    assert [row["foretold"] for row in rows] == [0.01, 0.05, 0.06]
    assert [row["state"] for row in rows] == ["ends elsewhere", "fits", "fits"]


def test_the_network_by_hand_is_the_twin() -> None:
    torch = pytest.importorskip("torch")
    from benchmarks.twin_by_hand import Batch, MLPByHand, Setting

    tokens, y = tl.tokenize(TEXTS), np.where(np.arange(50) % 3 == 0, 1.0, -1.0)
    size = len(tokens.vocabulary)
    for momentum in (0.0, 0.5):
        mine, drawn, whole = MLPByHand(size, 16), MLPByHand(size, 16), Batch(tokens)
        before = mine.outputs(whole)
        mine.train(tokens, torch.as_tensor(y, dtype=torch.float32), Setting(None, momentum, 1.0), 2.0, 20)
        twin = tl.networks.build(tl.MLP(), vocabulary_size=size, width=16)
        with torch.no_grad():
            twin.embedding.copy_(drawn.embedding)
            twin.weights[0].copy_(drawn.weight)
            twin.readout.copy_(drawn.readout[:, None])
        done = tl.networks.train(twin, tokens, y, learning_rate=2.0, steps=20, momentum=momentum, probes=tokens)
        assert np.allclose((mine.outputs(whole) - before).numpy(), done.probes[-1][:, 0], atol=1e-5)
    assert Setting(64, 0.9, 0.5).steps(1000.0, 10.0) == 11  # 1000 × (1 − 0.9) / (0.5 × 10 × 1.9)


def test_a_kernel_or_an_output_that_differs_is_an_error(tmp_path: Path) -> None:
    from benchmarks import neural_tangents as peer

    tokens, y = tl.tokenize(TEXTS), np.where(np.arange(50) % 3 == 0, 1, -1)
    features = tl.CNN().features(tokens)
    theta, end = features.kernel(), 50.0
    results = {loss: theta @ tl.learn(features, y, loss, time=end).duals[-1][:, 0] for loss in peer.LOSSES}
    np.savez(tmp_path / "same.npz", kernel=theta, **results)
    assert peer.check(tl.CNN(), tokens, y, end, tmp_path / "same.npz")["kernel"] < 1e-12
    np.savez(tmp_path / "other.npz", kernel=theta * 1.001, **results)
    with pytest.raises(AssertionError, match="kernels differ"):
        peer.check(tl.CNN(), tokens, y, end, tmp_path / "other.npz")


def test_the_worker_is_asked_and_answers_in_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmarks import neural_tangents as peer

    worker = tmp_path / "worker.py"
    worker.write_text("import json\nwhile True:\n    line = json.loads(input())\n"
                      "    if line['n'] == 0:\n        break\n"
                      "    print(json.dumps({'twice': 2 * line['n']}), flush=True)\n")
    monkeypatch.setattr(peer, "WORKER", worker)
    with peer.started(Path(sys.executable)) as process:
        assert [process.ask(n=3), process.ask(n=4)] == [{"twice": 6}, {"twice": 8}]
        with pytest.raises(RuntimeError, match="ended"):
            process.ask(n=0)


def test_sizes_and_names_are_options(capsys: pytest.CaptureFixture[str]) -> None:
    from benchmarks.__main__ import HEAVY, MINUTES, parsed

    options = parsed(["--only", "scale", "--sizes", "10,200", "--architectures", "MLP,CNN"])
    assert (options.sizes, options.architectures) == ((10, 200), ("MLP", "CNN"))
    assert not set(HEAVY) & set(MINUTES)
    with pytest.raises(SystemExit):
        parsed(["--only", "nothing"])
