"""Voices as one, on the virtual clock: who speaks when one fails, is late, rests or is overtaken."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable
from contextlib import aclosing
from dataclasses import dataclass, field

import anyio
import pytest

from kamerton.audio.tone import tone
from kamerton.domain.audio import PHONE, AudioFormat
from kamerton.domain.errors import EngineError, VendorError
from kamerton.domain.synthesis import SpeechChunk, TtsCapabilities
from kamerton.testing.virtual_loop import VirtualLoop
from kamerton.tts.voice_chain import VoiceChain, VoiceChainSettings
from kamerton.tts.voice_link import VoiceLink
from kamerton.vendors.breaker import BreakerSettings

pytestmark = pytest.mark.anyio

TEXT = "Раз два. Три четыре. Пять."
FAILURE = VendorError("the service is away", "connection")


@pytest.fixture
def anyio_backend() -> object:
    return ("asyncio", {"loop_factory": VirtualLoop})


@dataclass
class PacedVoice:
    """A service that speaks sentence by sentence, each after a wait, and fails when it is told to."""

    name: str
    waits_s: tuple[float, ...] = (0.1,)
    """Before each sentence; the last one counts for all further ones."""
    fails_at: int | None = None
    silent: bool = False
    lead_s: float = 0.0
    """Of silence, in a chunk that has the sentence's words, before it is heard."""
    asked: list[str] = field(default_factory=list)
    under_way: int = 0

    @property
    def capabilities(self) -> TtsCapabilities:
        return TtsCapabilities(("ru",), streams_text=False)

    async def speak(
        self, text: str | AsyncIterable[str], *, language: str, audio_format: AudioFormat
    ) -> AsyncGenerator[SpeechChunk, None]:
        assert isinstance(text, str)
        self.asked.append(text)
        self.under_way += 1
        try:
            for place, sentence in enumerate([] if self.silent else text.replace(". ", ".|").split("|")):
                await anyio.sleep(self.waits_s[min(place, len(self.waits_s) - 1)])
                if place == self.fails_at:
                    raise FAILURE
                if self.lead_s:
                    yield SpeechChunk(audio_format.silence(), audio_format, sentence)
                    await anyio.sleep(self.lead_s)
                yield SpeechChunk(tone(300, 20, audio_format), audio_format, "" if self.lead_s else sentence)
        finally:
            self.under_way -= 1

    async def aclose(self) -> None: ...


def chain(*voices: PacedVoice, hedge: bool = False, breaker: BreakerSettings | None = None) -> VoiceChain:
    links = [
        VoiceLink(voice.name, voice, is_service=voice is not voices[-1], breaker=breaker, patience_s=1.5)
        for voice in voices
    ]
    return VoiceChain(links, VoiceChainSettings(1.5, hedge))


async def said(voices: VoiceChain, text: str = TEXT) -> list[tuple[str, str]]:
    async with aclosing(voices.speak(text, "ru", PHONE)) as chunks:
        return [(name, chunk.text) async for name, chunk in chunks]


def counts(voices: VoiceChain, name: str) -> dict[str, int]:
    return dict(next(link for link in voices.links if link.name == name).counts)


async def test_the_best_voice_speaks() -> None:
    cloud, local = PacedVoice("cloud"), PacedVoice("local")
    assert [name for name, _ in await said(chain(cloud, local))] == ["cloud"] * 3
    assert local.asked == []


async def test_a_service_that_is_late_is_left_within_the_same_answer() -> None:
    cloud, local = PacedVoice("cloud", (60.0,)), PacedVoice("local")
    voices, begun_s = chain(cloud, local), anyio.current_time()
    async with aclosing(voices.speak(TEXT, "ru", PHONE)) as chunks:
        name, _ = await anext(chunks)
        assert name == "local"
        assert anyio.current_time() - begun_s == pytest.approx(1.6, abs=0.01)
        assert cloud.under_way == 0
    assert counts(voices, "cloud") == {"requests": 1, "failures:timeout": 1}


async def test_the_last_voice_may_be_late() -> None:
    assert len(await said(chain(PacedVoice("cloud", fails_at=0), PacedVoice("local", (5.0,))))) == 3


async def test_a_voice_that_fails_in_the_middle_is_followed_at_the_right_word() -> None:
    cloud, local = PacedVoice("cloud", fails_at=1), PacedVoice("local")
    voices = chain(cloud, local)
    assert await said(voices) == [("cloud", "Раз два."), ("local", "Три четыре."), ("local", "Пять.")]
    assert counts(voices, "cloud") == {"requests": 1, "failures:connection": 1}
    assert counts(voices, "local") == {"requests": 1, "answers": 1}


async def test_after_its_rest_one_request_tries_a_voice_again() -> None:
    cloud, local = PacedVoice("cloud", fails_at=0), PacedVoice("local")
    voices = chain(cloud, local, breaker=BreakerSettings(failures=1, rest_s=10))
    await said(voices)
    await said(voices)
    assert len(cloud.asked) == 1
    assert voices.preferred.name == "local"
    await anyio.sleep(10)
    cloud.fails_at = None
    assert voices.preferred.name == "cloud"
    async with anyio.create_task_group() as both:
        both.start_soon(said, voices)
        both.start_soon(said, voices)
    assert len(cloud.asked) == 2
    assert (await said(voices))[0][0] == "cloud"


async def test_a_voice_that_rests_is_asked_when_there_is_no_other() -> None:
    only = PacedVoice("only", fails_at=0)
    voices = chain(only)
    with pytest.raises(EngineError, match="no voice could speak; only: the service is away"):
        await said(voices)
    only.fails_at = None
    assert len(await said(voices)) == 3


async def test_every_voice_that_failed_is_told_also_one_that_had_begun() -> None:
    voices = chain(PacedVoice("cloud", fails_at=1), PacedVoice("local", fails_at=0))
    with pytest.raises(EngineError, match=r"cloud: the service is away; local: the service is away"):
        await said(voices)


async def test_a_text_that_says_nothing_is_no_failure() -> None:
    cloud = PacedVoice("cloud", silent=True)
    voices = chain(cloud, PacedVoice("local"))
    assert await said(voices) == []
    assert counts(voices, "cloud") == {"requests": 1, "answers": 1}


async def test_a_slow_service_is_hedged_and_the_first_audio_is_heard() -> None:
    cloud, local = PacedVoice("cloud", (0.3, 0.0)), PacedVoice("local")
    voices = chain(cloud, local, hedge=True)
    for _ in range(10):
        await said(voices)
    assert local.asked == []
    cloud.waits_s = (1.4, 0.0)
    begun_s = anyio.current_time()
    assert [name for name, _ in await said(voices)] == ["local"] * 3
    assert anyio.current_time() - begun_s < 0.3 + 0.4
    assert cloud.under_way == 0
    assert counts(voices, "cloud") == {"requests": 11, "answers": 10, "overtaken": 1}


async def test_the_hedge_that_loses_is_cancelled_and_counted() -> None:
    cloud, local = PacedVoice("cloud", (0.3, 0.0)), PacedVoice("local", (5.0,))
    voices = chain(cloud, local, hedge=True)
    for _ in range(10):
        await said(voices)
    cloud.waits_s = (0.6, 0.0)
    assert [name for name, _ in await said(voices)] == ["cloud"] * 3
    assert local.under_way == 0
    assert counts(voices, "local") == {"requests": 1, "overtaken": 1}


@pytest.mark.parametrize("after_s", [0.05, 0.15, 0.25])
async def test_cancelling_frees_the_request_and_is_no_failure(after_s: float) -> None:
    cloud = PacedVoice("cloud")
    voices = chain(cloud, PacedVoice("local"))
    with anyio.move_on_after(after_s):
        await said(voices)
    assert cloud.under_way == 0
    assert "failures" not in str(counts(voices, "cloud"))


async def test_a_service_that_fell_silent_until_it_was_given_up_has_failed() -> None:
    voices = chain(PacedVoice("cloud", (0.1, 60.0)), PacedVoice("local"))
    with anyio.move_on_after(12):
        await said(voices)
    assert counts(voices, "cloud") == {"requests": 1, "failures:timeout": 1}


async def test_a_service_that_lost_a_hedge_goes_on_when_the_winner_fails() -> None:
    cloud, local = PacedVoice("cloud", (0.3, 0.0)), PacedVoice("local", fails_at=1)
    voices = chain(cloud, local, hedge=True)
    for _ in range(10):
        await said(voices)
    cloud.waits_s = (1.4, 0.0)
    assert await said(voices) == [("local", "Раз два."), ("cloud", "Три четыре."), ("cloud", "Пять.")]
    assert counts(voices, "cloud")["overtaken"] == 1
    assert counts(voices, "local") == {"requests": 1, "failures:connection": 1}


async def test_silence_is_no_first_audio_and_costs_no_words() -> None:
    cloud, local = PacedVoice("cloud", lead_s=60.0), PacedVoice("local")
    voices = chain(cloud, local)
    assert await said(voices) == [("local", "Раз два."), ("local", "Три четыре."), ("local", "Пять.")]
    assert counts(voices, "cloud") == {"requests": 1, "failures:timeout": 1}
    cloud.lead_s = 1.0
    await anyio.sleep(31)
    assert [text for _, text in await said(voices)] == ["Раз два.", "", "Три четыре.", "", "Пять.", ""]
