"""The guard before a service, our own rate limit, and what is told of an indexing: on a clock of the test."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kamerton.domain.embedding import Vectors
from kamerton.domain.errors import EngineError, VendorError
from kamerton.embeddings.guarded import RESTING, GuardedEmbedder
from kamerton.embeddings.indexing import IndexingProgress, lasting
from kamerton.embeddings.rate_window import RateWindow
from kamerton.embeddings.service import LOCAL_LIMIT
from kamerton.vendors.breaker import BreakerSettings


class Service:
    """Fails as told; counts what it is asked."""

    identity = "service-1"

    def __init__(self) -> None:
        self.fails: BaseException | None = None
        self.asked = 0
        self.now_s = 100.0

    def query(self, texts: Sequence[str]) -> Vectors:
        self.asked += 1
        if self.fails is not None:
            raise self.fails
        return np.ones((len(texts), 1), dtype=np.float32)

    def wordings(self, texts: Sequence[str]) -> Vectors:
        return self.query(texts)

    def passage(self, texts: Sequence[str]) -> Vectors:
        return self.query(texts)


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
def guarded(service: Service) -> GuardedEmbedder:
    settings = BreakerSettings(failures=2, rest_s=15, longest_rest_s=60, long_rest_s=40)
    return GuardedEmbedder("yandex", service, settings, lambda: service.now_s)


def fails(guarded: GuardedEmbedder, text: str) -> EngineError:
    with pytest.raises(EngineError) as caught:
        guarded.query([text])
    return caught.value


def test_it_rests_after_two_failures_and_one_query_tries_again(service: Service, guarded: GuardedEmbedder) -> None:
    service.fails = VendorError("too slow", "timeout")
    fails(guarded, "а")
    assert guarded.ready
    fails(guarded, "б")
    assert (guarded.ready, guarded.state, service.asked) == (False, "open", 2)
    error = fails(guarded, "в")
    assert (error.code, "too slow" in str(error), service.asked) == (RESTING, True, 2)
    service.now_s += 15
    assert guarded.ready
    service.fails = None
    assert guarded.query(["г"]).shape == (1, 1)
    assert (guarded.state, guarded.last_reason) == ("closed", "too slow")


def test_what_became_of_queries_is_counted(service: Service, guarded: GuardedEmbedder) -> None:
    guarded.query(["а"])
    guarded.query([])
    service.fails = VendorError("too slow", "timeout")
    fails(guarded, "б")
    fails(guarded, "б")
    service.fails = EngineError("it broke")
    fails(guarded, "в")
    fails(guarded, "г")
    assert guarded.counts == {"requests": 3, "answers": 1, "failures:timeout": 1, "failures:engine": 1}


def test_words_that_have_just_failed_are_not_asked_for_again(service: Service, guarded: GuardedEmbedder) -> None:
    """A turn asks for them up to three times and waits once; other words are tried."""
    service.fails = VendorError("too slow", "timeout")
    fails(guarded, "а")
    assert fails(guarded, "а").code == RESTING
    assert service.asked == 1
    service.fails = None
    assert guarded.query(["б"]).shape == (1, 1)
    service.now_s += 2
    assert guarded.query(["а"]).shape == (1, 1)


def test_refused_credentials_and_asked_pauses_rest_at_once(service: Service, guarded: GuardedEmbedder) -> None:
    service.fails = VendorError("key", "unauthorised")
    fails(guarded, "а")
    service.now_s += 39
    assert not guarded.ready
    service.now_s += 1
    service.fails = VendorError("busy", "rate_limited", retry_after_s=55)
    fails(guarded, "б")
    service.now_s += 54
    assert not guarded.ready


def test_our_own_limit_is_no_fault_of_the_service(service: Service, guarded: GuardedEmbedder) -> None:
    service.fails = VendorError("too often", "rate_limited", retry_after_s=1, code=LOCAL_LIMIT)
    for number in range(5):
        fails(guarded, str(number))
    assert guarded.state == "closed"
    assert service.asked == 5


def test_a_probe_that_ends_otherwise_gives_its_turn_to_the_next(service: Service, guarded: GuardedEmbedder) -> None:
    service.fails = VendorError("too slow", "timeout")
    fails(guarded, "а")
    fails(guarded, "б")
    service.now_s += 15
    service.fails = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        guarded.query(["в"])
    service.fails = None
    assert guarded.query(["г"]).shape == (1, 1)


def test_indexing_is_not_guarded(service: Service, guarded: GuardedEmbedder) -> None:
    service.fails = VendorError("key", "unauthorised")
    fails(guarded, "а")
    for ask in (guarded.wordings, guarded.passage):
        with pytest.raises(VendorError, match="key"):
            ask(["б"])
    assert guarded.identity == "service-1"
    service.fails = None
    assert guarded.query([]).shape == (0, 1)


@given(
    st.sampled_from([0.25, 0.5, 1, 2.5, 3, 10]),
    st.lists(st.tuples(st.floats(0, 2), st.integers(0, 4)), max_size=60),
)
def test_no_second_has_more_requests_than_allowed(limit: float, asked: list[tuple[float, int]]) -> None:
    window = RateWindow(limit)
    now_s, sent = 0.0, []
    for pause_s, spared in asked:
        now_s += pause_s
        wait_s = window.wait_s(now_s, spared)
        assert 0 <= wait_s <= max(1.0, 1 / limit) + 1e-9
        now_s += wait_s
        assert window.wait_s(now_s, spared) < 1e-6
        window.took(now_s)
        sent.append(now_s)
    span_s = max(1, int(limit)) / limit
    for place in range(len(sent) - window.places):
        assert sent[place + window.places] - sent[place] >= span_s - 1e-6


def test_places_are_spared_for_callers() -> None:
    window = RateWindow(10)
    for _ in range(8):
        assert window.wait_s(0.0, spared=2) == 0
        window.took(0.0)
    assert window.wait_s(0.0, spared=2) == 1
    assert window.wait_s(0.0) == 0
    assert window.wait_s(0.0, spared=50) == 1


def test_a_long_indexing_is_told_with_what_is_left() -> None:
    told: list[str] = []
    progress = IndexingProgress("yandex", 9600, told.append)
    progress.begin(9600, 8, 0)
    progress.tell(0, 10)
    progress.tell(32, 4)
    progress.tell(80, 10)
    progress.tell(88, 11)
    assert told == [
        "yandex embeddings: 9600 texts in 9600 requests, about 20 min at 8 requests a second; it may be interrupted, "
        "what is done is kept",
        "yandex embeddings: 80 of 9600 texts, about 20 min to go",
    ]
    short = IndexingProgress("yandex", 9, told.append)
    short.begin(9, 8, 0)
    short.tell(5, 100)
    assert len(told) == 2
    assert [lasting(0.2), lasting(89), lasting(91), lasting(7200)] == ["1 s", "89 s", "2 min", "2.0 h"]
