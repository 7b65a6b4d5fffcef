"""A model's text spoken while it is being written: instants on the virtual clock, faults, closing."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing

import anyio
import anyio.lowlevel
import pytest

from kamerton.domain.audio import PHONE, SAMPLE_BYTES
from kamerton.domain.errors import EngineError
from kamerton.domain.synthesis import SpeechChunk, TtsCapabilities
from kamerton.orchestrator.workers import InlineWorker
from kamerton.testing.virtual_loop import VirtualLoop
from kamerton.tts.clauses import pause_after_ms
from kamerton.tts.piece_speech import MAX_TEXT_CHARS
from kamerton.tts.tts_manager import SynthesisLimits, TTSManager
from kamerton.tts.voices.standin import PacedToneTextToSpeech

pytestmark = pytest.mark.anyio

SENTENCES = tuple(f"Предложение {word} готово." for word in ("раз", "два", "три", "четыре", "пять", "шесть", "семь"))
FIRST_AUDIO_S = 0.15


@pytest.fixture
def anyio_backend() -> object:
    return ("asyncio", {"loop_factory": VirtualLoop})


class Writer:
    """A model on the virtual clock: a piece every so often, and a fault or a full stop in the end."""

    def __init__(self, pieces: Sequence[str], *, every_s: float = 0.02, error: Exception | None = None) -> None:
        self.pieces = pieces
        self.every_s = every_s
        self.error = error
        self.written = 0
        self.began_s: float | None = None
        self.ended_s: float | None = None

    async def write(self) -> AsyncGenerator[str, None]:
        self.began_s = anyio.current_time()
        try:
            for piece in self.pieces:
                await anyio.sleep(self.every_s)
                self.written += 1
                yield piece
            if self.error is not None:
                raise self.error
        finally:
            self.ended_s = anyio.current_time()


class CountingVoice(PacedToneTextToSpeech):
    """The paced stand-in, which also notes when it was asked for what, and fails where the test wants it."""

    def __init__(self, *, first_audio_ms: float = FIRST_AUDIO_S * 1000, fail_at: str = "") -> None:
        super().__init__(first_audio_ms=first_audio_ms, ms_per_character=20.0)
        self.fail_at = fail_at
        self.asked: list[tuple[str, float]] = []
        self.speaking = 0

    @property
    def capabilities(self) -> TtsCapabilities:
        return TtsCapabilities(("ru",), streams_text=False)

    async def speak(self, text: object, *, language: str, audio_format: object) -> AsyncGenerator[SpeechChunk, None]:
        assert isinstance(text, str)
        self.asked.append((text, anyio.current_time()))
        self.speaking += 1
        try:
            async with aclosing(super().speak(text, language=language, audio_format=PHONE)) as chunks:
                async for chunk in chunks:
                    if self.fail_at and self.fail_at in text:
                        raise EngineError("out of order")
                    yield chunk
        finally:
            self.speaking -= 1

    @property
    def texts(self) -> list[str]:
        return [text for text, _ in self.asked]


def manager(voice: PacedToneTextToSpeech, **limits: float) -> TTSManager:
    bounds = SynthesisLimits(concurrent=8, **limits)  # type: ignore[arg-type]
    return TTSManager([voice], language="ru", worker=InlineWorker(), limits=bounds)


async def heard(chunks: AsyncGenerator[SpeechChunk, None]) -> list[tuple[str, float]]:
    """Texts of the chunks with the instants at which they came."""
    async with aclosing(chunks):
        return [(chunk.text, round(anyio.current_time(), 6)) async for chunk in chunks]


async def listened(chunks: AsyncGenerator[SpeechChunk, None], into: list[str]) -> None:
    """Note the texts of the chunks, those before a fault too."""
    async with aclosing(chunks):
        async for chunk in chunks:
            into += [chunk.text]


async def settled() -> None:
    """Let what was told to end come to its end, without moving the clock."""
    for _ in range(10):
        await anyio.lowlevel.checkpoint()


async def test_the_first_audio_comes_when_the_first_clause_is_certain_and_the_voice_is_ready() -> None:
    writer = Writer(["Да", ", ко", "нечно", ",", " оф", "ормим", " сегодня", ". ", "Потом", " всё", "."])
    voice = CountingVoice()
    async with manager(voice) as speech:
        got = await heard(speech.speak(writer.write(), PHONE))
    # The fifth piece, at 0.1 s, shows that the comma ends a clause; the ninth, at 0.18 s, that the sentence is over.
    assert got == [
        ("Да, конечно,", round(0.1 + FIRST_AUDIO_S, 6)),
        ("оформим сегодня.", round(0.18 + FIRST_AUDIO_S, 6)),
        ("Потом всё.", round(0.22 + FIRST_AUDIO_S, 6)),
    ]
    assert writer.ended_s == pytest.approx(0.22)


async def test_pauses_stand_between_clauses_and_numbers_are_spelled_out() -> None:
    writer = Writer(["Это стоит 5 ₽. ", "Дорого"])
    async with manager(CountingVoice()) as speech, aclosing(speech.speak(writer.write(), PHONE)) as chunks:
        first, second = [chunk async for chunk in chunks]
        alone = await speech.clip("Дорого", PHONE)
    assert (first.text, second.text) == ("Это стоит 5 ₽.", "Дорого")
    pause = PHONE.samples(pause_after_ms(first.text)) * SAMPLE_BYTES
    assert second.pcm == bytes(pause) + alone.pcm


async def test_the_text_is_read_to_its_end_while_only_two_clauses_are_made_ahead() -> None:
    writer, voice = Writer(list(SENTENCES)), CountingVoice()
    async with (
        manager(voice) as speech,
        aclosing(speech.speak((f"{s} " async for s in writer.write()), PHONE)) as taken,
    ):
        assert (await anext(taken)).text == SENTENCES[0]
        await anyio.sleep(60)
        assert writer.ended_s is not None
        assert voice.texts == list(SENTENCES[:3])
        asked_s = anyio.current_time()
        assert (await anext(taken)).text == SENTENCES[1]
        assert anyio.current_time() == asked_s, "it was made while the first one was taken"
        assert [chunk.text async for chunk in taken] == list(SENTENCES[2:])
    assert voice.texts == list(SENTENCES)


async def test_a_clause_that_is_at_hand_is_not_made_again() -> None:
    voice = CountingVoice()
    async with manager(voice) as speech:
        await speech.clip(SENTENCES[0], PHONE)
        started_s = anyio.current_time()
        got = await heard(speech.speak(Writer([f"{SENTENCES[0]} ", SENTENCES[1]], every_s=0.0).write(), PHONE))
        assert got == [(SENTENCES[0], started_s), (SENTENCES[1], started_s + FIRST_AUDIO_S)]
    assert voice.texts == list(SENTENCES[:2])
    assert speech.counts["memory_hits"] == 1


@pytest.mark.parametrize("pieces", [[], [""], [" \n", "🙂", "… "]])
async def test_a_text_that_says_nothing_is_silence(pieces: list[str]) -> None:
    voice = CountingVoice()
    async with manager(voice) as speech:
        assert await heard(speech.speak(Writer(pieces).write(), PHONE)) == []
    assert voice.asked == []


async def test_closing_while_the_text_is_awaited_frees_its_source_and_the_voice_at_once() -> None:
    writer, voice = Writer([*SENTENCES[:2], "никогда"], every_s=5.0), CountingVoice(first_audio_ms=60_000)
    async with manager(voice) as speech:
        with anyio.move_on_after(12.0):
            await heard(speech.speak((f"{piece} " async for piece in writer.write()), PHONE))
        await settled()
        assert anyio.current_time() == writer.ended_s == 12.0
        assert voice.texts == [SENTENCES[0]]
        assert voice.speaking == 0


async def test_closing_between_two_pieces_of_audio_frees_everything_at_once() -> None:
    writer, voice = Writer(list(SENTENCES), every_s=0.4), CountingVoice()
    async with manager(voice) as speech:
        speaking = speech.speak((f"{piece} " async for piece in writer.write()), PHONE)
        await anext(speaking)
        closed_s = anyio.current_time()
        await speaking.aclose()
        await settled()
        assert anyio.current_time() == writer.ended_s == closed_s
        assert voice.speaking == 0
        await anyio.sleep(60)
        assert voice.texts == [SENTENCES[0]]
        assert [text for text, _ in await heard(speech.speak(Writer(["Снова."]).write(), PHONE))] == ["Снова."]


async def test_a_piece_that_comes_in_the_instant_of_closing_is_not_spoken() -> None:
    voice, arrived = CountingVoice(), anyio.Event()

    async def pieces() -> AsyncIterator[str]:
        yield f"{SENTENCES[0]} \n"
        await arrived.wait()
        yield f"{SENTENCES[1]} \n"

    async with manager(voice) as speech:
        speaking = speech.speak(pieces(), PHONE)
        await anext(speaking)
        arrived.set()
        await speaking.aclose()
        await anyio.sleep(60)
    assert voice.texts == [SENTENCES[0]]


async def test_closing_takes_nothing_from_those_who_want_the_same_clause() -> None:
    voice, got = CountingVoice(first_audio_ms=1000), list[str]()

    async def patient(speech: TTSManager) -> None:
        got.append((await speech.clip(SENTENCES[0], PHONE)).text)

    async with manager(voice) as speech, anyio.create_task_group() as group:
        with anyio.move_on_after(0.5):
            group.start_soon(patient, speech)
            await heard(speech.speak(Writer([SENTENCES[0]], every_s=0.0).write(), PHONE))
    assert got == [SENTENCES[0]]
    assert voice.texts == [SENTENCES[0]]


async def test_a_source_that_is_never_asked_is_never_begun() -> None:
    writer = Writer(["Да."])
    async with manager(CountingVoice()) as speech:
        await speech.speak(writer.write(), PHONE).aclose()
    assert writer.began_s is None


async def test_a_source_is_freed_at_once_when_the_listener_is_gone_already() -> None:
    writer = Writer(["Да."])
    async with manager(CountingVoice()) as speech:
        with anyio.CancelScope() as gone:
            gone.cancel()
            await heard(speech.speak(writer.write(), PHONE))
        await settled()
        assert gone.cancelled_caught
        assert writer.ended_s == writer.began_s
        assert writer.written == 0


@pytest.mark.parametrize(
    ("error", "told"), [(EngineError("the model was cut off"), "was cut off"), (ValueError("a bug"), "a bug")]
)
@pytest.mark.parametrize("torn", ["", " И ещё немного"])
async def test_a_text_that_breaks_off_is_told_after_its_whole_clauses_were_heard(
    error: Exception, told: str, torn: str
) -> None:
    writer = Writer([f"{SENTENCES[0]} ", SENTENCES[1], torn], error=error)
    got: list[str] = []
    async with manager(CountingVoice()) as speech:
        with pytest.raises(EngineError, match=told):
            await listened(speech.speak(writer.write(), PHONE), got)
        assert got == list(SENTENCES[:2])
        assert [text for text, _ in await heard(speech.speak(Writer(["Снова."]).write(), PHONE))] == ["Снова."]


async def test_a_voice_that_fails_is_told_after_what_came_before_and_ends_the_reading() -> None:
    writer, voice, got = Writer(list(SENTENCES), every_s=1.0), CountingVoice(fail_at="три"), list[str]()
    async with manager(voice) as speech:
        with pytest.raises(EngineError, match="out of order"):
            await listened(speech.speak((f"{piece} " async for piece in writer.write()), PHONE), got)
        await settled()
        assert got == list(SENTENCES[:2])
        assert writer.ended_s == pytest.approx(4.0 + FIRST_AUDIO_S)


async def test_an_endless_text_is_cut_off_at_its_bound() -> None:
    sentence = "Слово за слово, и так далее. "
    writer, got = Writer([sentence] * 1000, every_s=0.001), list[str]()
    async with manager(CountingVoice()) as speech:
        with pytest.raises(EngineError, match="4000 characters"):
            await listened(speech.speak(writer.write(), PHONE), got)
    assert MAX_TEXT_CHARS - len(sentence) <= len(" ".join(got)) <= MAX_TEXT_CHARS
    assert writer.written == MAX_TEXT_CHARS // len(sentence) + 1
    assert writer.ended_s is not None


async def test_leaving_the_manager_ends_a_speech_with_an_error() -> None:
    writer, errors = Writer(["Да.", " Нет."], every_s=5.0), list[str]()

    async def listen(speech: TTSManager) -> None:
        try:
            await heard(speech.speak(writer.write(), PHONE))
        except EngineError as error:
            errors.append(str(error))

    async with anyio.create_task_group() as group, manager(CountingVoice()) as speech:
        group.start_soon(listen, speech)
        await anyio.sleep(2.0)
    assert errors == ["the voice was closed while it spoke; start it again"]
    assert writer.ended_s == 2.0


async def test_a_manager_that_is_not_started_says_so() -> None:
    with pytest.raises(EngineError, match="not started"):
        await heard(manager(CountingVoice()).speak(Writer(["Да."]).write(), PHONE))


async def test_any_iterable_of_pieces_will_do() -> None:
    class Pieces:
        def __init__(self) -> None:
            self._left = ["Да, ", "конечно."]

        def __aiter__(self) -> AsyncIterator[str]:
            return self

        async def __anext__(self) -> str:
            await anyio.lowlevel.checkpoint()
            if not self._left:
                raise StopAsyncIteration
            return self._left.pop(0)

    async with manager(CountingVoice()) as speech:
        assert [text for text, _ in await heard(speech.speak(Pieces(), PHONE))] == ["Да, конечно."]
