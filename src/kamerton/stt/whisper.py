"""Whisper on the CPU through faster-whisper and CTranslate2: local files only, one model for all calls.

What makes it fast enough for a conversation (measured on two cores with Whisper base int8): the encoder gets a window
as short as the turn allows instead of Whisper's 30 s (125 ms instead of 710 ms for a turn of up to 4.8 s), decoding
is greedy without timestamps or temperature fallback, its length is capped by the audio's, and one encoding serves
both readings, hinted and plain.
"""

from __future__ import annotations

import logging
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import anyio

from kamerton.domain.audio import WIDEBAND, AudioFormat
from kamerton.domain.errors import EngineError, ModelError
from kamerton.domain.recognition import RecognitionHint, SttCapabilities, SttStream
from kamerton.stt.decode_queue import DecodeRequest
from kamerton.stt.decode_thread import DecodeThread
from kamerton.stt.readings import (
    Reading,
    Transcript,
    collapse_loops,
    hint_sentences,
    needs_plain_reading,
    transcript_of,
)
from kamerton.stt.whole_turn_stream import FINAL_DEADLINE_S, WholeTurnStream

logger = logging.getLogger(__name__)

LANGUAGES: Final = ("ru", "uk")

LEAD_IN_MS: Final = 200
"""Silence put before the turn. With it and 300 ms of look-back 28 of 29 recordings are read word for word; with 0, 150,
250 or 300 ms, or another look-back, 23 to 28. Any lead-in beats none: «20 5» without, «25» with."""

SHORTEST_WINDOW_FRAMES: Final = 700
"""Encoder window in 10 ms frames. Reads as well as 1000 and costs a quarter less."""

LONGEST_WINDOW_FRAMES: Final = 3000
WINDOW_STEP_FRAMES: Final = 100
TAIL_FRAMES: Final = 200
"""Silence that the model needs after the words, or it invents more of them."""

REPETITION_PENALTY: Final = 1.1
"""Ends loops («один один один …») without hurting speech; forbidding repeated n-grams turned loops into babble."""

TOKENS_AT_LEAST: Final = 6
TOKENS_PER_SECOND: Final = 8
TOKEN_LIMIT: Final = 448
"""Whisper's context: hint and text together."""

HINT_TOKENS: Final = 80
"""Length of the hint: each token costs some 0.3 ms, and more examples than this help no further."""


class WhisperEngine:
    """The loaded model: decodes one request at a time, blocking. Not for the event loop's thread.

    Raises:
        ModelError: the model's files are missing or cannot be loaded.
    """

    def __init__(self, model_dir: Path, *, cpu_threads: int) -> None:
        # Heavy (about a second) and needed by nobody who runs without Whisper.
        import ctranslate2
        import numpy as np
        import soxr
        from faster_whisper import WhisperModel
        from faster_whisper.tokenizer import Tokenizer

        if not (model_dir / "model.bin").is_file():
            raise ModelError(f"no Whisper model in {model_dir}: prepare it with `./run --prepare`")
        try:
            self._model: Any = WhisperModel(
                str(model_dir), device="cpu", compute_type="int8", cpu_threads=cpu_threads, local_files_only=True
            )
        except (RuntimeError, ValueError, OSError) as fault:
            raise ModelError(
                f"the Whisper model in {model_dir} cannot be loaded ({fault}): delete that folder and prepare it anew"
            ) from fault
        self._ctranslate2, self._np, self._soxr, self._tokenizer_type = ctranslate2, np, soxr, Tokenizer
        self._tokenizers: dict[str, Any] = {}

    def decode(self, request: DecodeRequest) -> Transcript:
        """Read one turn, with the hint first and plainly when that is needed.

        Raises:
            EngineError: the hint's language is none of `LANGUAGES`.
        """
        tokenizer = self._tokenizer(request.hint)
        encoded, speech_s = self._encode(request.pcm, request.format)
        prompt_tokens = self._hint_tokens(tokenizer, request.hint)
        hinted = self._read(tokenizer, encoded, speech_s, prompt_tokens) if prompt_tokens else None
        if hinted is not None and not needs_plain_reading(hinted):
            return transcript_of(None, hinted)
        return transcript_of(self._read(tokenizer, encoded, speech_s, []), hinted)

    def unload(self) -> None:
        """Free the model's memory."""
        self._model.model.unload_model()

    def _tokenizer(self, hint: RecognitionHint) -> Any:
        language = hint.language
        if language not in LANGUAGES:
            raise EngineError(
                f"Whisper was asked for language {language!r}, it is set up for {', '.join(LANGUAGES)}: "
                "correct the assistant's language or choose another recogniser"
            )
        if language not in self._tokenizers:
            self._tokenizers[language] = self._tokenizer_type(
                self._model.hf_tokenizer, True, task="transcribe", language=language
            )
        return self._tokenizers[language]

    def _encode(self, pcm: bytes, audio_format: AudioFormat) -> tuple[Any, float]:
        np = self._np
        speech = np.frombuffer(pcm, "<i2").astype(np.float32) / 32768
        if audio_format != WIDEBAND:
            speech = self._soxr.resample(speech, audio_format.rate_hz, WIDEBAND.rate_hz)
        lead_in = np.zeros(WIDEBAND.samples(LEAD_IN_MS), np.float32)
        features = self._model.feature_extractor(np.concatenate([lead_in, speech]))
        window = window_frames(features.shape[1])
        missing = max(0, window - features.shape[1])
        features = np.pad(features, ((0, 0), (0, missing)))[:, :window]
        view = self._ctranslate2.StorageView.from_array(np.ascontiguousarray(features[None]))
        return self._model.model.encode(view, to_cpu=False), len(speech) / WIDEBAND.rate_hz

    def _hint_tokens(self, tokenizer: Any, hint: RecognitionHint) -> list[int]:
        tokens: list[int] = []
        for sentence in hint_sentences(hint.phrases):
            more = tokenizer.encode(" " + sentence)
            if len(tokens) + len(more) > HINT_TOKENS:
                break
            tokens += more
        return tokens

    def _read(self, tokenizer: Any, encoded: Any, speech_s: float, hint_tokens: list[int]) -> Reading:
        prompt = self._model.get_prompt(tokenizer, hint_tokens, without_timestamps=True)
        new_tokens = TOKENS_AT_LEAST + int(TOKENS_PER_SECOND * speech_s)
        result = self._model.model.generate(
            encoded,
            [prompt],
            beam_size=1,
            repetition_penalty=REPETITION_PENALTY,
            max_length=length_limit(new_tokens, len(prompt)),
            return_scores=True,
            return_no_speech_prob=True,
        )[0]
        tokens = result.sequences_ids[0]
        text = collapse_loops(tokenizer.decode(tokens).strip(), cut=len(tokens) >= new_tokens)
        return Reading(text, result.scores[0], result.no_speech_prob)


def window_frames(turn_frames: int) -> int:
    """Encoder window for a turn's features: room for the silence after it, in whole steps."""
    wanted = math.ceil((turn_frames + TAIL_FRAMES) / WINDOW_STEP_FRAMES) * WINDOW_STEP_FRAMES
    return min(LONGEST_WINDOW_FRAMES, max(SHORTEST_WINDOW_FRAMES, wanted))


def length_limit(new_tokens: int, prompt_tokens: int) -> int:
    """CTranslate2's `max_length` that allows so many new tokens: it permits min(limit / 2, limit - prompt)."""
    return min(TOKEN_LIMIT, max(2 * new_tokens, new_tokens + prompt_tokens))


class WhisperSpeechToText:
    """The `SpeechToText` of a bare machine. Make it with `load`; one model and one thread serve all calls."""

    def __init__(self, engine: WhisperEngine, *, name: str, final_deadline_s: float = FINAL_DEADLINE_S) -> None:
        self._engine = engine
        self._name = name
        self._final_deadline_s = final_deadline_s
        self._worker = DecodeThread(engine.decode, name="whisper-decode")
        self._closed = False

    @classmethod
    async def load(
        cls, model_dir: Path, *, cpu_threads: int = 2, final_deadline_s: float = FINAL_DEADLINE_S
    ) -> WhisperSpeechToText:
        """Load the model in a thread and decode a little silence, so that the first caller does not wait for it.

        Args:
            model_dir: Folder made by `model_files.prepare_whisper_model`.
            cpu_threads: Cores that one decode may use.
            final_deadline_s: After so long an ended turn fails instead of getting its transcript.

        Raises:
            ModelError: the model's files are missing or cannot be loaded.
        """
        engine = await anyio.to_thread.run_sync(partial(_warm_engine, model_dir, cpu_threads))
        logger.info("Whisper is ready", extra={"model": str(model_dir), "cpu_threads": cpu_threads})
        return cls(engine, name=model_dir.name, final_deadline_s=final_deadline_s)

    @property
    def name(self) -> str:
        """The model's folder name, such as `whisper-base`."""
        return self._name

    @property
    def capabilities(self) -> SttCapabilities:
        """Russian and Ukrainian; hypotheses at pauses only."""
        return SttCapabilities(LANGUAGES, partials_while_speaking=False)

    @asynccontextmanager
    async def open(self, audio_format: AudioFormat) -> AsyncIterator[SttStream]:
        """Open one call's stream; leaving withdraws its requests and waits for nothing."""
        stream = WholeTurnStream(self._worker, audio_format, final_deadline_s=self._final_deadline_s)
        try:
            yield stream
        finally:
            stream.close()

    async def aclose(self) -> None:
        """End the thread (a running decode runs out first) and free the model. Safe to call twice."""
        await self._worker.aclose()
        if not self._closed:
            self._closed = True
            self._engine.unload()


def _warm_engine(model_dir: Path, cpu_threads: int) -> WhisperEngine:
    engine = WhisperEngine(model_dir, cpu_threads=cpu_threads)
    silence = WIDEBAND.silence() * 50
    engine.decode(DecodeRequest(silence, WIDEBAND, RecognitionHint(), deliver=lambda _request, _outcome: None))
    return engine
