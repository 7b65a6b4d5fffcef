"""SpeechKit's stand-in misbehaves at the wire: what comes of it, how soon, and what a person is told."""

from __future__ import annotations

import datetime
import ipaddress
import logging
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.abc import SocketAttribute, SocketStream
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pydantic import SecretStr
from yandex_speech import KEY, WORDS, Meter, context_for, frames, opened, options_for, recogniser

from kamerton.domain.audio import PHONE, AudioFormat
from kamerton.domain.errors import ConfigurationError, VendorError
from kamerton.domain.recognition import Final, RecognitionHint, SttEvent, SttReconnected
from kamerton.stt.yandex.engine import ENGINE
from kamerton.stt.yandex.options import YandexSttOptions
from kamerton.stt.yandex.wire_double import SpeechKitDouble, SpeechKitScript, Trouble, serve_speechkit
from kamerton.vendors.accounts.yandex import YandexAccount
from kamerton.vendors.yandex.wire_double import IamScript, serve_iam

pytestmark = [pytest.mark.socket, pytest.mark.anyio, pytest.mark.usefixtures("grpc_settles")]


def say(stream: Any, text: str = "раз два три", turn: int = 1) -> None:
    stream.begin_turn(turn, RecognitionHint())
    for frame in frames(text):
        stream.push(frame)
    stream.end_of_turn()


async def outcome(stream: Any) -> tuple[list[SttEvent], str]:
    """Events before a turn's transcript, and that."""
    before: list[SttEvent] = []
    with anyio.fail_after(10):
        async for event in stream:
            if isinstance(event, Final):
                return before, event.text
            before.append(event)
    raise AssertionError("the iteration ended")


async def loss(stream: Any) -> VendorError:
    """How the service is lost for the call."""
    with anyio.fail_after(10), pytest.raises(VendorError) as failure:
        await outcome(stream)
    shown = "".join(traceback.format_exception(failure.value))
    assert KEY not in shown
    assert KEY not in repr(failure.value)
    return failure.value


def certificate(folder: Path) -> tuple[tuple[bytes, bytes], Path]:
    """A private key with a certificate of its own for this machine, and the file of the certificate."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = signed.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "ca.pem").write_bytes(pem)
    return (private, pem), folder / "ca.pem"


async def test_a_session_is_asked_for_as_the_vendor_wants_it() -> None:
    meter = Meter()
    script = SpeechKitScript(WORDS, accepted=(f"Api-Key {KEY}",))
    async with serve_speechkit(script) as vendor, opened(vendor, meter=meter) as stream:
        say(stream)
        assert (await outcome(stream))[1] == "раз два три"
        stream.close()
    (seen,) = vendor.sessions
    assert (seen.model, seen.languages, seen.rate_hz, seen.folder) == ("general", ("ru-RU",), 8000, "")
    assert seen.ends_asked == 1
    assert meter.seconds == pytest.approx(seen.audio_ms / 1000)
    assert {(usage.part, usage.engine, usage.unit) for usage in meter.taken} == {("recognizer", "yandex", "seconds")}


async def test_a_wrong_key_is_told_at_once_and_stays_secret(caplog: pytest.LogCaptureFixture) -> None:
    """Although the service repeats it in its answer."""
    caplog.set_level(logging.DEBUG)
    script = SpeechKitScript(WORDS, accepted=("Api-Key other",))
    async with serve_speechkit(script) as vendor, opened(vendor) as stream:
        say(stream)
        failure = await loss(stream)
    assert failure.fault == "unauthorised", str(failure)
    assert "accounts.yandex" in str(failure), str(failure)
    assert vendor.address in str(failure)
    assert len(vendor.sessions) == 1
    assert KEY not in caplog.text
    assert all(KEY not in str(record.__dict__) for record in caplog.records)


REFUSALS = [
    (Trouble("refuse", status="RESOURCE_EXHAUSTED", details="Quota limit exceeded", sessions=9), "quota", None, 1),
    (Trouble("refuse", status="RESOURCE_EXHAUSTED", retry_after_s=30), "rate_limited", 30, 1),
    (Trouble("refuse", status="RESOURCE_EXHAUSTED", retry_after_s=9, retry_in="header"), "rate_limited", 9, 1),
    (Trouble("refuse", status="INVALID_ARGUMENT", sessions=9), "rejected", None, 3),
    (Trouble("refuse", status="INTERNAL", details="oops", sessions=9), "failed", None, 3),
    (Trouble("garbage", sessions=9), "broken", None, 3),
    (Trouble("half_close", sessions=9), "connection", None, 3),
    (Trouble("hang", sessions=9), "timeout", None, 3),
    (Trouble("deaf", sessions=9), "timeout", None, 3),
]


@pytest.mark.parametrize(("trouble", "fault", "retry_s", "sessions"), REFUSALS, ids=[str(n) for n in range(9)])
async def test_a_service_that_does_not_work_is_given_up(
    trouble: Trouble, fault: str, retry_s: float | None, sessions: int
) -> None:
    async with serve_speechkit(SpeechKitScript(WORDS, troubles=[trouble])) as vendor:
        async with opened(vendor, first_answer_s=0.3, final_s=0.3) as stream:
            say(stream)
            failure = await loss(stream)
        with anyio.fail_after(5):
            await vendor.until(lambda: not vendor.under_way)
    assert (failure.fault, failure.retry_after_s, len(vendor.sessions)) == (fault, retry_s, sessions)
    assert "Yandex SpeechKit at 127.0.0.1:" in str(failure)


@pytest.mark.parametrize("kind", ["refuse", "garbage", "half_close", "hang", "deaf"])
@pytest.mark.parametrize("after", [0, 1, 3])
async def test_one_bad_session_costs_no_word(kind: Any, after: int) -> None:
    script = SpeechKitScript(WORDS, troubles=[Trouble(kind, after)])
    async with serve_speechkit(script) as vendor, opened(vendor, first_answer_s=0.3, final_s=0.5) as stream:
        say(stream)
        before, text = await outcome(stream)
        assert text == "раз два три"
        assert [event.lost_ms for event in before if isinstance(event, SttReconnected)] == [0]
        say(stream, "четыре", turn=2)
        assert (await outcome(stream))[1] == "четыре"


async def test_a_short_wait_that_the_service_asks_for_is_kept() -> None:
    trouble = Trouble("refuse", status="RESOURCE_EXHAUSTED", retry_after_s=0.5)
    async with serve_speechkit(SpeechKitScript(WORDS, troubles=[trouble])) as vendor, opened(vendor) as stream:
        say(stream)
        begun_s = anyio.current_time()
        assert (await outcome(stream))[1] == "раз два три"
        assert anyio.current_time() - begun_s >= 0.4


async def test_an_iam_token_that_is_refused_is_exchanged_once(tmp_path: Path) -> None:
    async with serve_iam() as iam, serve_speechkit(SpeechKitScript(WORDS)) as vendor:
        account = YandexAccount(service_account_key_file=iam.write_key(tmp_path / "key.json"), iam_url=iam.url)
        async with opened(vendor, account=account) as stream:
            say(stream)
            await outcome(stream)
        assert vendor.sessions[0].authorization == f"Bearer {iam.tokens[0]}"
        vendor.script.accepted = ()
        async with opened(vendor, account=account) as stream:
            say(stream)
            assert (await loss(stream)).fault == "unauthorised"
    assert len(vendor.sessions) == 2, "a token that came only now is not what is wrong"


async def test_an_exchange_that_is_away_is_not_asked_without_end(tmp_path: Path) -> None:
    async with serve_iam(IamScript(manner="resets")) as iam, serve_speechkit(SpeechKitScript(WORDS)) as vendor:
        account = YandexAccount(service_account_key_file=iam.write_key(tmp_path / "key.json"), iam_url=iam.url)
        async with opened(vendor, account=account) as stream:
            say(stream)
            assert (await loss(stream)).fault == "connection"
    assert iam.asked == 3
    assert not vendor.sessions


@asynccontextmanager
async def raw_server(manner: str) -> AsyncIterator[SpeechKitDouble]:
    """Something that takes connections and speaks no gRPC."""
    async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener, anyio.create_task_group() as group:

        async def handle(stream: SocketStream) -> None:
            async with stream:
                try:
                    if manner == "silent":
                        await anyio.sleep_forever()
                    while manner == "slow":
                        await stream.send(b"\x00")
                        await anyio.sleep(0.02)
                    if manner == "garbage":
                        await stream.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                except anyio.BrokenResourceError:
                    return

        group.start_soon(listener.serve, handle)
        yield SpeechKitDouble(SpeechKitScript(), f"127.0.0.1:{listener.extra(SocketAttribute.local_port)}")
        group.cancel_scope.cancel()


@pytest.mark.parametrize("manner", ["silent", "slow", "garbage", "reset"])
async def test_what_is_no_speechkit_is_given_up_in_bounded_time(manner: str) -> None:
    async with raw_server(manner) as vendor, opened(vendor, write_s=0.3, first_answer_s=0.3, attempts=2) as stream:
        say(stream)
        failure = await loss(stream)
        assert failure.fault in ("timeout", "connection")


async def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path: Path) -> None:
    pair, ca_file = certificate(tmp_path)
    async with serve_speechkit(SpeechKitScript(WORDS), tls=pair) as vendor:
        async with opened(vendor, tls=True) as stream:
            say(stream)
            failure = await loss(stream)
            assert failure.fault == "connection"
            assert "certificate" in str(failure)
        assert not vendor.sessions
        async with opened(vendor, tls=True, ca_file=ca_file) as stream:
            say(stream)
            assert (await outcome(stream))[1] == "раз два три"


async def test_a_call_that_leaves_ends_its_session_at_once() -> None:
    async with serve_speechkit(SpeechKitScript(WORDS)) as vendor:
        stt = await recogniser(vendor)
        with anyio.CancelScope() as call:
            async with stt.open(PHONE) as stream:
                stream.begin_turn(1, RecognitionHint())
                stream.push(frames("раз")[0])
                with anyio.fail_after(5):
                    await vendor.until(lambda: vendor.under_way == 1)
                call.cancel()
                await anyio.sleep_forever()
        with anyio.fail_after(5):
            await vendor.until(lambda: not vendor.under_way)
        assert vendor.sessions[0].ended == "cancelled"
        await stt.aclose()


async def test_ukrainian_is_somebody_elses() -> None:
    with pytest.raises(ConfigurationError, match="google"):
        await ENGINE.open(YandexSttOptions(), context_for(language="uk"))
    async with serve_speechkit(SpeechKitScript(WORDS)) as vendor, opened(vendor) as stream:
        stream.begin_turn(1, RecognitionHint(language="uk"))
        stream.end_of_turn()
        with anyio.fail_after(5):
            event = await anext(aiter(stream))
        assert not event.retryable
        say(stream, turn=2)
        assert (await outcome(stream))[1] == "раз два три"


async def test_a_rate_that_the_service_does_not_take_is_refused() -> None:
    async with serve_speechkit(SpeechKitScript(WORDS)) as vendor:
        stt = await recogniser(vendor)
        with pytest.raises(ConfigurationError, match="11025"):
            async with stt.open(AudioFormat(11025)):
                pass
        await stt.aclose()


@pytest.mark.parametrize(
    "options",
    [
        {"endpoint": "nowhere"},
        {"endpoint": "https://stt.example.net:443"},
        {"tls": False, "ca_file": Path("ca.pem")},
        {"chunk_ms": 30},
        {"chunk_ms": 420},
        {"renew_after_s": 290},
        {"literature_text": True},
        {"turn_s": 0.5},
        {"model": " "},
        {"attempts": 0},
    ],
    ids=str,
)
def test_options_that_cannot_work_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        YandexSttOptions(**options)


async def test_a_check_tells_how_the_service_is() -> None:
    script = SpeechKitScript(WORDS, accepted=(f"Api-Key {KEY}",))
    async with serve_speechkit(script) as vendor:
        options = options_for(vendor, first_answer_s=0.5)
        assert ENGINE.check is not None
        check = await ENGINE.check(options, context_for())
        assert check.well
        assert check.authorised
        assert check.latency_ms is not None
        assert "general" in check.detail
        wrong = await ENGINE.check(options, context_for(YandexAccount(api_key=SecretStr("AQVN-wrong"))))
        assert (wrong.reachable, wrong.authorised) == (True, False)
        assert "AQVN-wrong" not in str(wrong)
        script.troubles.append(Trouble("hang"))
        hung = await ENGINE.check(options, context_for())
        assert not hung.reachable
        assert hung.fix
        none = await ENGINE.check(options, context_for(YandexAccount()))
        assert "KAMERTON_ACCOUNTS__YANDEX__API_KEY" in none.fix
    away = await ENGINE.check(options, context_for())
    assert not away.reachable


async def test_a_check_of_what_is_no_speechkit_says_so() -> None:
    async with serve_speechkit(SpeechKitScript(WORDS, troubles=[Trouble("garbage")])) as vendor:
        assert ENGINE.check is not None
        check = await ENGINE.check(options_for(vendor), context_for())
    assert (check.well, check.detail) == (False, "broken")


async def test_a_check_knows_a_refusal_however_it_falls_in_with_what_it_sends() -> None:
    # Now and then gRPC loses the status, which arrives while the check writes.
    script = SpeechKitScript(WORDS, accepted=("Api-Key another",))
    async with serve_speechkit(script) as vendor:
        assert ENGINE.check is not None
        checks = [await ENGINE.check(options_for(vendor), context_for()) for _ in range(200)]
    assert {(check.reachable, check.authorised) for check in checks} == {(True, False)}
