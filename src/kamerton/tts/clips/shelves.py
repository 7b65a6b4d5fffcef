"""Where a clip may already be: a recording, memory, the folder of files, the cache that processes share."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Final

import anyio

from kamerton.audio.wav import WavAudio
from kamerton.domain.audio import AudioFormat, Clip
from kamerton.domain.storage import SharedClips
from kamerton.domain.work import Worker
from kamerton.tts.clips.making import clip_at_rate, clip_of_recording
from kamerton.tts.clips.store import ClipFolder, ClipKey, ClipMemory

_SHARED_WAIT_S: Final = 0.1
"""Longest wait for the shared cache before a text is synthesised: less than most voices take to their first audio."""
_SHARED_SAVE_S: Final = 2.0
"""Longest wait for the shared cache to take a clip."""
_NAME_DIGITS: Final = 16
"""Hexadecimal digits of a clip's digest after its name: a changed text or voice is then another clip."""

_log = logging.getLogger(__name__)


class ClipShelves:
    """Looks clips up, the nearest place first, and brings what it finds into memory.

    Args:
        memory_bytes: bound of the memory.
        worker: where audio and disk work over a millisecond goes.
        folder: folder of files, if there is one.
        shared: the cache that processes share, if there is one.
    """

    def __init__(self, memory_bytes: int, worker: Worker, folder: Path | None, shared: SharedClips | None) -> None:
        self._worker = worker
        self._memory = ClipMemory(memory_bytes)
        self._folder = ClipFolder(folder) if folder is not None else None
        self._shared = shared
        self._recordings: dict[str, WavAudio] = {}
        self._recorded: dict[tuple[str, int], Clip] = {}
        self._names: dict[str, str] = {}
        self._hits: Counter[str] = Counter()

    @property
    def hits(self) -> Mapping[str, int]:
        """Clips found: `memory_hits`, `disk_hits`, `shared_hits`."""
        return self._hits

    def record(self, said: str, recording: WavAudio) -> None:
        """Let a recording stand for a text from now on."""
        self._recordings[said] = recording
        self._recorded = {key: clip for key, clip in self._recorded.items() if key[0] != said}

    def name(self, said: str, name: str) -> None:
        """Name the clip of a text in the shared cache from now on."""
        self._names[said] = name

    def find(self, key: ClipKey) -> Clip | None:
        """The clip, if it is in memory."""
        if self._recordings and key.text in self._recordings:
            return self._recorded.get((key.text, key.rate_hz))
        return self._memory.find(key)

    def at_hand(self, key: ClipKey) -> Clip | None:
        """The clip, if it is in memory; counted as a hit."""
        clip = self.find(key)
        if clip is not None:
            self._hits["memory_hits"] += 1
        return clip

    def keep(self, key: ClipKey, clip: Clip) -> None:
        """Keep a clip in memory."""
        self._memory.keep(key, clip)

    async def fetch(self, key: ClipKey) -> Clip | None:
        """The clip from the recording, the folder or the shared cache, brought into memory."""
        recording = self._recordings.get(key.text)
        if recording is not None:
            work = partial(clip_of_recording, recording, key.text, AudioFormat(key.rate_hz))
            clip = self._recorded[key.text, key.rate_hz] = await self._worker.run(work)
            return clip
        if self._folder is not None:
            stored = await self._worker.run(partial(self._folder.load, key))
            if stored is not None:
                self._hits["disk_hits"] += 1
                self._memory.keep(key, stored)
                return stored
        shared = await self._load_shared(key)
        if shared is not None:
            self._hits["shared_hits"] += 1
            self._memory.keep(key, shared)
        return shared

    async def resampled(self, source: ClipKey, key: ClipKey) -> Clip | None:
        """The clip made from that of another rate, if that one is in memory, and kept; recordings are not resampled."""
        wide = self.find(source)
        if wide is None or key.text in self._recordings:
            return None
        clip = await self._worker.run(partial(clip_at_rate, wide, AudioFormat(key.rate_hz)))
        self._memory.keep(key, clip)
        return clip

    async def store(self, key: ClipKey) -> None:
        """Write a clip of the memory to the folder; recordings are files already."""
        clip = self._memory.find(key)
        if clip is not None and self._folder is not None:
            await self._worker.run(partial(self._folder.save, key, clip))

    async def share(self, key: ClipKey) -> None:
        """Put a clip of the memory into the shared cache, unless it is there."""
        clip = self._memory.find(key)
        if clip is not None and self._shared is not None and await self._load_shared(key) is None:
            with anyio.move_on_after(_SHARED_SAVE_S):
                await self._shared.save(self._shared_key(key), clip)

    def _shared_key(self, key: ClipKey) -> str:
        name = self._names.get(key.text)
        return f"{name}:{key.digest[:_NAME_DIGITS]}" if name else key.digest

    async def _load_shared(self, key: ClipKey) -> Clip | None:
        if self._shared is None:
            return None
        clip: Clip | None = None
        with anyio.move_on_after(_SHARED_WAIT_S):
            clip = await self._shared.load(self._shared_key(key), AudioFormat(key.rate_hz))
        if clip is not None and not _speaks(clip, key):
            _log.warning("a shared clip is not what its key says; it is rendered again", extra={"clip": key.digest})
            return None
        return clip


def _speaks(clip: Clip, key: ClipKey) -> bool:
    """Whether a clip is the audio of a key: whoever writes to the cache may have put anything there."""
    whole = sum(segment.samples for segment in clip.segments) == clip.samples > 0
    return whole and clip.format.rate_hz == key.rate_hz and _letters(clip.text) == _letters(key.text)


def _letters(text: str) -> str:
    return "".join(character for character in text if character.isalnum())
