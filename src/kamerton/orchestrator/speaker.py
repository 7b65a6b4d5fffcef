"""Turns decisions and system phrases into utterances of the playout."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import aclosing

import anyio

from kamerton.domain.audio import AudioFormat
from kamerton.domain.notices import MindState, MindStateChanged, Notice
from kamerton.orchestrator.exchange import Exchange
from kamerton.orchestrator.playout import Playout
from kamerton.orchestrator.services import Voice
from kamerton.orchestrator.utterance import Source, Utterance


class Speaker:
    """Speaks for one call: cached audio at once, the rest as its clauses are synthesised."""

    def __init__(
        self, voice: Voice, playout: Playout, audio_format: AudioFormat, publish: Callable[[Notice], None]
    ) -> None:
        self._voice = voice
        self._playout = playout
        self._format = audio_format
        self._publish = publish

    async def say(
        self, source: Source, texts: Sequence[str], exchange: Exchange, ready: Callable[[Utterance], None]
    ) -> None:
        """Say texts as one utterance; `ready` is called when its first audio is queued.

        When cancelled, what was queued stays: whoever cancels also cuts the playout.

        Raises:
            EngineError: the voice failed; the utterance, if any, is settled as failed.
        """
        utterance: Utterance | None = None

        def begin(mark: str) -> Utterance:
            nonlocal utterance
            if utterance is None:
                exchange.timeline.mark("t5_cache" if mark == "cache" else "t5_tts", anyio.current_time())
                self._playout.cut_filler()
                utterance = self._playout.utter(source, complete=False)
                exchange.utterance_id = utterance.id
                ready(utterance)
            return utterance

        complete = False
        try:
            for text in texts:
                clip = self._voice.cached(text, self._format)
                if clip is not None:
                    begin("cache").add(clip)
                    continue
                self._publish(MindStateChanged(MindState.GENERATING_SPEECH, text))
                async with aclosing(self._voice.stream(text, self._format)) as chunks:
                    async for chunk in chunks:
                        begin("tts").add_audio(chunk.pcm, chunk.text)
            begin("cache").complete = True
            complete = True
        finally:
            if not complete and utterance is not None:
                self._playout.drop(utterance)

    def say_filler(self, text: str) -> bool:
        """Say a filler if its audio is at hand; a filler that must first be made comes too late to cover anything."""
        clip = self._voice.cached(text, self._format)
        if clip is None:
            return False
        self._playout.utter("filler", clip)
        return True
