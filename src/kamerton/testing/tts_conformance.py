"""The suite that every voice must pass.

A test module makes a subclass of `TextToSpeechConformance` that overrides `make_voice` and, where needed, `language`.
Voices are made anew for each test and closed in it; a process or thread that is left over fails the test.
"""

from __future__ import annotations

import threading
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from typing import Final

import anyio
import psutil
import pytest

from kamerton.audio.levels import rms_dbfs
from kamerton.domain.audio import PHONE, SAMPLE_BYTES, WIDEBAND, AudioFormat
from kamerton.domain.errors import EngineError
from kamerton.domain.synthesis import SpeechChunk, TextToSpeech

DEADLINE_S: Final = 30.0

SENTENCES: Final = {
    "ru": ("Добрый день!", "Вас приветствует страховая компания.", "Сколько лошадиных сил у вашей машины?"),
    "uk": ("Добрий день!", "Вас вітає магазин шин.", "Який розмір шин вам потрібен?"),
}
SILENT: Final = ("", "   ", "…", "\n\n", "🙂")
UGLY: Final = (
    'Он сказал: "да" (или «нет»), \\ и ушёл.',
    "Привет 🙂 мир 👍🏽",
    '") (quit) (format t "x',
    '")) (system "id") (print "',
    "(begin (car 5))",
    "hello world, VIN code WBA 12345",
    "12345 1,5 № 7 % $ ₴ ~ ` ^ | { } [ ] < > & * # @",
    "[[h@l'oU]] <speak><break time='9s'/></speak>",
    "ъ ь ' - — … ;:,.!?",
    "Добрий день, це їжак, ґанок і п'ять",
    "кхм" * 60,
    "нуль\x00байт\x07 \u200b\ufeff\ud7ff",
    "中文 العربية ไทย",
)
LONG: Final = "Слово за слово, и разговор идёт дальше. " * 75


async def heard(chunks: AsyncGenerator[SpeechChunk, None]) -> list[SpeechChunk]:
    """All chunks of a speech, within the suite's deadline."""
    with anyio.fail_after(DEADLINE_S):
        async with aclosing(chunks):
            return [chunk async for chunk in chunks]


def duration_ms(chunks: list[SpeechChunk]) -> float:
    """Length of a speech."""
    return sum(chunk.format.duration_ms(len(chunk.pcm) // SAMPLE_BYTES) for chunk in chunks)


@contextmanager
def nothing_left_over() -> Iterator[None]:
    """Fail if a child process or a thread of ours is alive that was not before; the loop's resolvers are its own."""
    children = {child.pid for child in psutil.Process().children(recursive=True)}
    threads = set(threading.enumerate())
    yield
    left = [child for child in psutil.Process().children(recursive=True) if child.pid not in children]
    assert not left, f"processes left over: {left}"
    new = [thread for thread in threading.enumerate() if thread not in threads]
    new = [thread for thread in new if not thread.name.startswith(("AnyIO worker", "asyncio_"))]
    assert not new, f"threads left over: {new}"


@pytest.mark.anyio
class TextToSpeechConformance:
    """Rules of `kamerton.domain.synthesis.TextToSpeech`, tested from outside."""

    language = "ru"

    def make_voice(self) -> TextToSpeech:
        """A new voice."""
        raise NotImplementedError

    @asynccontextmanager
    async def voice(self) -> AsyncIterator[TextToSpeech]:
        """A voice that is closed in the end and must leave nothing."""
        with nothing_left_over():
            voice = self.make_voice()
            try:
                yield voice
            finally:
                await voice.aclose()

    @property
    def text(self) -> str:
        """Three sentences."""
        return " ".join(SENTENCES[self.language])

    @pytest.mark.parametrize("audio_format", [PHONE, WIDEBAND])
    async def test_audio_has_the_asked_rate_and_a_sane_length(self, audio_format: AudioFormat) -> None:
        """Whole samples, the asked format, audible, between 30 and 250 ms a character."""
        async with self.voice() as voice:
            chunks = await heard(voice.speak(self.text, language=self.language, audio_format=audio_format))
        assert chunks
        assert {chunk.format for chunk in chunks} == {audio_format}
        assert all(len(chunk.pcm) % SAMPLE_BYTES == 0 for chunk in chunks)
        assert all(chunk.pcm for chunk in chunks)
        assert rms_dbfs(b"".join(chunk.pcm for chunk in chunks)) > -40
        assert 20 * len(self.text) < duration_ms(chunks) < 250 * len(self.text)

    async def test_chunks_name_the_whole_text_in_order(self) -> None:
        """Joined, the texts of the chunks are the text."""
        async with self.voice() as voice:
            chunks = await heard(voice.speak(self.text, language=self.language, audio_format=PHONE))
        assert chunks[0].text
        assert " ".join(chunk.text for chunk in chunks if chunk.text) == self.text

    async def test_text_may_come_in_pieces(self) -> None:
        """A streamed text is spoken like a whole one."""

        async def pieces() -> AsyncIterator[str]:
            for at in range(0, len(self.text), 7):
                yield self.text[at : at + 7]

        async with self.voice() as voice:
            chunks = await heard(voice.speak(pieces(), language=self.language, audio_format=PHONE))
        assert " ".join(chunk.text for chunk in chunks if chunk.text) == self.text

    @pytest.mark.parametrize("text", SILENT)
    async def test_a_text_that_says_nothing_yields_nothing(self, text: str) -> None:
        """No chunk, no error."""
        async with self.voice() as voice:
            assert await heard(voice.speak(text, language=self.language, audio_format=PHONE)) == []

    async def test_ugly_texts_are_survived(self) -> None:
        """Whatever they sound like, the voice speaks properly afterwards."""
        async with self.voice() as voice:
            before = await heard(voice.speak(self.text, language=self.language, audio_format=PHONE))
            for text in UGLY:
                await heard(voice.speak(text, language=self.language, audio_format=PHONE))
            after = await heard(voice.speak(self.text, language=self.language, audio_format=PHONE))
        assert duration_ms(after) == pytest.approx(duration_ms(before), rel=0.05)

    async def test_three_thousand_characters_come_clause_by_clause(self) -> None:
        """A long text starts early: its first chunk is a small part of it."""
        async with self.voice() as voice:
            chunks = await heard(voice.speak(LONG, language=self.language, audio_format=PHONE))
        assert " ".join(chunk.text for chunk in chunks if chunk.text) == LONG.strip()
        if voice.capabilities.streams_text:
            assert duration_ms(chunks[:1]) < duration_ms(chunks) / 20

    async def test_closing_early_frees_the_voice(self) -> None:
        """After a speech that was closed at its first chunk, and one cancelled before it, the next is complete."""
        async with self.voice() as voice:
            async with aclosing(voice.speak(LONG, language=self.language, audio_format=PHONE)) as chunks:
                async for _ in chunks:
                    break
            async with anyio.create_task_group() as group:
                group.start_soon(heard, voice.speak(LONG, language=self.language, audio_format=PHONE))
                await anyio.lowlevel.checkpoint()
                group.cancel_scope.cancel()
            after = await heard(voice.speak(self.text, language=self.language, audio_format=PHONE))
        assert " ".join(chunk.text for chunk in after if chunk.text) == self.text

    async def test_speeches_at_the_same_time_do_not_mix(self) -> None:
        """Each of several speeches is what it is when it is spoken alone."""
        texts = (*SENTENCES[self.language], self.text)
        together: dict[str, list[SpeechChunk]] = {}
        async with self.voice() as voice:

            async def speak(text: str) -> None:
                together[text] = await heard(voice.speak(text, language=self.language, audio_format=PHONE))

            async with anyio.create_task_group() as group:
                for text in texts:
                    group.start_soon(speak, text)
            for text in texts:
                alone = await heard(voice.speak(text, language=self.language, audio_format=PHONE))
                assert [chunk.text for chunk in together[text]] == [chunk.text for chunk in alone]
                assert duration_ms(together[text]) == pytest.approx(duration_ms(alone), rel=0.02)

    async def test_a_language_it_lacks_is_an_engine_error(self) -> None:
        """Checked at the speech, with the language named."""
        async with self.voice() as voice:
            with pytest.raises(EngineError, match="'xx'"):
                await heard(voice.speak(self.text, language="xx", audio_format=PHONE))

    async def test_closing_twice_and_unused_is_harmless(self) -> None:
        """Also right after it was made."""
        async with self.voice() as voice:
            await voice.aclose()
            assert voice.name
            assert self.language in voice.capabilities.languages
