"""Turns decisions and system phrases into utterances of the playout."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing

import anyio

from kamerton.domain.audio import AudioFormat
from kamerton.domain.errors import EngineError
from kamerton.domain.notices import MindState, MindStateChanged, Notice
from kamerton.domain.synthesis import SpeechChunk
from kamerton.orchestrator.exchange import Exchange
from kamerton.orchestrator.fillers import Filler
from kamerton.orchestrator.model_reply import ModelReply
from kamerton.orchestrator.playout import Playout
from kamerton.orchestrator.services import Voice
from kamerton.orchestrator.utterance import Source, Utterance

_Begin = Callable[[str], Utterance]
_Begun = Callable[[], Utterance | None]


class Speaker:
    """Speaks for one call: cached audio at once, the rest as its clauses are synthesised."""

    def __init__(
        self,
        voice: Voice,
        playout: Playout,
        audio_format: AudioFormat,
        publish: Callable[[Notice], None],
        stall_s: float,
    ) -> None:
        self._voice = voice
        self._playout = playout
        self._format = audio_format
        self._stall_s = stall_s
        self._publish = publish

    @property
    def generation(self) -> int:
        """The playout's generation, to be noted when speech is asked for."""
        return self._playout.generation

    async def say(
        self,
        source: Source,
        parts: AsyncIterator[str | ModelReply],
        exchange: Exchange,
        ready: Callable[[Utterance], None],
        generation: int,
    ) -> None:
        """Say texts and the model's answers as one utterance; `ready` is called when its first audio is queued.

        Speech that was asked for in an earlier `generation` of the playout is never heard. When cancelled, an
        utterance that no cut has settled yet is settled as failed.

        Raises:
            EngineError: the voice failed or stalled in mid-speech; the utterance, if any, is settled as failed.
        """
        utterance: Utterance | None = None

        def begin(mark: str) -> Utterance:
            nonlocal utterance
            if utterance is None:
                exchange.timeline.mark("t5_cache" if mark == "cache" else "t5_tts", anyio.current_time())
                self._playout.cut_filler()
                utterance = self._playout.utter(source, complete=False, generation=generation)
                exchange.utterance_id = utterance.id
                ready(utterance)
            return utterance

        complete = False
        try:
            async for part in parts:
                if isinstance(part, ModelReply):
                    await self._say_model_reply(part, begin, lambda: utterance)
                else:
                    await self._say_text(part, begin, lambda: utterance)
            begin("cache").complete = True
            complete = True
        finally:
            if not complete and utterance is not None:
                self._playout.drop(utterance)

    async def _say_text(self, text: str, begin: _Begin, utterance: _Begun) -> None:
        clip = self._voice.cached(text, self._format)
        if clip is not None:
            begin("cache").add(clip)
            return
        self._publish(MindStateChanged(MindState.GENERATING_SPEECH, text))
        async with aclosing(self._voice.stream(text, self._format)) as chunks:
            while (chunk := await self._next(chunks, utterance())) is not None:
                begin("tts").add_audio(chunk.pcm, chunk.text)

    async def _say_model_reply(self, reply: ModelReply, begin: _Begin, utterance: _Begun) -> None:
        """Say what the model writes; an answer that stalls is given up, so that the next part can say so."""
        async with aclosing(reply.chunks()) as chunks:
            try:
                while (chunk := await self._next(chunks, utterance())) is not None:
                    begin("tts").add_audio(chunk.pcm, chunk.text)
            except EngineError as error:
                reply.drop(str(error))

    async def _next(self, chunks: AsyncGenerator[SpeechChunk, None], utterance: Utterance | None) -> SpeechChunk | None:
        """The voice's next piece, or None at its end. How long the first may take is the turn machine's to say."""
        limit_s = math.inf
        if utterance is not None:
            limit_s = self._stall_s + self._format.duration_ms(utterance.samples - utterance.taken_samples) / 1000
        try:
            with anyio.fail_after(None if math.isinf(limit_s) else limit_s):
                return await anext(chunks, None)
        except TimeoutError as error:
            message = f"the voice fell silent in mid-speech for {self._stall_s:g} s; check its engine"
            raise EngineError(message) from error

    def at_hand(self, text: str) -> bool:
        """Whether a filler's audio is ready: one that must first be made comes too late to cover anything."""
        return self._voice.cached(text, self._format) is not None

    def say_filler(self, filler: Filler) -> None:
        """Say a filler that is at hand."""
        clip = self._voice.cached(filler.text, self._format)
        if clip is not None:
            self._playout.utter("filler", clip).plays_out = not filler.cuttable
