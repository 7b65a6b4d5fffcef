"""One voice made of several: when the best one fails or is late, the next one goes on where it stopped."""

from __future__ import annotations

import logging
import math
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass

import anyio

from kamerton.domain.audio import AudioFormat
from kamerton.domain.errors import ConfigurationError, EngineError
from kamerton.domain.synthesis import KeepsWarm, SpeechChunk, TextToSpeech
from kamerton.tts.voice_link import VoiceLink
from kamerton.vendors.hedge import CLOSE_S, Contestant, Won, first_result

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class VoiceChainSettings:
    """When another voice is asked. Seconds."""

    first_audio_s: float = 1.5
    """Longest wait for a service's first audio while another voice could be asked."""
    hedge: bool = False
    """Ask the next voice as well when a service takes longer than nine of ten times; the first audio is heard."""
    shortest_hedge_s: float = 0.2
    """The next one is never asked earlier than this for being slow."""


class VoiceChain:
    """Voices in order of preference. One that failed rests and is passed over, unless no other is left.

    Which voice speaks is settled by the first audio. When it fails later, the next one says what is left.

    Args:
        links: best first; at least one. The chain closes them.
        settings: when another one is asked.

    Raises:
        ConfigurationError: there is no voice.
    """

    def __init__(self, links: Sequence[VoiceLink], settings: VoiceChainSettings | None = None) -> None:
        if not links:
            raise ConfigurationError("an assistant needs at least one voice; configure one")
        self._links = tuple(links)
        self._settings = settings or VoiceChainSettings()

    @classmethod
    def of_voices(cls, voices: Sequence[TextToSpeech]) -> VoiceChain:
        """Voices of this machine, under their own names."""
        return cls([VoiceLink(voice.name, voice) for voice in voices])

    @property
    def links(self) -> Sequence[VoiceLink]:
        """The voices, best first, for metrics."""
        return self._links

    @property
    def warm(self) -> Sequence[KeepsWarm]:
        """Voices that keep connections open ahead."""
        return [link.voice for link in self._links if isinstance(link.voice, KeepsWarm)]

    @property
    def failures(self) -> Mapping[str, int]:
        """How often each voice failed, of those that did."""
        return {link.name: link.failures for link in self._links if link.failures}

    @property
    def preferred(self) -> TextToSpeech:
        """The voice that speaks next."""
        return self.at_best[-1]

    @property
    def at_best(self) -> Sequence[TextToSpeech]:
        """The voices down to the one that speaks next, best first; those before it rest."""
        now_s = anyio.current_time()
        for place, link in enumerate(self._links):
            if link.breaker.would_admit(now_s):
                return [link.voice for link in self._links[: place + 1]]
        return [self._links[0].voice]

    async def speak(
        self, text: str, language: str, audio_format: AudioFormat
    ) -> AsyncGenerator[tuple[str, SpeechChunk], None]:
        """Yield chunks, each with the name of the voice that speaks it. Closing or cancelling frees every request.

        Raises:
            EngineError: every voice failed.
        """
        speech = _Speech(self._links, self._settings, text, language, audio_format)
        while not speech.over:
            link, won = await speech.next_voice()
            link.times.record(won.waited_s)
            async with aclosing(speech.from_voice(link, won)) as chunks:
                async for chunk in chunks:
                    yield link.voice.name, chunk

    async def aclose(self) -> None:
        """Close every voice, also when some fail to."""
        with anyio.CancelScope(shield=True):
            for link in self._links:
                try:
                    await link.voice.aclose()
                except (EngineError, OSError) as error:
                    _log.warning("a voice did not close", extra={"voice": link.name, "reason": str(error)})


@dataclass(slots=True, eq=False)
class _Attempt:
    """A voice that is asked to begin, and whether it failed; one that was only slower may go on where another stops."""

    link: VoiceLink
    lost: bool = False

    def failed(self, error: EngineError, waited_s: float) -> None:
        """It failed, or its deadline passed."""
        self.lost = True
        self.link.failed(error, waited_s)

    def overtaken(self, waited_s: float) -> None:
        """Another voice was faster."""
        self.link.overtaken(waited_s)

    def given_up(self, waited_s: float) -> None:
        """Nobody waits for the text any more."""
        self.link.given_up(waited_s)


class _Speech:
    """One text on its way through the voices."""

    def __init__(
        self,
        links: Sequence[VoiceLink],
        settings: VoiceChainSettings,
        text: str,
        language: str,
        audio_format: AudioFormat,
    ) -> None:
        self._left = list(links)
        self._settings = settings
        self._rest = text
        self._language = language
        self._format = audio_format
        self._reasons: list[str] = []
        self.over = False

    async def next_voice(self) -> tuple[VoiceLink, Won[SpeechChunk | None]]:
        """The voice that is first to say what is left of the text.

        Raises:
            EngineError: none can.
        """
        asked: dict[str, _Attempt] = {}

        def next_one() -> Contestant[SpeechChunk | None] | None:
            link = self._take()
            if link is None:
                return None
            asked[link.name] = _Attempt(link)
            return self._contestant(asked[link.name])

        try:
            won = await first_result(next_one)
        except EngineError as error:
            reasons = [*self._reasons, str(error)] if asked else self._reasons
            raise EngineError("no voice could speak; " + "; ".join(reasons)) from None
        winner = asked.pop(won.name).link
        self._left.extend(attempt.link for attempt in asked.values() if not attempt.lost)
        return winner, won

    async def from_voice(self, link: VoiceLink, won: Won[SpeechChunk | None]) -> AsyncGenerator[SpeechChunk, None]:
        """What a voice says, until its end or its failure."""
        chunk = won.first
        asked_s: float | None = None
        try:
            while chunk is not None:
                self._rest = _after(self._rest, chunk.text)
                yield chunk
                asked_s = anyio.current_time()
                chunk = await anext(won.rest)
                asked_s = None
            link.served()
            self.over = True
        except EngineError as error:
            self._reasons.append(f"{link.name}: {error}")
            link.failed(error, 0.0, begun=True)
            self.over = not self._rest
        except (GeneratorExit, anyio.get_cancelled_exc_class()):
            link.left(0.0 if asked_s is None else anyio.current_time() - asked_s)
            raise
        finally:
            with anyio.move_on_after(CLOSE_S, shield=True):
                await won.rest.aclose()

    def _take(self) -> VoiceLink | None:
        """The best voice that did not fail this text yet; one that rests when there is no other."""
        now_s = anyio.current_time()
        link = next((link for link in self._left if link.breaker.admits(now_s)), None)
        if link is None:
            link = self._left[0] if self._left else None
        if link is not None:
            self._left.remove(link)
        return link

    def _contestant(self, attempt: _Attempt) -> Contestant[SpeechChunk | None]:
        settings, rest, link = self._settings, self._rest, attempt.link
        usual_s = link.times.p90_s if settings.hedge and link.is_service else None
        return Contestant(
            link.name,
            lambda: link.speak(rest, self._language, self._format),
            attempt,
            settings.first_audio_s if link.is_service else math.inf,
            math.inf if usual_s is None else max(usual_s, settings.shortest_hedge_s),
        )


def _after(text: str, said: str) -> str:
    """What is left of a text once a clause of it has been said."""
    at = text.find(said) if said else -1
    return text[at + len(said) :].lstrip() if at >= 0 else text
