"""Every cloud is pulled in turn during one call: ears, mind and voice go on with what the machine has itself."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable
from contextlib import aclosing
from dataclasses import dataclass
from itertools import pairwise, permutations
from typing import Final, Literal

import anyio
import pytest

from kamerton.audio.levels import speech_dbfs
from kamerton.domain.audio import PHONE, AudioFormat
from kamerton.domain.errors import VendorError
from kamerton.domain.language_model import ModelEvent, ModelRequest
from kamerton.domain.notices import TurnFinished
from kamerton.domain.synthesis import SpeechChunk
from kamerton.llm.chain import ModelChain, ModelLink
from kamerton.llm.conversation_manager import ConversationManager
from kamerton.llm.dual_context import DualContextController
from kamerton.llm.limits import TalkLimits
from kamerton.llm.token_counts import estimate_tokens
from kamerton.orchestrator.router import AnswerSources
from kamerton.orchestrator.workers import InlineWorker
from kamerton.stt.chain import ChainLink, RecognizerChain
from kamerton.stt.standins.faulty import FaultySpeechToText, StreamFaults
from kamerton.stt.standins.scripted import ScriptedSpeechToText, ScriptedTurn
from kamerton.testing.call_lab import LAB_PHRASES, CallLab, EchoFlow, LabCall
from kamerton.testing.scripted_model import ScriptedAnswer, ScriptedModel
from kamerton.testing.virtual_loop import VirtualLoop
from kamerton.tts.tts_manager import TTSManager
from kamerton.tts.voice_chain import VoiceChain
from kamerton.tts.voice_link import VoiceLink
from kamerton.tts.voices.standin import PacedToneTextToSpeech

pytestmark = pytest.mark.anyio

Part = Literal["recogniser", "model", "voice"]
Death = Literal["refuses", "hangs"]
TURNS_AT_S: Final = (4.0, 20.0, 36.0, 52.0, 68.0)
"""When the caller asks; a second of speech each."""
PULLED_AT_S: Final = (20.5, 36.5, 52.5)
"""While the caller asks for the second, third and fourth time."""
FILLERS: Final = ("секунду", "ещё ищу", "почти готово")
FOREVER_S: Final = 1e6
LONGEST_WAIT: Final = {"refuses": (1200.0, 1), "hangs": (8500.0, 3)}
"""Of one question: milliseconds, fillers. Services that hang may cost one turn all three deadlines, 6.5 s together."""


@pytest.fixture
def anyio_backend() -> object:
    return ("asyncio", {"loop_factory": VirtualLoop})


@dataclass
class Plug:
    """What a service's double hangs on."""

    death: Death
    pulled: bool = False

    async def serve(self) -> None:
        """Come back at once, as long as the service is there."""
        if self.pulled and self.death == "hangs":
            await anyio.sleep(FOREVER_S)
        if self.pulled:
            raise VendorError("the service is away", "connection")


class NumberingModel(ScriptedModel):
    """Answers every question differently, so that no answer's audio is at hand."""

    def __init__(self, who: str, plug: Plug | None = None) -> None:
        super().__init__()
        self._who = who
        self._plug = plug

    async def generate(self, request: ModelRequest) -> AsyncGenerator[ModelEvent, None]:
        if self._plug is not None:
            await self._plug.serve()
        text = f"Отвечает {self._who} " + "раз " * (len(self.requests) + 1) + "и желает хорошего дня."
        self.otherwise = ScriptedAnswer(text)
        async with aclosing(super().generate(request)) as events:
            async for event in events:
                yield event


class PluggedVoice(PacedToneTextToSpeech):
    """A voice of a service."""

    def __init__(self, plug: Plug) -> None:
        super().__init__(ms_per_character=60.0)
        self._plug = plug

    @property
    def name(self) -> str:
        return "cloud-voice"

    async def speak(
        self, text: str | AsyncIterable[str], *, language: str, audio_format: AudioFormat
    ) -> AsyncGenerator[SpeechChunk, None]:
        async with aclosing(super().speak(text, language=language, audio_format=audio_format)) as chunks:
            async for chunk in chunks:
                await self._plug.serve()
                yield chunk


def ears(pulled_at_s: float, death: Death) -> RecognizerChain:
    def hears(text: str) -> ScriptedSpeechToText:
        return ScriptedSpeechToText((ScriptedTurn(text),) * len(TURNS_AT_S))

    dead = StreamFaults(refuses="away") if death == "refuses" else StreamFaults(opens_after_s=FOREVER_S)
    broken = (
        StreamFaults(breaks_after_s=pulled_at_s) if death == "refuses" else StreamFaults(silent_after_s=pulled_at_s)
    )
    cloud = FaultySpeechToText(hears("какая погода в облаках."), broken, *[dead] * 20)
    return RecognizerChain(
        (
            ChainLink("cloud", cloud, is_service=True),
            ChainLink("local", hears("какая погода на земле."), is_service=False),
        )
    )


async def no_summary(messages: object) -> str:
    return "говорили о разном"


async def conversation(order: tuple[Part, ...], death: Death) -> tuple[LabCall, ModelChain, VoiceChain]:
    """A call of five questions, during which three services are pulled."""
    plugs = {part: Plug(death) for part in order}
    mind = ModelChain(
        [
            ModelLink("cloud", NumberingModel("облако", plugs["model"])),
            ModelLink("local", NumberingModel("машина")),
        ]
    )
    local_voice = PacedToneTextToSpeech(ms_per_character=50.0)
    voice = VoiceChain(
        [
            VoiceLink("cloud", PluggedVoice(plugs["voice"]), is_service=True, patience_s=1.5),
            VoiceLink("local", local_voice),
        ]
    )
    contexts = DualContextController(8000, no_summary, estimate_tokens)
    async with TTSManager(voice, language="ru", worker=InlineWorker()) as speech:
        await speech.prerender((*FILLERS, *LAB_PHRASES.values()), (PHONE,), lambda done, total: None)
        lab = CallLab(
            ears(PULLED_AT_S[order.index("recogniser")], death),
            flow=EchoFlow(knows=()),
            voice=speech,
            sources=AnswerSources(model=True),
            talk=lambda _: ConversationManager(mind, contexts, "Отвечай коротко.", TalkLimits(), "ru"),
        )
        async with lab.call() as call:
            for at_s in TURNS_AT_S:
                call.says(at_s, at_s + 1.0)
            for at_s, part in zip(PULLED_AT_S, order, strict=True):
                await call.until(at_s)
                plugs[part].pulled = True
            await call.until(84.0)
    return call, mind, voice


def sounds_before_answer(call: LabCall, turn: TurnFinished) -> int:
    """How many times something is heard between the end of the caller's question and the answer."""
    asked_s, answered_s = turn.marks["t_eos"], turn.marks["t6"]
    heard = [frame for frame in call.media.heard if asked_s <= frame.at_s < answered_s - 0.01]
    loud_s = [frame.at_s for frame in heard if speech_dbfs(frame.pcm, PHONE) > -45.0]
    return sum(later - sooner > 0.3 for sooner, later in pairwise([asked_s - 1.0, *loud_s]))


@pytest.mark.parametrize("death", ["refuses", "hangs"])
@pytest.mark.parametrize("order", [*permutations(("recogniser", "model", "voice"))], ids="-".join)
async def test_every_question_is_answered_whatever_is_pulled_first(order: tuple[Part, ...], death: Death) -> None:
    call, mind, voice = await conversation(order, death)
    turns = [turn for turn in call.of_kind(TurnFinished) if turn.user_text]
    assert [(turn.path, turn.outcome) for turn in turns] == [("llm", "played")] * len(TURNS_AT_S)
    assert all(turn.heard_text == turn.reply_text for turn in turns)
    for place, part in enumerate(order, 2):
        pulled = [turn for number, turn in enumerate(turns, 1) if number >= place]
        if part == "recogniser":
            assert {turn.user_text for turn in pulled} == {"какая погода на земле."}
        if part == "model":
            assert all(turn.reply_text.startswith("Отвечает машина") for turn in pulled)
    longest_ms, most_fillers = LONGEST_WAIT[death]
    for turn in turns:
        assert turn.response_ms is not None
        assert turn.response_ms < longest_ms
        assert 1 <= sounds_before_answer(call, turn) <= most_fillers, "no wait is silent"
    for link in (mind.links[0], voice.links[0]):
        assert link.counts["answers"] > 0
        assert any(what.startswith("failures:") for what in link.counts)
    assert mind.links[1].counts["answers"] > 0
    assert voice.links[1].counts["answers"] > 0
