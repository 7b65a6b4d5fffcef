"""eSpeak NG as a voice: robotic, instant, everywhere. The library and its data come with the package `espeakng-loader`.

The library is global to the process and not reentrant, so one lock guards it and one thread at a time works in it.
A clause of four seconds takes about 5 ms.
"""

from __future__ import annotations

import ctypes
import logging
import threading
from collections.abc import AsyncGenerator, AsyncIterable
from functools import partial
from typing import Any, Final

import anyio
import anyio.to_thread

from kamerton.domain.audio import AudioFormat
from kamerton.domain.errors import EngineError, ModelError
from kamerton.domain.synthesis import SpeechChunk, TtsCapabilities
from kamerton.tts.voices.clause_speech import finished_clause, speak_clauses

_PACE: Final = {"ru": 1.0, "uk": 1.3}
"""eSpeak NG 1.52 drawls Ukrainian: at 165 words a minute 11 characters a second, against 15 in Russian."""
LANGUAGES: Final = tuple(_PACE)

# Constants of espeak-ng/speak_lib.h.
_OUTPUT_SYNCHRONOUS: Final = 2
_INIT_DONT_EXIT: Final = 0x8000
_CHARS_UTF8: Final = 1
_POSITION_CHARACTER: Final = 1
_PARAMETER_RATE: Final = 1

_CALLBACK: Final = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)

_log = logging.getLogger(__name__)


class EspeakLibrary:
    """The loaded library: turns a text into samples, one text at a time.

    Args:
        path: the shared library.
        data_path: its folder of voices and dictionaries.

    Raises:
        ModelError: the library cannot be loaded or started.
    """

    def __init__(self, path: str, data_path: str) -> None:
        try:
            self._library: Any = ctypes.CDLL(path)
        except OSError as error:
            raise ModelError(f"eSpeak NG cannot be loaded from {path} ({error}); reinstall espeakng-loader") from error
        rate_hz = int(self._library.espeak_Initialize(_OUTPUT_SYNCHRONOUS, 0, data_path.encode(), _INIT_DONT_EXIT))
        if rate_hz <= 0:
            raise ModelError(f"eSpeak NG finds no voices in {data_path}; reinstall espeakng-loader")
        self.format = AudioFormat(rate_hz)
        self._lock = threading.Lock()
        self._pieces: list[bytes] = []
        self._callback = _CALLBACK(self._collect)
        self._library.espeak_SetSynthCallback(self._callback)

    def synthesise(self, text: str, voice: str, words_per_minute: int) -> bytes:
        """The samples of a text. Blocks the calling thread.

        Raises:
            EngineError: the library refused the voice or the text.
        """
        data = text.replace("\x00", " ").encode("utf-8", "replace")
        with self._lock:
            self._pieces.clear()
            if self._library.espeak_SetVoiceByName(voice.encode()) != 0:
                raise EngineError(f"eSpeak NG has no voice '{voice}'; choose one of {', '.join(LANGUAGES)}")
            self._library.espeak_SetParameter(_PARAMETER_RATE, words_per_minute, 0)
            result = self._library.espeak_Synth(
                data, ctypes.c_size_t(len(data) + 1), 0, _POSITION_CHARACTER, 0, _CHARS_UTF8, None, None
            )
            if result != 0:
                raise EngineError(f"eSpeak NG failed with code {result} at a text of {len(text)} characters; try again")
            return b"".join(self._pieces)

    def _collect(self, samples: Any, count: int, _events: Any) -> int:
        if samples and count > 0:
            self._pieces.append(ctypes.string_at(samples, count * 2))
        return 0


_loaded: list[EspeakLibrary] = []
_loading: Final = threading.Lock()


def load_library() -> EspeakLibrary:
    """The process's one eSpeak NG, loaded at the first call.

    Raises:
        ModelError: the package `espeakng-loader` is missing or broken.
    """
    with _loading:
        if not _loaded:
            try:
                import espeakng_loader
            except ImportError as error:
                raise ModelError("eSpeak NG is not installed; run: pip install espeakng-loader") from error
            _loaded.append(EspeakLibrary(str(espeakng_loader.get_library_path()), str(espeakng_loader.get_data_path())))
            _log.info("eSpeak NG loaded", extra={"rate_hz": _loaded[0].format.rate_hz})
        return _loaded[0]


class EspeakTextToSpeech:
    """Speaks Russian and Ukrainian with eSpeak NG.

    Args:
        words_per_minute: speed; eSpeak's own default is 175, its articulation is clearer a little slower.

    Raises:
        ModelError: eSpeak NG is missing or broken.
    """

    def __init__(self, *, words_per_minute: int = 165) -> None:
        self._library = load_library()
        self._speed = words_per_minute
        self._limiter = anyio.CapacityLimiter(1)

    @property
    def name(self) -> str:
        """Identity for cache keys."""
        return f"espeak-ng-{self._speed}"

    @property
    def capabilities(self) -> TtsCapabilities:
        """Russian and Ukrainian; text may come in pieces."""
        return TtsCapabilities(LANGUAGES, streams_text=True)

    def speak(
        self, text: str | AsyncIterable[str], *, language: str, audio_format: AudioFormat
    ) -> AsyncGenerator[SpeechChunk, None]:
        """Yield a chunk per clause.

        Raises:
            EngineError: the language is unknown to it, or the library failed.
        """
        if language not in LANGUAGES:
            raise EngineError(
                f"eSpeak NG is set up for {', '.join(LANGUAGES)}, not for '{language}'; choose another voice"
            )
        return speak_clauses(text, audio_format, partial(self._render, language, audio_format))

    async def aclose(self) -> None:
        """Nothing to free: the library belongs to the process."""

    async def _render(self, language: str, audio_format: AudioFormat, clause: str) -> bytes:
        if not any(character.isalnum() for character in clause):
            return b""

        def work() -> bytes:
            pcm = self._library.synthesise(clause, language, round(self._speed * _PACE[language]))
            return finished_clause(pcm, self._library.format, audio_format)

        return await anyio.to_thread.run_sync(work, limiter=self._limiter)
