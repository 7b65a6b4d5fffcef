"""Whisper through faster-whisper and CTranslate2: local files only, one model for all calls.

On a graphics card that CTranslate2 can use it runs in float16, else on the CPU in int8.

What makes it fast enough for a conversation (measured on two cores with Whisper base int8): the encoder gets a window
as short as the turn allows instead of Whisper's 30 s (125 ms instead of 710 ms for a turn of up to 4.8 s), decoding
is greedy without timestamps or temperature fallback, its length is capped by the audio's, and one encoding serves
both readings, hinted and plain.

Several turns are decoded at once, each by one thread: two threads for one turn make it 1.15 times as fast, two turns
side by side 2 times (5.8 instead of 2.9 turns per second). The weights (110 MB) are shared; an engine adds 10 to 20 MB,
and up to 35 MB once it has decoded 28 s.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import anyio

from kamerton.domain.audio import SAMPLE_BYTES, WIDEBAND, AudioFormat
from kamerton.domain.errors import EngineError, ModelError
from kamerton.domain.recognition import RecognitionHint
from kamerton.stt.decode_queue import DecodeRequest
from kamerton.stt.local_recognizer import (
    Device,
    DeviceWish,
    LocalSpeechToText,
    PoolSettings,
    Warm,
    devices_to_try,
    undelivered,
    warmed,
)
from kamerton.stt.whisper.readings import (
    SHORT_ANSWERS,
    Reading,
    Transcript,
    collapse_loops,
    hint_sentences,
    is_wordless,
    needs_plain_reading,
    transcript_of,
)
from kamerton.stt.whole_turn_stream import FINAL_DEADLINE_S

logger = logging.getLogger(__name__)

LANGUAGES: Final = ("ru", "uk")

LEAD_IN_MS: Final = 200
"""Silence put before the turn. With it and 300 ms of look-back 28 of 29 recordings are read word for word; with 0, 150,
250 or 300 ms, or another look-back, 23 to 28. Any lead-in beats none: «20 5» without, «25» with."""

OTHER_LEAD_IN_MS: Final = 300.0
"""For a turn in which nothing was read although it is long: a turn that begins with its first sound is sometimes read
as nothing (1 in 64), and moved a little it is read."""

SHORTEST_WINDOW_FRAMES: Final = 600
"""Encoder window in 10 ms frames. Reads as well as 700 and 1000, on clean recordings and in noise 20 to 6 dB below them
(159 and 158 of 203 turns right), and a decode costs an eighth less than with 700; with 500 noise costs turns."""

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

SHORT_TURN_S: Final = 1.5
"""A turn of one short word, with its look-back and pause."""

PROBE_HINT: Final = RecognitionHint(phrases=("сто пятьдесят", "двести"))
PROBE_MS: Final = 1000
"""Silence of this length with this hint is read twice and costs 1.08 times what a mean turn of the recordings does."""

COMPUTE_TYPES: Final = {"cpu": "int8", "cuda": "float16"}


class WhisperEngine:
    """The loaded model: decodes requests, blocking, in as many threads at once as it has engines.

    Not for the event loop's thread.

    Raises:
        ModelError: the model's files are missing or cannot be loaded.
    """

    def __init__(self, model_dir: Path, *, engines: int = 1, cpu_threads: int = 1, device: Device = "cpu") -> None:
        # Heavy (about a second) and needed by nobody who runs without Whisper.
        import ctranslate2
        import numpy as np
        import soxr
        from faster_whisper import WhisperModel
        from faster_whisper.tokenizer import Tokenizer

        if not (model_dir / "model.bin").is_file():
            raise ModelError(
                f"no Whisper model in {model_dir}: `kamerton prepare` prepares Whisper base, "
                "`kamerton models get whisper-small` gets a better one"
            )
        try:
            self._model: Any = WhisperModel(
                str(model_dir),
                device=device,
                compute_type=COMPUTE_TYPES[device],
                cpu_threads=cpu_threads,
                # Twice: those whose decode hangs are replaced. An idle one costs a thread and no memory.
                num_workers=2 * engines,
                local_files_only=True,
            )
        except (RuntimeError, ValueError, OSError) as fault:
            raise ModelError(
                f"the Whisper model in {model_dir} cannot be loaded on {device} ({fault}): "
                "if the files are damaged, delete that folder and prepare it anew"
            ) from fault
        self._ctranslate2, self._np, self._soxr, self._tokenizer_type = ctranslate2, np, soxr, Tokenizer
        self._tokenizers: dict[str, Any] = {}

    def decode(self, request: DecodeRequest) -> Transcript:
        """Read one turn, with the hint first and plainly when that is needed; a short doubtful one for short answers.

        Raises:
            EngineError: the hint's language is none of `LANGUAGES`.
        """
        transcript, speech_s = self._transcribe(request, LEAD_IN_MS)
        if not transcript.text and speech_s > SHORT_TURN_S:
            transcript, _ = self._transcribe(request, OTHER_LEAD_IN_MS)
        return transcript

    def _transcribe(self, request: DecodeRequest, lead_in_ms: float) -> tuple[Transcript, float]:
        """One way of reading a turn, and the turn's length."""
        tokenizer = self._tokenizer(request.hint)
        encoded, speech_s = self._encode(request.pcm, request.format, lead_in_ms)
        prompt_tokens = self._hint_tokens(tokenizer, request.hint)
        hinted = self._read(tokenizer, encoded, speech_s, prompt_tokens) if prompt_tokens else None
        if hinted is not None and not needs_plain_reading(hinted):
            return transcript_of(None, hinted), speech_s
        plain = self._read(tokenizer, encoded, speech_s, [])
        if speech_s <= SHORT_TURN_S and is_wordless(plain, hinted):
            # A short «да» under noise looks like noise when it is read plainly or for another answer.
            short_answers = self._hint_tokens(tokenizer, RecognitionHint(request.hint.language, SHORT_ANSWERS))
            hinted = self._read(tokenizer, encoded, speech_s, short_answers)
        return transcript_of(plain, hinted), speech_s

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

    def _encode(self, pcm: bytes, audio_format: AudioFormat, lead_in_ms: float) -> tuple[Any, float]:
        np = self._np
        speech = np.frombuffer(pcm, "<i2").astype(np.float32) / 32768
        if audio_format != WIDEBAND:
            speech = self._soxr.resample(speech, audio_format.rate_hz, WIDEBAND.rate_hz)
        lead_in = np.zeros(WIDEBAND.samples(lead_in_ms), np.float32)
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


@dataclass(frozen=True, slots=True)
class WhisperSettings:
    """How Whisper is run."""

    engines: int = 1
    """Turns decoded at the same time."""
    cpu_threads: int = 1
    """Cores that one decode uses."""
    max_calls: int | None = None
    """Calls to promise; by default what the speed measured at the start carries."""
    final_deadline_s: float = FINAL_DEADLINE_S
    """After so long an ended turn fails instead of getting its transcript."""
    device: DeviceWish = "auto"
    """`auto` takes a graphics card that works, else the processor."""


class WhisperSpeechToText(LocalSpeechToText):
    """The `SpeechToText` of a bare machine. Make it with `load`; one model and its threads serve all calls."""

    @classmethod
    async def load(
        cls, model_dir: Path, settings: WhisperSettings | None = None, closed: Callable[[], None] = lambda: None
    ) -> WhisperSpeechToText:
        """Load the model in a thread and have every engine decode a little, which also measures how fast they are.

        Args:
            model_dir: Folder made by `model_files.prepare_whisper_model` or fetched by `kamerton models get`.
            settings: How it is run.
            closed: Called once, after the model was freed.

        Raises:
            ModelError: the model's files are missing or cannot be loaded.
        """
        settings = settings or WhisperSettings()
        warm = await anyio.to_thread.run_sync(_warm_engine, model_dir, settings)
        pool = PoolSettings(settings.engines, settings.max_calls, settings.final_deadline_s)
        made = cls(warm, pool, _probe(), name=model_dir.name, languages=LANGUAGES, closed=closed)
        figures = {
            "model": str(model_dir),
            "device": warm.device,
            "compute_type": COMPUTE_TYPES[warm.device],
            "engines": settings.engines,
            "cpu_threads": settings.cpu_threads,
            "turns_per_s": round(settings.engines / warm.decode_s, 2),
            "max_calls": made.state.max_calls,
        }
        logger.info("Whisper is ready", extra=figures)
        return made


def _probe() -> DecodeRequest:
    return DecodeRequest(bytes(WIDEBAND.samples(PROBE_MS) * SAMPLE_BYTES), WIDEBAND, PROBE_HINT, deliver=undelivered)


def _warm_engine(model_dir: Path, settings: WhisperSettings) -> Warm[WhisperEngine]:
    """The loaded engine on the device that works, and how fast it is."""
    import ctranslate2

    def make(device: Device) -> WhisperEngine:
        return WhisperEngine(model_dir, engines=settings.engines, cpu_threads=settings.cpu_threads, device=device)

    cuda = ctranslate2.get_cuda_device_count() > 0
    devices = devices_to_try(settings.device, cuda=cuda, fix="install the card's driver, CUDA 12 and cuDNN 9")
    return warmed(make, devices, _probe(), settings.engines)
