"""Softmax dynamics of next-token problems: exact against an integrator, mini-batches against exact."""

from __future__ import annotations

import numpy as np
import pytest
from cases import SPARSE, distance
from scipy.integrate import solve_ivp
from scipy.special import log_softmax, softmax

import tangentlens as tl
from tangentlens import Batches
from tangentlens.errors import OptionError
from tangentlens.learning.minibatch import solve_in_batches
from tangentlens.learning.next_token import NextToken, outputs_of, solve_exactly

SOME = ["mlp", "attention-tied", "matrix-vector", "linear-rnn-last-frozen", "elman-rnn-last-frozen", "cnn3-same"]


def contexts_of(tokens: int = 150, types: int = 9, window: int = 6, seed: int = 0) -> tl.Contexts:
    """A chain in which every token depends on the one before."""
    rng = np.random.default_rng(seed)
    chances = rng.dirichlet(np.full(types, 0.3), types)
    ids = [0]
    while len(ids) < tokens:
        ids.append(int(rng.choice(types, p=chances[ids[-1]])))
    documents = [ids[low:low + 50] for low in range(0, tokens, 50)]
    return tl.Contexts(tl.Corpus(tl.Tokens.from_ids([*documents, list(range(types))], vocabulary_size=types)), window)


def problem_of(name: str, start: str = "unigram", targets: int | None = None) -> NextToken:
    contexts = contexts_of()
    return NextToken(contexts, SPARSE[name], outputs_of(contexts, start, targets))


def outputs(problem: NextToken, learned) -> np.ndarray:
    features = problem.features(np.arange(len(problem.contexts)))
    return problem.outputs.start + features.pull(learned.scores)


@pytest.mark.parametrize("name", SOME)
@pytest.mark.parametrize("start", ["uniform", "unigram"])
def test_the_exact_flow_is_that_of_an_integrator(name, start):
    """df/dt = Θ (y − softmax(f)) / n with the dense kernel of contexts copied out."""
    problem = problem_of(name, start)
    kernel = problem.features(np.arange(len(problem.contexts))).kernel()
    y = np.eye(len(problem.outputs))[problem.contexts.targets]
    begin = np.tile(problem.outputs.start, (len(y), 1))
    flow = solve_ivp(lambda t, f: (kernel @ (y - softmax(f.reshape(y.shape), axis=1)) / len(y)).ravel(), (0, 5.0),
                     begin.ravel(), method="LSODA", rtol=1e-9, atol=1e-11)
    learned = solve_exactly(problem, 5.0, 1e-6)
    assert distance(outputs(problem, learned) - begin, flow.y[:, -1].reshape(y.shape) - begin) < 1e-5


@pytest.mark.parametrize("name", SOME)
def test_full_batches_converge_at_first_order(name):
    """Twice the steps, half the error."""
    problem = problem_of(name)
    exact = outputs(problem, solve_exactly(problem, 5.0, 1e-6)) - problem.outputs.start
    errors = []
    for steps in (100, 200):
        learned = solve_in_batches(problem, 5.0, Batches(size=10**6, steps=steps))
        assert learned.time == pytest.approx(5.0, rel=1e-12)
        errors.append(distance(outputs(problem, learned) - problem.outputs.start, exact))
    assert errors[0] < 0.05
    assert errors[1] == pytest.approx(errors[0] / 2, rel=0.1)


@pytest.mark.parametrize("size", [10, 50])
def test_mini_batches_converge_to_the_exact_flow(size):
    """Four times the steps to the same time, in whole passes there and back: a quarter of the error."""
    contexts = contexts_of()[:150]
    problem = NextToken(contexts, tl.MLP(), outputs_of(contexts, "unigram"))
    exact = outputs(problem, solve_exactly(problem, 20.0, 1e-6)) - problem.outputs.start
    errors = [distance(outputs(problem, solve_in_batches(problem, 20.0, Batches(size, steps))) - problem.outputs.start,
                       exact) for steps in (150, 600, 2400)]
    assert errors[1] < errors[0] / 3
    assert errors[2] < errors[1] / 3
    assert errors[2] < 0.01
    automatic = solve_in_batches(problem, 200.0, Batches(size))
    passes = automatic.steps * size / len(contexts)
    assert passes == pytest.approx(2 * round(passes / 2), abs=1e-6)


def test_larger_batches_are_closer_within_a_pass():
    """As many steps to the same time; averaged over seeds the noise falls with the batch."""
    problem = problem_of("mlp")
    exact = outputs(problem, solve_exactly(problem, 4.0, 1e-5)) - problem.outputs.start
    errors = [np.mean([distance(outputs(problem, solve_in_batches(problem, 4.0, Batches(size, 10, seed=seed)))
                                - problem.outputs.start, exact) for seed in range(8)]) for size in (2, 8, 32)]
    assert errors[0] > 1.4 * errors[1] > 1.4**2 * errors[2]


def test_every_context_counts_equally():
    """Four passes of batches of 40, 40, 40 and 30 contexts, in a time so short that nothing but their sum matters."""
    contexts = contexts_of()[:150]
    problem = NextToken(contexts, tl.MLP(), outputs_of(contexts, "unigram"))
    learned = solve_in_batches(problem, 1e-6, Batches(40, steps=15))
    assert learned.steps == 16
    (first,) = tl.first_order(contexts, tl.MLP())
    features = problem.features(np.arange(150))
    assert distance(features.pull(learned.scores), first.scores(1e-6, "unigram").apply(features)) < 1e-5


def test_rare_targets_share_one_output():
    """The coarse model is exact for its outputs, and its probabilities over types add up to one."""
    contexts = contexts_of()
    model = tl.learn_next(contexts, tl.MLP(), time=5.0, targets=4)
    assert len(model.outputs) == 5
    assert model.names[-1] == "<other>"
    assert model.outputs.start == pytest.approx(np.log(np.bincount(model.outputs.class_of, contexts.unigram)))
    frequent = np.argsort(-contexts.unigram, kind="stable")[:4]
    assert [model.vocabulary[place] for place in frequent] == [model.names[model.outputs.class_of[place]]
                                                               for place in frequent]
    table = model.next_token("0 1", most=99)
    assert table["probability"].sum() == pytest.approx(1, rel=1e-12)
    own = model.log_probabilities(contexts)
    f = log_softmax(model.logits(contexts.tokens()), axis=1)
    rows = model.outputs.class_of[contexts.targets]
    expected = f[np.arange(len(rows)), rows] + np.log(model.outputs.share[contexts.targets])
    assert distance(own, expected) < 1e-12


def test_time_runs_out():
    learned = solve_in_batches(problem_of("mlp"), 1e5, Batches(8, seconds=0.05))
    assert 0 < learned.time < 1e5
    assert learned.seconds < 5
    assert learned.curves["time"].is_sorted()


def test_loss_falls():
    learned = solve_in_batches(problem_of("mlp"), 50.0, Batches(8))
    losses = learned.curves["loss"].to_numpy()
    assert losses[-20:].mean() < losses[:20].mean()
    assert learned.rate < learned.critical_rate


def test_what_cannot_be_solved_is_refused():
    problem = problem_of("mlp")
    with pytest.raises(OptionError, match=r"at least \d+ steps"):
        solve_in_batches(problem, 1e4, Batches(8, steps=2))
    with pytest.raises(OptionError, match=r"targets=\d+ would fit"):
        solve_in_batches(problem, 1.0, Batches(8), memory=3e-6)
    with pytest.raises(OptionError, match="positive number"):
        solve_exactly(problem, 0.0)
    with pytest.raises(OptionError, match="whole number"):
        Batches(size=0)
    with pytest.raises(OptionError, match="uniform or unigram"):
        outputs_of(problem.contexts, "zero")
    large = NextToken(contexts_of(20_000, types=500), tl.MLP(), outputs_of(contexts_of(20_000, types=500), "uniform"))
    with pytest.raises(OptionError, match="too many for the exact flow"):
        solve_exactly(large, 1.0)
