"""What is worked out of blocks of texts does not depend on where the blocks end."""

from __future__ import annotations

import os
import signal
import threading
import time
from contextvars import ContextVar

import numpy as np
import pytest

import tangentlens as tl
from tangentlens.data import duplicates
from tangentlens.data.suspects import kinds_of
from tangentlens.data.threads import parallel, workers
from tangentlens.data.tokens import Tokens


@pytest.fixture(scope="module")
def tokens() -> Tokens:
    texts = tl.movie_reviews().sample(300, seed=2).texts
    short = ["Zork went", "we saw Wuld go"] * 5
    return tl.tokenize([*short, *texts, "", *(f"{text} !" for text in texts[:40]), *texts[40:80], ""])


def test_blocks_hold_every_text_once(tokens: Tokens) -> None:
    for size in (1, 40, 10_000, 10**9):
        blocks = tokens.blocks(size)
        assert [low for low, _ in blocks] + [len(tokens)] == [0] + [high for _, high in blocks]
    assert Tokens.from_ids([], vocabulary_size=1).blocks() == []


@pytest.mark.skipif(workers() == 1, reason="one processor: there is nothing beside")
def test_where_one_fails_the_others_that_have_begun_end_first() -> None:
    ended, begun = threading.Event(), threading.Event()

    def work(fails: bool) -> None:
        if fails:
            begun.wait(10)
            raise ValueError("this one")
        begun.set()
        time.sleep(0.2)
        ended.set()

    with pytest.raises(ValueError, match="this one"):
        parallel(work, [True, False])
    assert ended.is_set()


@pytest.mark.parametrize("count", [0, 1, 2, 50])
def test_a_result_for_every_item_in_order_also_of_work_within_work(count: int) -> None:
    def squares(size: int) -> list[int]:
        return parallel(lambda x: x * x, range(size))

    assert parallel(squares, range(count)) == [[x * x for x in range(size)] for size in range(count)]


@pytest.mark.skipif(workers() == 1, reason="one processor: there is nothing beside")
def test_helpers_work_in_the_context_of_the_caller() -> None:
    asked, both = ContextVar("asked", default="nothing"), threading.Barrier(2)

    def seen(_: int) -> tuple[str, int]:
        both.wait(timeout=10)  # so that both threads take one
        return asked.get(), threading.get_ident()

    token = asked.set("something")
    try:
        answers, threads = zip(*parallel(seen, range(2)), strict=True)
    finally:
        asked.reset(token)
    assert answers == ("something", "something")
    assert len(set(threads)) == 2


@pytest.mark.skipif(workers() == 1, reason="one processor: there is nothing beside")
def test_an_interruption_is_raised_whatever_else_failed() -> None:
    begun, failed = threading.Event(), threading.Event()

    def work(_: int) -> None:
        if threading.current_thread() is threading.main_thread():
            begun.set()
            failed.wait(10)
            raise KeyboardInterrupt
        begun.wait(10)
        failed.set()
        raise ValueError("not this one")

    with pytest.raises(KeyboardInterrupt):
        parallel(work, range(2))


@pytest.mark.skipif(workers() == 1 or os.name != "posix", reason="nothing beside, or no signals of POSIX")
def test_an_interruption_while_others_are_waited_for_ends_after_them() -> None:
    begun, ended = threading.Event(), threading.Event()

    def work(_: int) -> None:
        if threading.current_thread() is not threading.main_thread():
            begun.set()
            time.sleep(0.5)
            ended.set()
        else:
            begun.wait(10)
            signal.setitimer(signal.ITIMER_REAL, 0.1)

    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            parallel(work, range(2))
        assert ended.is_set()
    finally:
        signal.signal(signal.SIGALRM, before)


def test_of_several_failures_that_of_the_first_item_is_raised() -> None:
    both = threading.Barrier(min(2, workers()))

    def work(place: int) -> None:
        both.wait(10)
        raise ValueError(f"item {place}")

    with pytest.raises(ValueError, match="item 0"):
        parallel(work, range(min(2, workers())))


def test_near_duplicates_do_not_depend_on_blocks(tokens: Tokens, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = duplicates.near_duplicates(tokens)
    assert np.array_equal(whole[311:391], whole[10:90])
    monkeypatch.setattr(duplicates, "BLOCK", 100)
    assert np.array_equal(duplicates.near_duplicates(tokens), whole)


@pytest.mark.parametrize("texts", [[], [""], ["", ""]])
def test_texts_without_tokens_have_no_kinds_and_no_duplicates(texts: list[str]) -> None:
    tokens = tl.tokenize(texts)
    assert kinds_of(tokens) == []
    assert duplicates.near_duplicates(tokens).tolist() == list(range(len(texts)))
    assert kinds_of(Tokens.from_ids([[-1]] * len(texts), vocabulary_size=0)) == []


def test_kinds_do_not_depend_on_blocks(tokens: Tokens, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, blocks = kinds_of(tokens), Tokens.blocks
    assert {"name", "punctuation", "function word"} < set(whole)
    assert [whole[tokens.vocabulary.ids[word]] == "name" for word in ("Zork", "Wuld")] == [False, True]
    monkeypatch.setattr(Tokens, "blocks", lambda self, size=100: blocks(self, min(size, 100)))
    assert kinds_of(tokens) == whole
