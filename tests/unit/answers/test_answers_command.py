"""What `kamerton answers` does beside the model: audio of answers, how a search is shown."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from kamerton.answers.calibration import Evidence
from kamerton.answers.catalogue import AnswerEntry
from kamerton.answers.catalogue_search import Ranked
from kamerton.answers.instant import AnswerSearch
from kamerton.answers.race import Half
from kamerton.cli.answers import AnswerAudio, render, shown
from kamerton.domain.audio import PHONE, WIDEBAND, AudioFormat, Clip
from kamerton.domain.dialogue import FaqResult
from kamerton.orchestrator.workers import InlineWorker
from kamerton.tts.standin import ToneTextToSpeech
from kamerton.tts.tts_manager import TTSManager

CARD = AnswerEntry("card", "Картой можно?", "Да, можно.", redis_key="shop:card")
OFFICE = AnswerEntry("office", "Где офис?", "Офиса нет.")


class ClipTable:
    """A shared cache in memory that counts what is put into it."""

    def __init__(self) -> None:
        self.clips: dict[tuple[str, int], Clip] = {}
        self.saved: list[str] = []

    async def load(self, key: str, audio_format: AudioFormat) -> Clip | None:
        return self.clips.get((key, audio_format.rate_hz))

    async def save(self, key: str, clip: Clip) -> None:
        self.saved.append(key)
        self.clips[key, clip.format.rate_hz] = clip


@asynccontextmanager
async def voice(duration_ms: float = 300.0) -> AsyncIterator[TTSManager]:
    async with TTSManager([ToneTextToSpeech(duration_ms=duration_ms)], language="ru", worker=InlineWorker()) as manager:
        yield manager


@pytest.mark.anyio
async def test_the_audio_of_answers_is_shared_at_the_rates_of_calls() -> None:
    shared = ClipTable()
    async with voice() as manager:
        assert await render("demo", (CARD, OFFICE), AnswerAudio(manager, shared)) == 4
        assert manager.cached("Да, можно.", PHONE) == shared.clips["shop:card", PHONE.rate_hz]
    assert set(shared.clips) == {
        (key, rate.rate_hz) for key in ("shop:card", "answers:demo:office") for rate in (PHONE, WIDEBAND)
    }


@pytest.mark.anyio
async def test_only_audio_that_is_another_one_is_shared_again() -> None:
    shared = ClipTable()
    async with voice() as manager:
        await render("demo", (CARD, OFFICE), AnswerAudio(manager, shared))
        shared.saved.clear()
        assert await render("demo", (CARD, OFFICE), AnswerAudio(manager, shared)) == 0
        changed = AnswerEntry("office", "Где офис?", "Теперь есть.")
        assert await render("demo", (CARD, changed), AnswerAudio(manager, shared)) == 2
    assert set(shared.saved) == {"answers:demo:office"}
    async with voice(duration_ms=500.0) as other:
        assert await render("demo", (CARD,), AnswerAudio(other, shared)) == 2


@pytest.mark.anyio
async def test_without_a_shared_cache_the_audio_is_only_made() -> None:
    async with voice() as manager:
        assert await render("demo", (CARD,), AnswerAudio(manager, None)) is None
        assert manager.cached("Да, можно.", WIDEBAND) is not None


def test_a_search_is_shown_with_its_decision() -> None:
    evidence = (Evidence("card", meaning=0.71, coverage=0.5),)
    words, meaning = Half((Ranked("card", 3.5),), "", 1.0), Half((Ranked("card", 0.71),), "", 17.0)
    verdict = FaqResult("card", "Картой можно?", "Да, можно.", 0.98)
    told = "\n".join(shown(AnswerSearch("картой", verdict, "words and meaning", words, meaning, evidence, 18.0)))
    for part in (
        "«картой»",
        "1. card",
        "3.500",
        "0.710",
        "coverage 0.50",
        "answer 'card' (0.98)",
        "18.0 ms",
        "Да, можно.",
    ):
        assert part in told


def test_a_refusal_says_why() -> None:
    late = Half(failure="late")
    told = "\n".join(shown(AnswerSearch("снег", None, "both searches failed", late, late)))
    assert "by words: late" in told
    assert "no answer: both searches failed" in told
