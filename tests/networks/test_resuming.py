"""A training that is killed or interrupted, however often, ends as if nothing had happened, to the last bit."""

import gc
import itertools
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from cases import random_texts
from safetensors import safe_open

import tangentlens as tl
from tangentlens.errors import DataError, OptionError, OutputError
from tangentlens.networks import build, train, training

NETS = {"mlp": tl.MLP(), "frozen": tl.CNN(train_embedding=False), "linear-rnn": tl.LinearRNN()}
MODES = {"full": {}, "batches": {"batch_size": 7, "momentum": 0.9, "seed": 3}}
every_mode = pytest.mark.parametrize("mode", MODES)


def network_of(name, seed=0, **options):
    return build(NETS[name], **{"vocabulary_size": 30, "width": 24, "outputs": 3, "seed": seed} | options)


def run(network, **options):
    tokens, labels = random_texts(40, classes=3)
    return train(network, tokens, labels, **{"learning_rate": 0.3, "steps": 120, "probes": tokens[:9]} | options)


def assert_same(done, network, other, twin):
    np.testing.assert_array_equal(done.steps, other.steps)
    np.testing.assert_array_equal(done.probes, other.probes)
    assert done.curves.equals(other.curves)
    for (name, p), q in zip(network.named_parameters(), twin.parameters(), strict=True):
        assert torch.equal(p, q), name


def readable(path):
    """The step of a checkpoint, all of which can be read."""
    with safe_open(path, framework="pt") as file:
        assert all(torch.isfinite(file.get_tensor(name)).all() for name in file.keys())  # noqa: SIM118
        return int(file.metadata()["step"])


def written(path):
    """When a checkpoint was written; 0 if there is none."""
    return os.stat(path).st_mtime_ns if os.path.exists(path) else 0


KILLED = """
import os, random, signal, sys, time
sys.path[:0] = {folders!r}
import torch
torch.set_num_threads(1)
from test_resuming import MODES, long_run, network_of, readable, run, training, written
run(network_of("mlp"), steps=1)  # children are fast from the start
training.SAVING = {saving}
random.seed({kills})
for mode in MODES:
    path = {folder!r} + "/" + mode
    for kill in range({kills}):
        before, child = written(path), os.fork()
        if not child:
            long_run(network_of("mlp"), mode, checkpoint=path)
            os._exit(0)
        if kill:  # however busy the machine is, a checkpoint was written by this child
            while written(path) == before and not os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                time.sleep(0.001)
        time.sleep(random.uniform(0.0, 0.05) if kill else random.uniform(0.02, 0.12))
        os.kill(child, signal.SIGKILL)
        died = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        print(mode, died, readable(path) if os.path.exists(path) else -1, flush=True)
"""


def long_run(network, mode, **options):
    return run(network, **MODES[mode], steps=300, record=range(0, 301, 7), **options)


@pytest.mark.parametrize(("kills", "saving"), [(3, 0.0), pytest.param(8, 0.01, marks=pytest.mark.slow)])
def test_a_killed_training_goes_on_to_the_same_end(kills, saving, tmp_path):
    """SIGKILL at random moments, mostly while a checkpoint is written; what remains is always whole."""
    here = Path(__file__).parent
    script = KILLED.format(folders=[str(here), str(here.parent)], saving=saving, kills=kills, folder=str(tmp_path))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120)
    rows = [line.split() for line in done.stdout.splitlines()]
    assert [row[0] for row in rows] == [mode for mode in MODES for _ in range(kills)]
    for mode in MODES:
        steps = [int(step) for name, _, step in rows if name == mode]
        assert steps == sorted(steps)
        assert sum(died == str(-signal.SIGKILL) for name, died, _ in rows if name == mode) > 0
        assert any(0 < step < 300 for step in steps)
        uninterrupted, resumed = network_of("mlp"), network_of("mlp")
        expected = long_run(uninterrupted, mode)
        assert_same(long_run(resumed, mode, checkpoint=tmp_path / mode), resumed, expected, uninterrupted)


@every_mode
@pytest.mark.parametrize("name", NETS)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_interruptions_at_any_moment_change_nothing(mode, name, tmp_path, monkeypatch):
    """A timer raises KeyboardInterrupt between any two instructions; the half-trained network itself is used again.

    PyTorch may then be left without gradients, as after `torch.set_grad_enabled(False)`, and still all is the same.
    """
    monkeypatch.setattr(training, "SAVING", 0.0)
    uninterrupted, network = network_of(name), network_of(name)
    expected = run(uninterrupted, **MODES[mode])
    delays = np.random.default_rng(0).uniform(0.02, 0.06, 1000).tolist()
    kept = signal.signal(signal.SIGALRM, signal.default_int_handler)
    gc.disable()  # interruptions in callbacks of the garbage collector come to nothing
    try:
        for attempt in itertools.count():
            signal.setitimer(signal.ITIMER_REAL, delays[attempt] + 0.01 * attempt)
            try:
                done = run(network, **MODES[mode], checkpoint=tmp_path / "run")
                signal.setitimer(signal.ITIMER_REAL, 0)
                break
            except (KeyboardInterrupt, ValueError, TypeError):  # safetensors and Polars make errors of their own of it
                assert not (tmp_path / "run").exists() or readable(tmp_path / "run") <= 120
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, kept)
        gc.enable()
        torch.set_grad_enabled(True)
    assert attempt > 0
    assert_same(done, network, expected, uninterrupted)


@every_mode
@pytest.mark.parametrize("place", ["gradient", "first parameter", "last parameter", "record", "watch", "progress"])
def test_an_interruption_at_every_place_of_a_step_changes_nothing(mode, place, tmp_path, monkeypatch):
    """With the default time between checkpoints, so that only the start and the interruption write one."""
    uninterrupted, network, calls = network_of("mlp"), network_of("mlp"), []
    expected = run(uninterrupted, **MODES[mode])

    def interrupted(function, at):
        def wrapped(*arguments, **options):
            calls.append(place)
            if len(calls) == at:
                raise KeyboardInterrupt
            return function(*arguments, **options)
        return wrapped

    options = {}
    if place in ("watch", "progress"):
        options[place] = interrupted(lambda *arguments: None, 5)
    elif place == "gradient":
        monkeypatch.setattr(torch.autograd, "grad", interrupted(torch.autograd.grad, 50))
    elif place == "record":
        monkeypatch.setattr(training._Run, "outputs", interrupted(training._Run.outputs, 9))
    else:
        method, at = ("sub_", 100) if mode == "full" else ("mul_", 100)
        at += 0 if place == "first parameter" else len(list(network.parameters())) - 2
        monkeypatch.setattr(torch.Tensor, method, interrupted(getattr(torch.Tensor, method), at))
    with pytest.raises(KeyboardInterrupt):
        run(network, **MODES[mode], checkpoint=tmp_path / "run", **options)
    monkeypatch.undo()
    step = readable(tmp_path / "run")
    assert (step == 0) == ("parameter" in place)
    assert_same(run(network, **MODES[mode], checkpoint=tmp_path / "run"), network, expected, uninterrupted)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_finished_training_is_read_and_not_repeated(tmp_path, monkeypatch):
    first, again = network_of("mlp"), network_of("mlp")
    done = run(first, checkpoint=tmp_path / "new" / "run.safetensors")
    monkeypatch.setattr(training._Run, "advance", lambda run: pytest.fail("trained again"))
    assert_same(run(again, checkpoint=tmp_path / "new" / "run.safetensors"), again, done, first)


CHANGES = {
    "seed of the network": ({"seed": 1}, {}), "width": ({"width": 23}, {}), "dtype": ({"dtype": torch.float64}, {}),
    "vocabulary": ({"vocabulary_size": 31}, {}), "architecture": ({"name": "mlp"}, {}),
    "rate": ({}, {"learning_rate": 0.2}), "steps": ({}, {"steps": 121}), "momentum": ({}, {"momentum": 0.5}),
    "loss": ({}, {"loss": "squared"}), "batches": ({}, {"batch_size": 5}), "order of batches": ({}, {"seed": 1}),
    "record": ({}, {"record": [5]}), "probes": ({}, {"probes": random_texts(40)[0][1:10]}),
    "fewer probes": ({}, {"probes": random_texts(40)[0][:8]}),
}


@pytest.mark.parametrize(("network", "options"), CHANGES.values(), ids=CHANGES)
def test_the_checkpoint_of_another_training_is_refused(network, options, tmp_path):
    """Also where shapes would allow it: other frozen embeddings, other probes."""
    run(network_of("frozen"), batch_size=7, checkpoint=tmp_path / "run")
    before = (tmp_path / "run").read_bytes()
    with pytest.raises(OptionError, match=r"run is the checkpoint of another training .* delete it, or choose"):
        run(network_of(**{"name": "frozen"} | network), **{"batch_size": 7} | options, checkpoint=tmp_path / "run")
    assert (tmp_path / "run").read_bytes() == before


def test_other_texts_or_labels_are_another_training(tmp_path):
    tokens, labels = random_texts(20, classes=3)
    options = {"learning_rate": 0.1, "steps": 4, "checkpoint": tmp_path / "run"}
    train(network_of("mlp"), tokens, labels, **options)
    for other in ((tokens[::-1], labels), (tokens, labels[::-1]), (tokens, [f"{label}!" for label in labels])):
        with pytest.raises(OptionError, match="another training"):
            train(network_of("mlp"), *other, **options)


def test_whole_numbers_of_any_type_are_the_same_training(tmp_path):
    run(network_of("mlp"), steps=9, record=[2, 4], checkpoint=tmp_path / "run")
    run(network_of("mlp"), steps=np.int64(9), record=np.array([2.0, 4.0]), checkpoint=tmp_path / "run")


@pytest.mark.parametrize("damage", ["cut", "empty", "text", "folder"])
def test_a_damaged_checkpoint_is_refused_and_left_alone(damage, tmp_path):
    path = tmp_path / "run"
    run(network_of("mlp"), steps=3, checkpoint=path)
    content = path.read_bytes()
    if damage == "folder":
        path.unlink()
        path.mkdir()
    else:
        path.write_bytes({"cut": content[:-100], "empty": b"", "text": b"step 3\n" * 9}[damage])
    with pytest.raises(DataError, match=r"run is not a readable checkpoint \(.*\); delete it to start anew"):
        run(network_of("mlp"), steps=3, checkpoint=path)
    assert list(tmp_path.iterdir()) == [path]


def test_a_checkpoint_that_cannot_be_written_says_so(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"cannot write the checkpoint .*; free some space, or choose another place"):
        run(network_of("mlp"), steps=3, checkpoint=tmp_path / "file" / "run")
    run(network_of("mlp"), steps=3, checkpoint=tmp_path / "run")
    before = (tmp_path / "run").read_bytes()

    def full(*arguments, **options):
        Path(arguments[1]).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tangentlens.networks.checkpoints.save_file", full)
    with pytest.raises(OutputError, match="No space left on device"):
        run(network_of("mlp"), steps=3, checkpoint=tmp_path / "run")
    assert (tmp_path / "run").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "run"]
