"""Calls whose engines tell what they use: each call's bill, at its end, with what it cost."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from decimal import Decimal
from typing import cast

import grpc.aio
import pytest
from prometheus_client import CollectorRegistry
from pydantic import SecretStr
from yandex_inside import InsideChannel
from yandex_speech import KEY

from kamerton.domain.audio import PHONE, AudioFormat
from kamerton.domain.language_model import GenerationEnded, ModelEvent, ModelRequest
from kamerton.domain.notices import CallFinished, TurnFinished
from kamerton.domain.synthesis import SpeechChunk
from kamerton.llm.accounting import record_answer
from kamerton.llm.chain import ModelChain, ModelLink
from kamerton.llm.limits import TalkLimits
from kamerton.observability.call_log import LoggingObserver
from kamerton.observability.turn_recorder import TurnRecorder
from kamerton.observability.usage_metrics import UsageMetrics
from kamerton.orchestrator.router import AnswerSources
from kamerton.orchestrator.workers import InlineWorker
from kamerton.stt.chain import ChainLink, RecognizerChain
from kamerton.stt.standins.scripted import ScriptedSpeechToText, ScriptedTurn
from kamerton.stt.yandex.options import YandexSttOptions
from kamerton.stt.yandex.recognizer import YandexSpeechToText
from kamerton.stt.yandex.wire_double import SpeechKitDouble, SpeechKitScript
from kamerton.testing.call_lab import LAB_PHRASES, CallLab, EchoFlow
from kamerton.testing.scripted_model import ScriptedAnswer, ScriptedModel, scripted_talk
from kamerton.testing.virtual_loop import VirtualLoop
from kamerton.tts.tts_manager import TTSManager
from kamerton.tts.voices.standin import PacedToneTextToSpeech
from kamerton.vendors.accounts.yandex import YandexAccount
from kamerton.vendors.metering import UsageLedger
from kamerton.vendors.prices import Price, PriceList
from kamerton.vendors.usage import Usage, UsageMeter
from kamerton.vendors.yandex.credentials import open_credentials

pytestmark = pytest.mark.anyio

GREETING = "добрый день, слушаю вас"
PRICES = PriceList(
    (
        Price("yandex", "seconds", Decimal("0.01"), "RUB"),
        Price("elevenlabs", "characters", Decimal("0.0001"), "USD"),
        Price("openai", "input_tokens", Decimal("0.15"), "USD", Decimal(1_000_000)),
    )
)


@pytest.fixture
def anyio_backend() -> object:
    return ("asyncio", {"loop_factory": VirtualLoop})


class PaidVoice(PacedToneTextToSpeech):
    """Tells characters, as a service does."""

    def __init__(self, meter: UsageMeter) -> None:
        super().__init__(first_audio_ms=150.0)
        self._meter = meter

    async def speak(
        self, text: str | AsyncIterable[str], *, language: str, audio_format: AudioFormat
    ) -> AsyncGenerator[SpeechChunk, None]:
        async with aclosing(super().speak(text, language=language, audio_format=audio_format)) as chunks:
            async for chunk in chunks:
                self._meter.record(Usage("voice", "elevenlabs", "characters", len(chunk.text), "flash"))
                yield chunk


class PaidModel(ScriptedModel):
    """Tells tokens, as a service does."""

    meter: UsageMeter

    async def generate(self, request: ModelRequest) -> AsyncGenerator[ModelEvent, None]:
        async with aclosing(super().generate(request)) as events:
            async for event in events:
                if isinstance(event, GenerationEnded):
                    record_answer(self.meter, "openai", "gpt-4o-mini", event)
                yield event


@asynccontextmanager
async def lab(ledger: UsageLedger, *observers: LoggingObserver | TurnRecorder) -> AsyncIterator[CallLab]:
    """Words are scripted, the model and the voice are paid for. What is said in every call is made ahead."""
    model = PaidModel({"погода": ScriptedAnswer("сегодня солнечно")})
    model.meter = ledger
    async with TTSManager([PaidVoice(ledger)], language="ru", worker=InlineWorker()) as voice:
        await voice.prerender((GREETING, *LAB_PHRASES.values()), (PHONE,), lambda *_: None)
        yield CallLab(
            ScriptedSpeechToText((ScriptedTurn("какая сегодня погода."),)),
            flow=EchoFlow(knows=("сто.", "пока")),
            voice=voice,
            sources=AnswerSources(model=True),
            talk=scripted_talk(cast(ScriptedModel, ModelChain([ModelLink("openai", model)])), TalkLimits()),
            fillers={},
            ledger=ledger,
            observers=observers,
        )


def finished(recorder: TurnRecorder, call_id: str) -> CallFinished:
    record = recorder.record(call_id)
    assert record is not None
    assert record.finished is not None
    return record.finished


async def test_each_call_has_its_own_bill_and_the_log_tells_it(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    ledger, recorder = UsageLedger(PRICES), TurnRecorder()
    async with lab(ledger, recorder, LoggingObserver()) as made:
        ahead = ledger.total.costs["USD"]
        async with made.calls(2) as (first, second):
            first.says(4.0, 5.0)
            await second.until(14.0)
            assert ledger.open_accounts == 2
    answer = first.of_kind(TurnFinished)[1]
    assert (answer.path, answer.outcome) == ("llm", "played")
    bill = finished(recorder, "lab").bill
    amounts = {(line.vendor, line.unit): line.amount for line in bill.lines}
    assert amounts[("openai", "input_tokens")] == 100
    assert amounts[("openai", "output_tokens")] == 20
    said = amounts[("elevenlabs", "characters")]
    assert len("сегодня солнечно") <= said <= len(answer.reply_text)
    assert bill.costs == {"USD": said * Decimal("0.0001") + Decimal("0.000015")}
    unpriced = [line.unit for line in bill.lines if line.cost is None]
    assert unpriced == ["output_tokens"]
    assert finished(recorder, "lab-1").bill.costs == {}, "it was silent: everything it heard was made ahead"
    assert ledger.open_accounts == 0
    assert ledger.total.costs["USD"] == ahead + bill.costs["USD"]
    lines = {line.__dict__["call_id"]: line for line in caplog.records if line.message == "call finished"}
    assert lines["lab"].__dict__["cost"] == bill.plain_costs()
    assert lines["lab"].__dict__["usage"] == bill.plain_lines()
    assert lines["lab-1"].__dict__["usage"] == []


async def test_the_seconds_that_a_recogniser_was_sent_are_on_the_bill_before_the_call_is_reported() -> None:
    ledger, recorder, registry = UsageLedger(PRICES), TurnRecorder(), CollectorRegistry()
    registry.register(UsageMetrics(lambda: ledger.total))
    vendor = SpeechKitDouble(SpeechKitScript())
    yandex = YandexSpeechToText(
        YandexSttOptions(),
        await open_credentials(YandexAccount(api_key=SecretStr(KEY))),
        usage=ledger,
        connect=lambda: cast(grpc.aio.Channel, InsideChannel(vendor)),
    )
    chain = RecognizerChain([ChainLink("yandex", yandex, is_service=True)])
    async with lab(ledger, recorder) as made:
        made.stt = chain
        async with made.call() as call:
            call.says(4.0, 5.0)
            await call.until(9.0)
    await chain.aclose()
    (line,) = [line for line in finished(recorder, "lab").bill.lines if line.vendor == "yandex"]
    assert (line.part, line.model, line.unit, line.currency) == ("recognizer", "general", "seconds", "RUB")
    assert Decimal("1.0") <= line.amount <= Decimal("9.5")
    assert line.cost == line.amount * Decimal("0.01")
    labels = {"vendor": "yandex", "model": "general", "unit": "seconds"}
    assert registry.get_sample_value("kamerton_usage_total", labels) == float(line.amount)
    labels = {"vendor": "yandex", "currency": "RUB"}
    assert registry.get_sample_value("kamerton_cost_total", labels) == pytest.approx(float(line.cost))
