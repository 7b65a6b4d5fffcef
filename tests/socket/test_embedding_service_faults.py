"""What both embedding services do when theirs misbehaves at the wire, and that no secret is told."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import Any

import anyio
import pytest
from certificates import server_tls
from embedding_services import KEY, VENDORS, Meter, Vendor

from kamerton.domain.errors import ConfigurationError, VendorError
from kamerton.embeddings.wire_double import ScriptedReply
from kamerton.vendors.check import Check
from kamerton.vendors.engine import EngineContext

pytestmark = pytest.mark.socket

QUICK: dict[str, Any] = {"query_ms": 400.0, "connect_s": 0.3, "read_s": 0.3, "total_s": 0.5}
"""Deadlines of the tests of slowness; far above what loopback takes."""


@pytest.fixture(params=VENDORS, ids=lambda vendor: vendor.name)
def vendor(request: pytest.FixtureRequest) -> Vendor:
    found = request.param
    assert isinstance(found, Vendor)
    return found


@pytest.fixture(autouse=True)
def no_secret_is_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    caplog.set_level(logging.DEBUG, "kamerton")
    yield
    assert KEY not in caplog.text


def chained(error: BaseException) -> Iterator[BaseException]:
    """The error and everything that hangs on it."""
    found: BaseException | None = error
    while found is not None:
        yield found
        found = found.__cause__ or found.__context__


def failure(ask: Any, *texts: str) -> VendorError:
    """How asking fails; the secret is nowhere in it."""
    with pytest.raises(VendorError) as caught:
        ask(list(texts) or ["полис"])
    told = [repr(vars(error)) + str(error) + repr(error) for error in chained(caught.value)]
    assert not any(KEY in text for text in told)
    assert "полис" not in str(caught.value)
    return caught.value


OPENAI_QUOTA = {"error": {"message": "You exceeded your quota", "type": "insufficient_quota"}}


@pytest.mark.parametrize(
    ("reply", "fault"),
    [
        (ScriptedReply(status=401, document={"error": {"message": f"Unknown key {KEY}"}}), "unauthorised"),
        (ScriptedReply(status=403, document={"message": "denied"}), "unauthorised"),
        (ScriptedReply(status=402, raw=b"pay"), "quota"),
        (ScriptedReply(status=429, document=OPENAI_QUOTA), "quota"),
        (ScriptedReply(status=429, raw=b""), "rate_limited"),
        (ScriptedReply(status=429, headers={"retry-after": "60"}, raw=b"slow down"), "rate_limited"),
        (ScriptedReply(status=500, raw=b"<html>oops</html>"), "failed"),
        (ScriptedReply(status=503, raw=b"[1]"), "failed"),
        (ScriptedReply(status=400, document={"error": "bad model"}), "rejected"),
        (ScriptedReply(status=400, document={"error": {"message": "cannot embed 'полис'"}}), "rejected"),
        (ScriptedReply(status=404, document={"error": {"message": "no such model"}}), "rejected"),
        (ScriptedReply(status=302, headers={"location": "http://127.0.0.1:1/"}, raw=b""), "rejected"),
        (ScriptedReply(raw=b"<html>a page</html>"), "broken"),
        (ScriptedReply(raw=b"[" * 100_000), "broken"),
        (ScriptedReply(raw=b'{"embedding": "no"}'), "broken"),
        (ScriptedReply(document=[]), "broken"),
        (ScriptedReply(document={"data": [], "embedding": []}), "broken"),
        (ScriptedReply(raw=b"\x1f\x8b not gzip", headers={"content-encoding": "gzip"}), "broken"),
        (ScriptedReply("cut"), "connection"),
        (ScriptedReply("half_close"), "connection"),
        (ScriptedReply("reset"), "connection"),
        (ScriptedReply("garbage"), "connection"),
        (ScriptedReply("huge_header"), "connection"),
    ],
    ids=lambda value: value if isinstance(value, str) else f"{value.behaviour}-{value.status}",
)
def test_each_fault_is_told_apart(vendor: Vendor, tmp_path: Path, reply: ScriptedReply, fault: str) -> None:
    with vendor.opened(tmp_path, usual=reply, total_s=5.0) as (embedder, double):
        error = failure(embedder.query)
        assert error.fault == fault, str(error)
        assert "; " in str(error)
        assert len(double.requests) == 1
        double.follow()
        assert embedder.query(["полис"]).shape[0] == 1


@pytest.mark.parametrize("behaviour", ["hang", "hang_in_headers", "hang_in_body", "drip"])
def test_slowness_ends_with_the_deadline(vendor: Vendor, tmp_path: Path, behaviour: Any) -> None:
    """And the connection is closed, which the server sees."""
    with vendor.opened(tmp_path, usual=ScriptedReply(behaviour), **QUICK) as (embedder, double):
        begun_s = monotonic()
        assert failure(embedder.query).fault == "timeout"
        assert failure(embedder.wordings).fault == "timeout"
        assert monotonic() - begun_s < 3
        assert double.wait_for(lambda seen: seen.dropped >= 2)


def test_a_late_answer_is_there_the_next_time(vendor: Vendor, tmp_path: Path) -> None:
    """The turn does not wait for it; it belongs to its own text only, and nobody asks for it again."""
    late = ScriptedReply(after_s=0.3)
    with vendor.opened(tmp_path, [late], query_ms=30.0) as (embedder, double):
        assert failure(embedder.query).fault == "timeout"
        other = vendor.embedder(double.url, tmp_path / "other")
        expected = other.query(["полис", "карта"])
        other.close()
        asked = len(double.requests)
        found = embedder.query_patiently(["полис"])
        assert found == pytest.approx(expected[:1], abs=1e-6)
        assert len(double.requests) == asked


def test_a_short_retry_after_is_waited_for(vendor: Vendor, tmp_path: Path) -> None:
    busy = ScriptedReply(status=429, headers={"retry-after": "0"}, raw=b"")
    busier = ScriptedReply(status=503, headers={"Retry-After-Ms": "20"}, raw=b"")
    with vendor.opened(tmp_path, [busy, busier]) as (embedder, double):
        assert embedder.query(["полис"]).shape[0] == 1
        assert len(double.requests) == 3


def test_a_retry_after_beyond_the_deadline_is_told(vendor: Vendor, tmp_path: Path) -> None:
    """Dates are read by the server's own clock, however wrong it goes."""
    dates = {"retry-after": "Wed, 21 Oct 2015 07:29:00 GMT", "date": "Wed, 21 Oct 2015 07:28:00 GMT"}
    script = [
        ScriptedReply(status=429, headers=dates, raw=b""),
        ScriptedReply(status=429, headers={"retry-after": "soon"}, raw=b""),
        ScriptedReply(status=429, headers={"retry-after": "nan"}, raw=b""),
    ]
    with vendor.opened(tmp_path, script) as (embedder, double):
        assert failure(embedder.query).retry_after_s == 60
        assert failure(embedder.query).retry_after_s is None
        assert failure(embedder.query).retry_after_s is None
        assert len(double.requests) == 3


def test_nobody_listens(vendor: Vendor, tmp_path: Path) -> None:
    with vendor.double() as double:
        url = double.url
    embedder = vendor.embedder(url, tmp_path)
    error = failure(embedder.query)
    assert (error.fault, "check the address" in str(error)) == ("connection", True)
    embedder.close()


def test_tls_that_is_not_trusted_is_refused_and_a_named_authority_is_trusted(vendor: Vendor, tmp_path: Path) -> None:
    context, pem = server_tls(tmp_path)
    with vendor.double(tls=context) as double:
        stranger = vendor.embedder(double.url, tmp_path / "a")
        error = failure(stranger.query)
        assert error.fault == "connection"
        assert "TLS" in str(error)
        stranger.close()
        assert double.requests == ()
        friend = vendor.embedder(double.url, tmp_path / "b", ca_file=pem)
        assert friend.query(["полис"]).shape[0] == 1
        friend.close()
        with pytest.raises(ConfigurationError, match="ca_file"):
            vendor.embedder(double.url, tmp_path, ca_file=tmp_path / "missing.pem")


def test_closing_frees_requests_at_once(vendor: Vendor, tmp_path: Path) -> None:
    """Whoever waits is told, the server sees the connection go, later queries fail, and no thread is left."""
    before = set(threading.enumerate())
    with (
        ThreadPoolExecutor(2) as pool,
        vendor.opened(tmp_path, usual=ScriptedReply("hang"), read_s=60.0, total_s=60.0, query_ms=60000.0) as opened,
    ):
        embedder, double = opened
        asked = pool.submit(embedder.query, ["полис"])
        indexed = pool.submit(embedder.wordings, ["карта"])
        assert double.wait_for(lambda seen: len(seen.requests) == 2)
        begun_s = monotonic()
        embedder.close()
        for waiting in (asked, indexed):
            with pytest.raises(VendorError, match="closed"):
                waiting.result(5)
        assert monotonic() - begun_s < 3
        assert double.wait_for(lambda seen: seen.dropped == 2)
        with pytest.raises(VendorError, match="closed"):
            embedder.query(["ещё"])
        embedder.close()
    assert {thread for thread in threading.enumerate() if thread.is_alive()} <= before


def test_the_same_words_are_asked_for_once(vendor: Vendor, tmp_path: Path) -> None:
    """By many threads together, and later from memory; wordings and passages come from disk at the next start."""
    with vendor.opened(tmp_path) as (embedder, double), ThreadPoolExecutor(8) as pool:
        rows = list(pool.map(lambda _: embedder.query(["полис"]), range(8)))
        assert all((row == rows[0]).all() for row in rows)
        assert len(double.requests) == 1
        embedder.wordings(["раз", "два", "раз"])
        embedder.passage(["раз"])
        asked = len(double.requests)
        again = vendor.embedder(double.url, tmp_path)
        assert again.wordings(["два", "раз"]) == pytest.approx(embedder.wordings(["два", "раз"]))
        again.passage(["раз"])
        assert len(double.requests) == asked
        again.query(["полис"])
        assert len(double.requests) == asked + 1
        again.close()


def test_what_callers_say_is_never_on_disk(vendor: Vendor, tmp_path: Path) -> None:
    with vendor.opened(tmp_path) as (embedder, _):
        embedder.query(["мой номер 4509 123456"])
        assert not list((tmp_path / "embeddings").rglob("*.vec"))
        embedder.wordings(["как оплатить"])
        (kept,) = (tmp_path / "embeddings").rglob("*.vec")
        assert "оплатить".encode() not in kept.read_bytes()


def test_usage_is_recorded(vendor: Vendor, tmp_path: Path) -> None:
    meter = Meter()
    with vendor.double() as double:
        embedder = vendor.embedder(double.url, tmp_path, meter)
        embedder.query(["полис на машину"])
        embedder.query(["полис на машину"])
        embedder.wordings(["раз"])
        failed = ScriptedReply(status=500)
        double.follow(failed)
        failure(embedder.query, "другое")
        embedder.close()
    assert meter.total("requests") == 2
    assert meter.total("input_tokens") > 0
    assert {(usage.part, usage.engine) for usage in meter.used} == {("embeddings", vendor.name)}


def test_an_indexing_goes_on_where_it_stopped_and_tells_how_long(vendor: Vendor, tmp_path: Path) -> None:
    told: list[str] = []
    texts = [f"вопрос {number}" for number in range(40)]
    one_by_one: dict[str, Any] = {"batch": 1} if vendor.name == "openai" else {}
    with vendor.double(script=[ScriptedReply()] * 10, usual=ScriptedReply(status=500)) as double:
        embedder = vendor.embedder(double.url, tmp_path, told=told, at_once=2, **one_by_one)
        assert failure(embedder.wordings, *texts).fault == "failed"
        done = len(list((tmp_path / "embeddings").rglob("*.vec")))
        assert done == 10
        asked = len(double.requests)
        double.follow()
        assert len(embedder.wordings(texts)) == 40
        assert len(double.requests) == asked + 30
        embedder.close()
        slow = vendor.embedder(double.url, tmp_path / "slow", told=told, requests_per_s=0.5, **one_by_one)
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(slow.wordings, texts)
            assert double.wait_for(lambda seen: len(seen.requests) > asked + 30)
            slow.close()
            with pytest.raises(VendorError, match="closed"):
                waiting.result(5)
    assert told == [
        f"{vendor.name} embeddings: 40 texts in 40 requests, about 2 min at 0.4 requests a second; it may be "
        "interrupted, what is done is kept"
    ]


def test_callers_pass_our_own_limit_or_fail_at_once(vendor: Vendor, tmp_path: Path) -> None:
    """Without a request: the vendor would refuse it as well. Whom no caller waits for waits for the quota."""
    with vendor.opened(tmp_path, requests_per_s=5.0, query_ms=50.0) as (embedder, double):
        for number in range(5):
            embedder.query([f"слово {number}"])
        error = failure(embedder.query, "ещё одно")
        assert (error.fault, error.code, len(double.requests)) == ("rate_limited", "own_rate_limit", 5)
        assert error.retry_after_s is not None
        assert embedder.query_patiently(["ещё одно"]).shape[0] == 1


def test_an_exchanged_model_is_noticed(vendor: Vendor, tmp_path: Path) -> None:
    """Its vectors are refused in this process; the next start has another identity, and the old one comes back too."""
    newer = {"embedding": [1.0] * 256, "modelVersion": "new", "model": "new", "data": [{"embedding": [1.0] * 96}]}
    with vendor.opened(tmp_path) as (embedder, double):
        before = embedder.identity
        embedder.query(["полис"])
        double.follow(ScriptedReply(document=newer))
        error = failure(embedder.query, "карта")
        assert (error.fault, error.code) == ("broken", "model_exchanged")
        later = vendor.embedder(double.url, tmp_path)
        assert later.identity != before
        double.follow(ScriptedReply(document=newer))
        later.query(["карта"])
        assert failure(later.query, "погода").code == "model_exchanged"
        later.close()
        assert vendor.embedder(double.url, tmp_path).identity == before


def checked(vendor: Vendor, url: str, meter: Meter | None = None, **changed: Any) -> Check:
    options = replace(vendor.options(url), **changed)
    assert vendor.engine.check is not None
    found = anyio.run(vendor.engine.check, options, vendor.context(Path("unused"), meter))
    assert KEY not in repr(found)
    return found


def test_a_check_of_what_works(vendor: Vendor) -> None:
    meter = Meter()
    with vendor.double() as double:
        found = checked(vendor, double.url, meter)
        assert len(double.requests) == 1
    assert found.well
    assert (found.reachable, found.authorised) == (True, True)
    assert found.latency_ms is not None
    assert "dimensions" in found.detail
    assert meter.total("requests") == 1


@pytest.mark.parametrize(
    ("reply", "reachable", "authorised"),
    [
        (ScriptedReply(status=401, document={"error": {"message": KEY}}), True, False),
        (ScriptedReply(status=429, raw=b""), True, True),
        (ScriptedReply(status=500, raw=b""), True, None),
        (ScriptedReply(document={"embedding": 1}), True, True),
        (ScriptedReply("hang"), False, None),
        (ScriptedReply("reset"), False, None),
    ],
    ids=lambda value: f"{value.behaviour}-{value.status}" if isinstance(value, ScriptedReply) else None,
)
def test_a_check_of_what_does_not(
    vendor: Vendor, reply: ScriptedReply, reachable: bool, authorised: bool | None
) -> None:
    with vendor.double(usual=reply) as double:
        found = checked(vendor, double.url, **QUICK)
    assert (found.reachable, found.authorised) == (reachable, authorised)
    assert found.fix
    assert not found.well


def test_a_check_without_credentials_sends_nothing(vendor: Vendor) -> None:
    with vendor.double() as double:
        assert vendor.engine.check is not None
        options = vendor.options(double.url)
        if vendor.name == "openai":
            options = replace(options, account="yandex")
        found = anyio.run(vendor.engine.check, options, EngineContext("ru", Path("unused")))
        assert double.requests == ()
    assert "KAMERTON_ACCOUNTS__YANDEX" in found.fix
