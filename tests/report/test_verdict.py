"""The verdict: every sentence follows from the figures, and nothing is praised that chance would do as well."""

import dataclasses

import numpy as np
import polars as pl
import pytest
from hostile import make_report

import tangentlens as tl
from tangentlens.report.biased import bias
from tangentlens.report.compared import accuracy_table, with_leads
from tangentlens.report.content import COMPARED, ComparedAnswer
from tangentlens.report.sentences import plain
from tangentlens.report.verdict import accuracy, learning, ngrams, verdict

TEXTS = 400
NO_BIAS = (0.0, 0.9, 0.1)  # shares of bias, tokens and pairs
NAMES = {"accuracy": accuracy, "ngrams": ngrams, "bias": bias, "learning": learning}


def hits(share, *, shift=0):
    """Which of the texts are right: a share of them, the first ones after `shift`."""
    right = np.zeros(TEXTS, bool)
    right[shift:shift + round(share * TEXTS)] = True
    return right


def ngram(feature="not bad", polarity=2.0, effect=1.0, name="b", **more):
    return {"order": 2, "feature": feature, "class": name, "texts": 20, "in_class": 19 if polarity > 0 else 1,
            "polarity": polarity, "words": -polarity / 2, "effect": effect, "interaction": effect, **more}


def told(subject, nets, labels=("a", "b"), shares=(0.5, 0.5), holding=None):
    """What the verdict says of a subject. nets: name → what differs from an MLP that learns its tokens."""
    report = make_report(list(labels), architectures=len(nets), features=["good"])
    answers, right, hold = [], [], None
    for name, net in nets.items():
        tables = {key: pl.DataFrame(net.get(key, []), schema=schema, orient="row") for key, schema in COMPARED.items()}
        mine = net.get("right", np.zeros(0, bool))
        hold = np.zeros(len(mine), bool) if holding is None else holding
        tables["accuracy"] = accuracy_table(mine, hold)
        if "bias" not in net:
            none = (labels[-1], 0.0, 0.0, 0.0, 0.0, 0, 0)
            tables["bias"] = pl.DataFrame([none], schema=COMPARED["bias"], orient="row")
        if "learned" not in net:
            tables["learned"] = pl.DataFrame([(1, 9, 5.0)], schema=COMPARED["learned"], orient="row")
        answers.append(ComparedAnswer(
            name=name, longest=net.get("longest", 1), interaction_share=0.0, share_texts=TEXTS, share_held=True,
            frequent=50, strongest=20, unbiased=net.get("unbiased", ()), **tables))
        right.append(mine)
    plans = [dataclasses.replace(plan, name=name, features=net.get("features", 100), best_time=net.get("best", 10.0),
                                 spectrum=plan.spectrum.with_columns(share=pl.Series(net.get("spectrum", NO_BIAS))))
             for plan, (name, net) in zip(report.architectures, nets.items(), strict=True)]
    classes = pl.DataFrame({"class": labels, "texts": [round(1000 * share) for share in shares], "share": shares,
                            "mean_length": [9.0] * len(labels)})
    report = dataclasses.replace(report, architectures=tuple(plans), compared=with_leads(answers, right, hold),
                                 data=dataclasses.replace(report.data, classes=classes))
    return verdict(report) if subject is None else plain(NAMES[subject](report))


def test_a_clear_lead():
    text = told("accuracy", {"MLP": {"right": hits(0.6)}, "CNN": {"right": hits(0.9), "longest": 3}})
    assert text == "On 400 held-out texts CNN gets 90.0 ± 1.5 % right, ahead of MLP (−30.0 ± 2.7 points)."


def test_of_the_tied_the_simplest_is_named():
    nets = {"CNN": {"right": hits(0.9), "longest": 3}, "Elman": {"right": hits(0.895), "features": 900},
            "MLP": {"right": hits(0.9, shift=2)}, "Bad": {"right": hits(0.5), "features": 2}}
    text = told("accuracy", nets)
    assert "On 400 held-out texts MLP gets 90.0" in text  # of equally good ones the simplest comes first
    assert ("but CNN (0.0 ± 0.5 points) and Elman (−0.5 ± 0.6 points) are within what chance may do: these texts "
            "cannot tell them apart. The simplest of them is MLP, which reads single tokens. Bad (") in text
    assert text.endswith("is behind.")
    nets["CNN"]["right"] = hits(0.905)
    assert "texts CNN gets 90.5" in told("accuracy", nets)
    assert "The simplest of them is MLP, which reads single tokens" in told("accuracy", nets)


def test_few_texts_decide_nothing():
    """Three texts out of three are no lead: under chance each of them is a coin."""
    text = told("accuracy", {"MLP": {"right": np.zeros(3, bool)}, "CNN": {"right": np.ones(3, bool), "longest": 3}})
    assert "cannot tell them apart. The simplest of them is MLP" in text


def test_alone_or_without_held_out_texts():
    assert told("accuracy", {"MLP": {"right": hits(0.9)}}) == "On 400 held-out texts MLP gets 90.0 ± 1.5 % right."
    for subject, said in (("accuracy", "No text is held out"), ("ngrams", "No two or three neighbouring tokens")):
        text = told(subject, {"MLP": {}, "CNN": {"longest": 3}})
        assert text.startswith(said)
        assert "better" not in text


@pytest.mark.parametrize(("share", "words"), [(0.9, False), (0.62, True), (0.5, True)])
def test_beside_the_most_frequent_class(share, words):
    text = told("accuracy", {"MLP": {"right": hits(share)}}, shares=(0.6, 0.4))
    assert ('no better than always answering "a" (60.0 %)' in text) == words


READING = {"CNN": {"longest": 3}, "MLP": {}}


@pytest.mark.parametrize(("reads", "rest", "said"), [
    (0.8, 0.8, "do not show that architectures that read"), (0.81, 0.8, "do not show that architectures that read"),
    (0.8, 0.81, "do not show that architectures that read"),
    (0.8, 0.7, "Architectures that read n-grams do better here: CNN, the best"),
    (0.7, 0.8, "Architectures that read n-grams do not do better here: CNN, the best"),
])
@pytest.mark.parametrize("found", [[], [ngram()]], ids=["none", "one"])
def test_whether_those_that_read_ngrams_do_better(reads, rest, said, found):
    """Only held-out texts say so; that there are contrary n-grams does not."""
    nets = {"CNN": {"longest": 3, "right": hits(reads), "contrary": found},
            "MLP": {"right": hits(rest, shift=2), "contrary": found}}
    text = told("ngrams", nets)
    assert said in text
    assert ("One n-gram says the opposite" in text) == bool(found)
    assert text.count("do better") == 1
    assert "pay" not in text
    assert "because" not in text


@pytest.mark.parametrize("longest", [1, 3])
def test_no_rivals_no_word_on_reading(longest):
    text = told("ngrams", {name: {"right": hits(0.8), "longest": longest} for name in ("A", "B")})
    assert "better" not in text


def test_examples_of_both_directions():
    rows = [ngram("not bad"), ngram("not poor"), ngram("at best", -2.0)]
    text = told("ngrams", {"CNN": {"longest": 3, "contrary": rows}})
    assert text.startswith('3 n-grams say the opposite of their words, such as "not bad" (19 of its 20 texts are "b", '
                           'though its words lean away from it) and "at best" (1 of its 20 texts are "b", though its '
                           "words lean towards it). ")
    assert '"not poor"' in told("ngrams", {"CNN": {"longest": 3, "contrary": rows[:2]}})


def test_who_gets_them_right():
    def rows(*effects):
        return [ngram(effect=effect) for effect in effects]

    nets = {"MLP": {"contrary": rows(-1, -1, 1)}, "Elman": {"contrary": rows(0, -1, -1)},
            "CNN": {"longest": 3, "contrary": rows(1, -1, 1)}, "RNN": {"longest": 5, "contrary": rows(1, 1, 1)}}
    text = told("ngrams", nets)
    assert "Asked about each by itself, RNN gets 3 and CNN 2 of 3 right; MLP and Elman cannot read them at all" in text
    assert "single tokens get 0 to 1 right." in text
    assert "RNN" not in told("ngrams", {"MLP": nets["MLP"]})
    assert "cannot read" not in told("ngrams", {"RNN": nets["RNN"]})


def test_accuracy_where_the_ngrams_are():
    holding = np.arange(TEXTS) < 100
    nets = {"CNN": {"longest": 3, "right": hits(0.8), "contrary": [ngram()]},
            "MLP": {"right": hits(0.6, shift=80), "contrary": [ngram()]}}
    text = told("ngrams", nets, holding=holding)
    assert text.endswith(". On the 100 texts that hold one of these n-grams the lead is 80.0 ± 8.9 points "
                         "(100.0 ± 1.3 % and 20.0 ± 4.0 % right), on the others the lead is 0.0 ± 0.0 points "
                         "(73.3 ± 2.5 % and 73.3 ± 2.5 % right).")
    everywhere = told("ngrams", nets, holding=np.ones(TEXTS, bool))
    assert "on the others" not in everywhere
    assert "because" not in everywhere
    elsewhere = told("ngrams", nets, holding=np.arange(TEXTS) >= 80)
    assert "do better here: CNN" in elsewhere
    assert elsewhere.endswith("; it is not larger where they are, so not because of these n-grams.")


@pytest.mark.parametrize(("mine", "ahead"), [(5, False), (6, True)])
def test_few_differing_texts_are_tested_exactly(mine, ahead):
    """Five texts to none are 2.2 standard errors, but a coin does that once in 16 times."""
    right = np.zeros(40, bool)
    right[:mine] = True
    text = told("accuracy", {"MLP": {"right": np.zeros(40, bool)}, "CNN": {"right": right, "longest": 3}})
    assert (", ahead of MLP" in text) == ahead
    assert ("cannot tell them apart" in text) != ahead


def test_few_texts_beside_the_most_frequent_class():
    """All of 5 texts are right with an error of 0 by the binomial formula, yet 0.8 to the fifth power is 0.33."""
    text = told("accuracy", {"MLP": {"right": np.ones(5, bool)}}, shares=(0.8, 0.2))
    assert "On 5 held-out texts MLP gets 100.0 ± 13.9 % right." in text
    assert 'no better than always answering "a" (80.0 %)' in text
    many = told("accuracy", {"MLP": {"right": np.ones(20, bool)}}, shares=(0.8, 0.2))
    assert "no better" not in many


@pytest.mark.parametrize("nothing", [{"learned": []}, {"best": 0.0}], ids=["learned", "best time"])
def test_what_learns_nothing_is_not_rated(nothing):
    """It answers one class always, which may be most accurate, and it would be the simplest."""
    nets = {"MLP": {"right": hits(0.9), "features": 1, **nothing}, "CNN": {"right": hits(0.89), "longest": 3},
            "RNN": {"right": hits(0.88), "longest": 5}}
    text = told("accuracy", nets)
    assert "texts CNN gets 89.0" in text
    assert "MLP (" not in text
    assert "The simplest of them is MLP" not in text
    assert text.endswith(". MLP learns nothing here that carries over to new texts.")
    assert "MLP" not in told("ngrams", {name: net | {"contrary": [ngram()]} for name, net in nets.items()})
    assert "MLP" not in told("learning", nets)
    two = told("accuracy", nets | {"RNN": {**nothing, "right": hits(0.9)}})
    assert two.endswith("MLP and RNN learn nothing here that carries over to new texts.")
    assert len(told(None, dict.fromkeys(nets, nothing))) == 1


def test_two_outputs_have_a_class_each():
    """Of two outputs the first may have the larger bias; its sign speaks for the first class."""
    rows = [("a", -0.5, -0.5, 0.0, 0.1, 2, 1), ("b", 0.4, 0.4, 0.0, 0.1, 2, 1)]
    assert 'towards "b", the smaller' in told("bias", {"MLP": {"bias": rows}}, shares=(0.6, 0.4))
    rows = [("a", 0.5, 0.5, 0.0, 0.1, 2, 1), ("b", -0.4, -0.4, 0.0, 0.1, 2, 1)]
    assert 'is +0.500, towards "a", the larger' in told("bias", {"MLP": {"bias": rows}}, shares=(0.6, 0.4))


@pytest.mark.parametrize("loss", ["logistic", "softmax"])
def test_the_direction_of_a_bias_is_that_of_the_larger_class(loss):
    texts = tl.negations(400, positive=0.8, clauses=2).train
    text = plain(bias(tl.compare(texts, [tl.MLP()], loss=loss, time=20.0).content))
    assert 'towards "positive", the larger class' in text
    assert "The bias of MLP is +" in text


def test_no_bias_and_a_bias_of_zero():
    nets = {"A": {}, "B": {"spectrum": (1e-9, 0.9, 0.1)}, "C": {"spectrum": (0.2, 0.7, 0.1)}}
    assert told("bias", nets) == "A has no bias family. The bias of B and C is 0 here."


def biased(value, flipped=3, name="b", lengths=0.0):
    return {"bias": [(name, value, value - lengths, lengths, 0.1, flipped, 1)], "unbiased": ("identity", "tanh")}


@pytest.mark.parametrize(("value", "shares", "words"), [
    (-0.5, (0.4, 0.6), 'towards "a", the smaller class'), (0.5, (0.4, 0.6), 'towards "b", the larger class'),
    (0.5, (0.5, 0.5), 'towards "b", though both classes are equally large')])
def test_direction_of_a_bias(value, shares, words):
    text = told("bias", {"MLP": biased(value), "RNN": {}}, shares=shares)
    sign = "+" if value > 0 else "−"
    assert f"The bias of MLP is {sign}0.500, {words}; it turns the sign of 3 of 50 frequent tokens." in text
    assert text.endswith("With activation=tanh or identity MLP would have none. RNN has no bias family.")


def test_parts_and_classes_of_a_bias():
    assert "(net push of all texts −5.00, text lengths +4.50)" in told("bias", {"CNN": biased(-0.5, lengths=4.5)})
    rows = [(name, value, value, 0.0, 0.1, 2, 1) for name, value in (("x", 0.1), ("y", -0.4), ("z", 0.3))]
    text = told("bias", {"MLP": {"bias": rows}}, labels=("x", "y", "z"), shares=(0.2, 0.3, 0.5))
    assert 'is −0.400, away from "y"; it turns the sign of 6 of 150 frequent tokens in 3 classes. ' in text
    assert "No other activation would remove that of MLP." in text


def test_only_the_worst_biases_are_told():
    text = told("bias", {f"N{flipped}": biased(0.5, flipped) for flipped in (1, 4, 2, 5, 3)})
    assert [word for word in ("N5", "N4", "N3", "N2", "N1") if f"bias of {word}" in text] == ["N5", "N4", "N3"]
    assert "The table has 2 more. With activation=tanh or identity N5, N4 and N3 would have none." in text
    assert told("bias", {"A": {}, "B": {}}) == "A and B have no bias family."


def test_what_is_learned_first():
    nets = {"MLP": {"learned": [(0, 1, 0.1), (1, 9, 4.0)]}, "CNN": {"learned": [(2, 9, 4.0), (0, 1, 4.4), (1, 9, 9.0)]}}
    assert told("learning", nets | {"A": {}}) == (
        "When half of the label scores is reached, in parts of the best time: in MLP the bias at 1.0 %, single "
        "tokens at 40.0 %; in CNN pairs and the bias at 40.0 %, single tokens at 90.0 %.")
    assert told("learning", {"A": {}, "B": {}}).startswith("Every architecture here learns one kind")


def test_nothing_learned_is_one_sentence():
    (subject, sentence), = told(None, {name: {"learned": [], "right": hits(0.5)} for name in ("A", "B")})
    assert subject == "Learning"
    assert "held-out loss is least at the start" in plain(sentence)
    assert [subject for subject, _ in told(None, {"A": {"learned": []}, "B": {}})] == [
        "Accuracy", "N-grams", "Bias", "Learning"]
    assert verdict(make_report(["a", "b"])) == []
