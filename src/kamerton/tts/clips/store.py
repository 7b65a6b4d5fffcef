"""Where finished clips live: a bounded memory in front of a folder of files.

Both are keyed by what the audio depends on. A file holds one line of JSON (version, rate, segments, digest) and the
samples after it; it is written beside its place and moved there, and believed only if its digest is right. The folder
may be deleted at any time.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections import OrderedDict
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NamedTuple

from kamerton.domain.audio import SAMPLE_BYTES, AudioFormat, Clip, Segment

_VERSION: Final = 3
"""Raised whenever trimming, levels or the layout of a file change, so that old files are rendered anew."""
_MAX_HEADER_BYTES: Final = 1_000_000

_log = logging.getLogger(__name__)


class ClipKey(NamedTuple):
    """What the audio of a clip depends on."""

    voice: str
    language: str
    rate_hz: int
    text: str
    """As spoken: numbers already in words."""

    @property
    def digest(self) -> str:
        """Name of the clip's file."""
        content = json.dumps([_VERSION, *self], ensure_ascii=False)
        return hashlib.sha256(content.encode()).hexdigest()


class ClipMemory:
    """The clips used last, up to a number of bytes of audio. Not thread-safe: it belongs to the event loop."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._clips: OrderedDict[ClipKey, Clip] = OrderedDict()
        self._bytes = 0

    @property
    def size_bytes(self) -> int:
        """Audio held now."""
        return self._bytes

    def find(self, key: ClipKey) -> Clip | None:
        """The clip, if it is here; it counts as used."""
        clip = self._clips.get(key)
        if clip is not None:
            self._clips.move_to_end(key)
        return clip

    def keep(self, key: ClipKey, clip: Clip) -> None:
        """Add a clip; those unused for longest make room. A clip bigger than the whole memory is not kept."""
        replaced = self._clips.pop(key, None)
        if replaced is not None:
            self._bytes -= len(replaced.pcm)
        if len(clip.pcm) > self._limit_bytes:
            return
        self._clips[key] = clip
        self._bytes += len(clip.pcm)
        while self._bytes > self._limit_bytes:
            _, oldest = self._clips.popitem(last=False)
            self._bytes -= len(oldest.pcm)


class ClipFolder:
    """Clips as files. Every method blocks on the disk; none raises for what the disk does."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def load(self, key: ClipKey) -> Clip | None:
        """The clip, if an undamaged file of it is there. A damaged file is removed."""
        path = self._path(key)
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            _log.warning("a stored clip cannot be read; it is rendered again", extra={"reason": str(error)})
            return None
        clip = _decoded(data, key)
        if clip is None:
            _log.warning("a stored clip is damaged; it is rendered again", extra={"file": path.name})
            with suppress(OSError):
                path.unlink(missing_ok=True)
        return clip

    def save(self, key: ClipKey, clip: Clip) -> None:
        """Write the clip's file unless it is there already."""
        path = self._path(key)
        if path.exists():
            return
        part = path.with_name(f"{path.name}.{os.getpid()}.part")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            part.write_bytes(_encoded(clip))
            part.replace(path)
        except OSError as error:
            with suppress(OSError):
                part.unlink(missing_ok=True)
            _log.warning("a clip cannot be stored; it will be rendered at each start", extra={"reason": str(error)})

    def _path(self, key: ClipKey) -> Path:
        digest = key.digest
        return self._folder / digest[:2] / f"{digest}.clip"


def _encoded(clip: Clip) -> bytes:
    header = {
        "version": _VERSION,
        "rate_hz": clip.format.rate_hz,
        "segments": [[segment.text, segment.samples, segment.goes_on] for segment in clip.segments],
        "sha256": hashlib.sha256(clip.pcm).hexdigest(),
    }
    return json.dumps(header, ensure_ascii=False).encode() + b"\n" + clip.pcm


def _decoded(data: bytes, key: ClipKey) -> Clip | None:
    end = data.find(b"\n", 0, _MAX_HEADER_BYTES)
    if end < 0:
        return None
    pcm = data[end + 1 :]
    try:
        header: dict[str, Any] = json.loads(data[:end])
        segments = tuple(Segment(str(text), int(samples), bool(on)) for text, samples, on in header["segments"])
        sound = (header["version"], header["rate_hz"], header["sha256"])
    except (ValueError, KeyError, TypeError):
        return None
    if sound != (_VERSION, key.rate_hz, hashlib.sha256(pcm).hexdigest()):
        return None
    if sum(segment.samples for segment in segments) * SAMPLE_BYTES != len(pcm):
        return None
    return Clip(pcm, AudioFormat(key.rate_hz), segments)
