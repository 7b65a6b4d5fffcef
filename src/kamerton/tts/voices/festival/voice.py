"""Festival with Debian's Russian voice (`festvox-ru`, MSU, 2007): a natural unit-selection voice that runs anywhere."""

from __future__ import annotations

import logging
import shutil
from collections.abc import AsyncGenerator, AsyncIterable
from functools import partial
from pathlib import Path
from typing import Final

import anyio
import anyio.to_thread

from kamerton.audio.wav import WavAudio
from kamerton.domain.audio import AudioFormat
from kamerton.domain.errors import EngineError, ModelError
from kamerton.domain.synthesis import SpeechChunk, TtsCapabilities
from kamerton.tts.spoken.cyrillic import russian_letters
from kamerton.tts.voices.clause_speech import finished_clause, speak_clauses
from kamerton.tts.voices.festival.process import FestivalProcess
from kamerton.tts.voices.festival.scratch_folder import ScratchFolder

VOICE: Final = "voice_msu_ru_nsh_clunits"
DEBIAN_VOICE_FOLDER: Final = Path("/usr/share/festival/voices/russian/msu_ru_nsh_clunits")
INSTALL_HINT: Final = "run: apt-get install festival festvox-ru"
_FOLDER_PREFIX: Final = "kamerton-festival-"

_log = logging.getLogger(__name__)


def why_unavailable(program: str = "festival", voice_folder: Path = DEBIAN_VOICE_FOLDER) -> str | None:
    """Why Festival cannot speak on this machine and what to install; None when it can."""
    if shutil.which(program) is None:
        return f"the program '{program}' is not installed; {INSTALL_HINT}"
    if not voice_folder.is_dir():
        return f"the Russian voice is not installed ({voice_folder} is missing); {INSTALL_HINT}"
    return None


class FestivalTextToSpeech:
    """Speaks Russian with a pool of warm Festival processes, each started when it is first needed.

    Args:
        processes: how many clauses are synthesised at once; each process takes 190 to 460 MB.
        clause_deadline_s: after this a clause has failed. Half of it is for each of two tries, the second one in a new
            process; loading the voice counts.
        program: the Festival executable.
        voice: Scheme function that selects the voice.

    Raises:
        ModelError: the program is not installed.
    """

    def __init__(
        self,
        *,
        processes: int = 2,
        clause_deadline_s: float = 8.0,
        program: str = "festival",
        voice: str = VOICE,
    ) -> None:
        if shutil.which(program) is None:
            raise ModelError(f"the program '{program}' is not installed; {INSTALL_HINT}")
        self._program = program
        self._voice = voice
        self._deadline_s = clause_deadline_s
        self._slots = anyio.CapacityLimiter(processes)
        self._processes: set[FestivalProcess] = set()
        self._idle: list[FestivalProcess] = []
        self._started = 0
        self._closed = False
        self._folder = ScratchFolder(_FOLDER_PREFIX)

    @property
    def name(self) -> str:
        """Identity for cache keys."""
        return f"festival-{self._voice.removeprefix('voice_')}"

    @property
    def capabilities(self) -> TtsCapabilities:
        """Russian; text may come in pieces."""
        return TtsCapabilities(("ru",), streams_text=True)

    @property
    def processes_started(self) -> int:
        """Processes started so far: more than the pool's size means that some were restarted."""
        return self._started

    def speak(
        self, text: str | AsyncIterable[str], *, language: str, audio_format: AudioFormat
    ) -> AsyncGenerator[SpeechChunk, None]:
        """Yield a chunk per clause. Foreign letters are said as their nearest Russian ones.

        Raises:
            EngineError: the language is not Russian, or Festival failed twice at a clause, or not in time.
            ModelError: Festival cannot be started or has no Russian voice.
        """
        if language != "ru":
            raise EngineError(f"Festival's voice speaks Russian, not '{language}'; choose another voice")
        return speak_clauses(text, audio_format, partial(self._render, audio_format))

    async def aclose(self) -> None:
        """End every process and remove its files. Speech under way ends with an EngineError."""
        self._closed = True
        with anyio.CancelScope(shield=True):
            while self._processes:
                await self._processes.pop().stop()
            await anyio.to_thread.run_sync(self._folder.remove)
        self._idle.clear()

    async def _render(self, audio_format: AudioFormat, clause: str) -> bytes:
        letters = russian_letters(clause)
        if not letters:
            return b""
        async with self._slots:
            try:
                audio = await self._speak_once(letters)
            except EngineError as error:
                if self._closed:
                    raise
                _log.warning("Festival is restarted", extra={"reason": str(error)})
                audio = await self._speak_once(letters)
        if audio is None:
            return b""
        return await anyio.to_thread.run_sync(finished_clause, audio.pcm, audio.format, audio_format)

    async def _speak_once(self, letters: str) -> WavAudio | None:
        """Speak in an idle process, or a new one. It goes back to the idle ones unless it failed or was too slow."""
        healthy = True
        process: FestivalProcess | None = None
        try:
            with anyio.fail_after(self._deadline_s / 2):
                process = await self._checked_out()
                return await process.speak(letters)
        except TimeoutError as error:
            healthy = False
            limit = f"{self._deadline_s / 2:g} s"
            raise EngineError(
                f"Festival took over {limit} for {len(letters)} characters; is the machine overloaded?"
            ) from error
        except EngineError:
            healthy = False
            raise
        finally:
            if process is not None:
                await self._give_back(process, healthy)

    async def _checked_out(self) -> FestivalProcess:
        while self._idle:
            process = self._idle.pop()
            if process.alive:
                return process
            await self._give_back(process, healthy=False)
        self._check_open()
        self._started += 1
        process = await FestivalProcess.start(self._program, self._voice, self._folder, self._started)
        self._processes.add(process)
        try:
            self._check_open()
        except EngineError:
            await self._give_back(process, healthy=False)
            raise
        return process

    def _check_open(self) -> None:
        if self._closed:
            raise EngineError("this Festival voice is closed; make a new one")

    async def _give_back(self, process: FestivalProcess, healthy: bool) -> None:
        if healthy and not self._closed:
            self._idle.append(process)
            return
        self._processes.discard(process)
        await process.stop()
