"""The variance that random initial outputs add: the dense formula, sampled linear networks, and both ends of time."""

import numpy as np
import pytest
from cases import ALL, NEW, distance, labels_of, random_texts, tokens_of
from scipy import linalg

import tangentlens as tl
from tangentlens.errors import DataError, OptionError, ShapeError
from tangentlens.predictions import prior

NETS = {"mlp": tl.MLP(bias_std=0.3), "cnn-same": tl.CNN(), "cnn-valid-sum": tl.CNN(padding="valid", pooling="sum"),
        "frozen": tl.CNN(train_embedding=False), "dense": tl.SelfAttention(scores="tied", activation="relu"),
        "matrix-vector": tl.MatrixVector(order=3), "linear-rnn": tl.LinearRNN(),
        "elman-rnn": tl.ElmanRNN(pooling="last")}
INF = float("inf")
every_net = pytest.mark.parametrize("net", NETS.values(), ids=NETS)


def named(texts, first):
    """Lists of ids with a number of its own for every unknown token."""
    numbers = iter(range(first, first + 1000))
    return [[token if token >= 0 else next(numbers) for token in text] for text in texts]


def push(theta, across, time):
    """Θ(x, X) ∫ e^(−Θ s / n) ds / n over 0 … t, by the exponential of a block matrix; Θ may be singular."""
    n = len(theta)
    block = linalg.expm(np.block([[-theta * time / n, np.eye(n) * time / n], [np.zeros((n, 2 * n))]]))
    return across @ block[:n, n:]


@every_net
@pytest.mark.parametrize("time", [0.0, 1e-9, 0.4, 30.0, 2000.0])
def test_the_variance_is_that_of_the_dense_formula(net, time):
    """On repeated, permuted, empty and unknown texts: Θ is singular."""
    tokens, others = tokens_of(ALL), tokens_of(NEW)
    b = push(net.kernel(tokens), net.kernel(others, tokens), time)
    every = tl.Tokens.from_ids(named([*ALL, *NEW], 8))
    k, n = net.kernel(every, kind="nngp"), len(ALL)
    expected = np.diag(k[n:, n:] - b @ k[:n, n:] - k[n:, :n] @ b.T + b @ k[:n, :n] @ b.T)
    assert distance(tl.prior_variance(net, tokens, others, time=time), expected, least=k.max()) < 1e-10


@every_net
def test_the_variance_of_training_texts_decays_with_the_modes_of_the_kernel(net):
    """On the training texts f(X, t) − E f = e^(−Θ t / n) f_0, so the variances are the diagonal of e K e."""
    tokens, _ = random_texts(20)
    theta, k = net.kernel(tokens), net.kernel(tokens, kind="nngp")
    for time in (0.0, 5.0, 300.0):
        decay = linalg.expm(-theta * time / 20)
        variance = tl.prior_variance(net, tokens, tokens, time=time)
        assert distance(variance, np.diag(decay @ k @ decay), least=k.max()) < 1e-10


@every_net
def test_both_ends_of_time(net):
    tokens = tokens_of([[0, 1, 2], [2, 1, 0, 0, 3], [3, 3, 3], [4, 2, 5]])
    others = tokens_of([[0, 1, 2], [6, 6, 0], []])
    start = np.diag(net.kernel(others, kind="nngp"))
    assert distance(tl.prior_variance(net, tokens, others, time=0), start) < 1e-12
    assert distance(tl.prior_variance(net, tokens, others, time=1e-9), start) < 1e-8
    end = tl.prior_variance(net, tokens, others, time=INF)
    assert linalg.eigvalsh(net.kernel(tokens))[0] > 1e-3
    assert abs(end[0]) < 1e-12  # learned exactly
    assert end[2] == 0.0  # no window: the output is 0
    assert distance(tl.prior_variance(net, tokens, others, time=1e8), end, least=start.max()) < 1e-10
    singular = tokens_of([[0, 1, 2], [0, 1, 2], [2, 1, 0], [3, 3, 3], [3, 3, 3, 3], [], [5]])
    assert tl.prior_variance(net, singular, singular, time=INF).max() < 1e-10  # Θ − K has no negative eigenvalue


@pytest.mark.parametrize("name", ["mlp", "cnn-same", "linear-rnn"])
def test_linear_networks_from_random_outputs_scatter_as_predicted(name):
    """f_0 drawn from GP(0, K) on training and other texts, then 2,000 small steps of gradient descent with Θ."""
    net, samples, n, steps = NETS[name], 4000, 12, 2000
    both, labels = random_texts(n + 6, seed=5)
    tokens, others = both[:n], both[n:]
    theta, k = net.kernel(both), net.kernel(both, kind="nngp")
    time = n / linalg.eigvalsh(theta[:n, :n])[-1]
    values, vectors = linalg.eigh(k)
    f = np.random.default_rng(0).normal(size=(samples, n + 6)) @ (vectors * np.sqrt(np.maximum(values, 0))).T
    y = 2.0 * np.array(labels[:n]) - 1
    for _ in range(steps):
        f -= time / steps / n * (f[:, :n] - y) @ theta[:n]
    predicted = np.concatenate([tl.prior_variance(net, tokens, side, time=time) for side in (tokens, others)])
    assert 0.2 < np.median(predicted / np.diag(k)) < 0.8  # neither the start nor the end
    errors = f.var(axis=0, ddof=1) / predicted - 1
    assert np.abs(errors).max() < 3.5 * np.sqrt(2 / (samples - 1))
    features = net.features(tokens)
    trajectory = tl.learn(features, labels[:n], "squared", time=time, initial="prior", tolerance=1e-6)
    mean = trajectory.decision(net.features(both, columns=features))[:, 0]
    assert np.abs((f.mean(axis=0) - mean) / np.sqrt(predicted / samples)).max() < 3.5


def test_a_prior_changes_nothing_in_the_mean():
    tokens = tokens_of(ALL)
    features, labels = tl.CNN().features(tokens), labels_of(tokens, 3)
    zero, kept = (tl.learn(features, labels, "squared", time=9.0, initial=initial) for initial in ("zero", "prior"))
    np.testing.assert_array_equal(zero.duals, kept.duals)


@pytest.mark.parametrize(("loss", "classes"), [(None, 2), ("logistic", 2), ("softmax", 3), (None, 3)])
def test_a_prior_needs_the_squared_loss(loss, classes):
    tokens = tokens_of(ALL)
    with pytest.raises(OptionError, match=r'initial="prior" needs loss="squared", not .*tl.prior_variance'):
        tl.learn(tl.MLP().features(tokens), labels_of(tokens, classes), loss, initial="prior")
    with pytest.raises(OptionError, match='initial must be "zero" or "prior", not \'random\''):
        tl.learn(tl.MLP().features(tokens), labels_of(tokens, classes), loss, initial="random")


@pytest.mark.parametrize("time", [-1, float("nan"), -INF, "best", None, True])
def test_an_impossible_time_is_refused(time):
    with pytest.raises(OptionError, match="time must be a number of at least 0, or inf, not"):
        tl.prior_variance(tl.MLP(), tokens_of(ALL), tokens_of(NEW), time=time)


def test_too_many_or_no_texts_are_refused(monkeypatch):
    tokens, others = tokens_of(ALL), tokens_of(NEW)
    assert tl.prior_variance(tl.MLP(), tokens, others[:0], time=1.0).shape == (0,)
    with pytest.raises(DataError, match="there are no training texts"):
        tl.prior_variance(tl.MLP(), tokens[:0], others, time=1.0)
    with pytest.raises(ShapeError):
        tl.prior_variance(tl.MLP(), tokens, tl.Tokens.from_ids([[0, 1]]), time=1.0)
    monkeypatch.setattr(prior, "MOST", len(ALL) - 1)
    with pytest.raises(OptionError, match=f"{len(ALL)} training texts: .* takes at most {len(ALL) - 1} on either side"):
        tl.prior_variance(tl.MLP(), tokens, others, time=1.0)
    with pytest.raises(OptionError, match=f"{len(ALL)} other texts: "):
        tl.prior_variance(tl.MLP(), others, tokens, time=1.0)
