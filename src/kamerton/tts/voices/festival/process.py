"""One warm Festival interpreter: a child process that speaks clause after clause.

Protocol, on its standard input: one Scheme form per line. Each request is two forms: the first one prints `spoken N` on
standard output when its WAV file is complete, the second one `over N`. After an error in the first one (told on
standard error, at times with a back-trace on standard output) the interpreter reads on, so `over` comes alone.
Measured with `voice_msu_ru_nsh_clunits`: 0.3 to 0.6 s to load, 35 to 330 ms a sentence, 190 MB of memory at first and
460 MB once every unit of the voice has been used.
"""

from __future__ import annotations

import logging
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Final

import anyio
import anyio.to_thread
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

from kamerton.audio.wav import WavAudio, read_wav_file
from kamerton.domain.errors import ConfigurationError, EngineError, ModelError
from kamerton.tts.voices.festival.scratch_folder import ScratchFolder

HEAP_CELLS: Final = 1_000_000
"""Interpreter memory: Festival's own default of 10 million cells costs 270 MB more; 400 000 are too few to load."""

_MAX_LINE_BYTES: Final = 4096
_EMPTY_WAV_BYTES: Final = 44

_log = logging.getLogger(__name__)


class FestivalProcess:
    """A started interpreter. Use `start`, then `speak` from one task at a time, and `stop` in the end.

    A `speak` that is cancelled leaves its request running in the child for at most one clause; the next `speak` skips
    the late answer, so that an interruption costs no restart.
    """

    def __init__(self, process: Process, folder: ScratchFolder, number: int) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._process = process
        self._stdin = process.stdin
        self._lines = BufferedByteReceiveStream(process.stdout)
        self._folder = folder
        self._file_name = f"clause-{number}.wav"
        self._requests = 0

    @classmethod
    async def start(cls, program: str, voice: str, folder: ScratchFolder, number: int) -> FestivalProcess:
        """Start an interpreter and load the voice.

        Raises:
            ModelError: the program cannot be started or does not know the voice.
        """
        try:
            with anyio.CancelScope(shield=True):
                process = await anyio.open_process(
                    [program, "--heap", str(HEAP_CELLS), "--pipe"], stderr=subprocess.DEVNULL
                )
        except OSError as error:
            raise ModelError(
                f"Festival cannot be started ({error}); run: apt-get install festival festvox-ru"
            ) from error
        self = cls(process, folder, number)
        try:
            loaded = await self._request(f"({voice})")
        except EngineError as error:
            await self.stop()
            raise ModelError(f"Festival ended while it loaded {voice}; run: apt-get install festvox-ru") from error
        except BaseException:
            await self.stop()
            raise
        if not loaded:
            await self.stop()
            raise ModelError(f"Festival does not know {voice}; run: apt-get install festvox-ru")
        _log.info("Festival started", extra={"pid": process.pid, "voice": voice})
        return self

    @property
    def alive(self) -> bool:
        """Whether the child still runs."""
        return self._process.returncode is None

    async def speak(self, letters: str) -> WavAudio | None:
        """Synthesise text that has passed `russian_letters`; None when the voice makes no sound of it.

        Raises:
            EngineError: the interpreter died or reported an error; it must be stopped.
        """
        wav = await anyio.to_thread.run_sync(self._folder.path) / self._file_name
        if not await self._request(f'(utt.save.wave (SynthText "{letters}") "{wav}" (quote riff))'):
            raise EngineError(f"Festival failed at a text of {len(letters)} characters; it is restarted")
        return await anyio.to_thread.run_sync(_taken, wav)

    async def stop(self) -> None:
        """Kill the child and wait for its end; safe to call while being cancelled, and twice."""
        with anyio.CancelScope(shield=True):
            if self.alive:
                self._process.kill()
            await self._process.aclose()

    async def _request(self, form: str) -> bool:
        """Evaluate a form; False when it failed. What earlier, cancelled requests still print is skipped."""
        self._requests += 1
        number = self._requests
        await self._send(f'(begin {form} (format t "spoken {number}\\n"))')
        await self._send(f'(begin (format t "over {number}\\n") (fflush nil))')
        spoken = False
        while (line := await self._line()) != f"over {number}":
            spoken = spoken or line == f"spoken {number}"
        return spoken

    async def _send(self, form: str) -> None:
        try:
            await self._stdin.send(f"{form}\n".encode())
        except (anyio.BrokenResourceError, anyio.ClosedResourceError) as error:
            raise EngineError("Festival died; it is restarted") from error

    async def _line(self) -> str:
        try:
            line = await self._lines.receive_until(b"\n", _MAX_LINE_BYTES)
        except (anyio.EndOfStream, anyio.IncompleteRead, anyio.BrokenResourceError, anyio.ClosedResourceError) as error:
            raise EngineError("Festival died; it is restarted") from error
        except anyio.DelimiterNotFound as error:
            raise EngineError("Festival answered with garbage; it is restarted") from error
        return line.decode("utf-8", "replace").strip()


def _taken(wav: Path) -> WavAudio | None:
    """The audio of a finished file, which is removed: it says what was said in a call."""
    try:
        if wav.stat().st_size <= _EMPTY_WAV_BYTES:
            return None
        return read_wav_file(wav)
    except (OSError, ConfigurationError) as error:
        raise EngineError(f"Festival's answer cannot be read: {error}; check the space in {wav.parent}") from error
    finally:
        with suppress(OSError):
            wav.unlink(missing_ok=True)
