"""Rendered audio in a store that processes share: a header and chunks of frames, believed only by their digest."""

from __future__ import annotations

import hashlib
import json
import logging
from functools import partial
from typing import Any, Final

from kamerton.domain.audio import SAMPLE_BYTES, AudioFormat, Clip, Segment
from kamerton.domain.errors import EngineError
from kamerton.domain.storage import Store
from kamerton.domain.work import Worker

_VERSION: Final = 2
"""Raised whenever the layout of an entry changes, so that old ones are rendered anew."""
CHUNK_FRAMES: Final = 50
"""Frames in one chunk: a second of audio, 16 kB on the phone."""
_MAX_HEADER_BYTES: Final = 1_000_000
KEPT_S: Final = 30 * 86_400.0
"""A clip that nobody has written again for this long is gone from the store."""

_log = logging.getLogger(__name__)


class ClipCache:
    """`SharedClips` over a `Store`. Never raises: audio that cannot be read is missing, and is rendered again.

    A key holds a list: the header (JSON: version, key, rate, segments, digest of all of it), then the samples in chunks
    of 50 frames of 20 ms. An entry that is damaged, cut, of another version or from under another key is removed.
    """

    def __init__(self, store: Store, worker: Worker, ttl_s: float | None = KEPT_S) -> None:
        self._store = store
        self._worker = worker
        self._ttl_s = ttl_s

    async def load(self, key: str, audio_format: AudioFormat) -> Clip | None:
        """The clip, or None when it is missing, broken or the store is away."""
        name = _name(key, audio_format)
        try:
            chunks = await self._store.get_chunks(name)
            if chunks is None:
                return None
            clip = await self._worker.run(partial(_decoded, chunks, name, audio_format))
            if clip is None:
                await self._store.delete(name)
                _log.warning("a shared clip was damaged; it is rendered again", extra={"key": name})
            return clip
        except EngineError as error:
            _log.warning("a shared clip cannot be read", extra={"key": name, "reason": str(error)})
            return None

    async def save(self, key: str, clip: Clip) -> None:
        """Keep a clip, if the store can."""
        name = _name(key, clip.format)
        chunks = await self._worker.run(partial(_encoded, clip, name))
        try:
            await self._store.put_chunks(name, chunks, self._ttl_s)
        except EngineError as error:
            _log.warning("a clip cannot be shared", extra={"key": name, "reason": str(error)})


def _name(key: str, audio_format: AudioFormat) -> str:
    return f"clip:{audio_format.rate_hz}:{key}"


def _encoded(clip: Clip, name: str) -> list[bytes]:
    segments = [[segment.text, segment.samples, segment.goes_on] for segment in clip.segments]
    facts: dict[str, Any] = {"version": _VERSION, "key": name, "rate_hz": clip.format.rate_hz, "segments": segments}
    header = {**facts, "sha256": _digest(facts, clip.pcm)}
    size = clip.format.frame_bytes * CHUNK_FRAMES
    return [json.dumps(header).encode(), *(clip.pcm[at : at + size] for at in range(0, len(clip.pcm), size))]


def _decoded(chunks: tuple[bytes, ...], name: str, audio_format: AudioFormat) -> Clip | None:
    if len(chunks[0]) > _MAX_HEADER_BYTES:
        return None
    pcm = b"".join(chunks[1:])
    try:
        header: dict[str, Any] = json.loads(chunks[0])
        claimed = header.pop("sha256")
        segments = tuple(Segment(str(text), int(samples), bool(on)) for text, samples, on in header["segments"])
        facts = (header["version"], header["key"], header["rate_hz"])
        whole = claimed == _digest(header, pcm)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return None
    if not whole or facts != (_VERSION, name, audio_format.rate_hz):
        return None
    lengths = [segment.samples for segment in segments]
    if min(lengths, default=0) < 0 or sum(lengths) * SAMPLE_BYTES != len(pcm):
        return None
    return Clip(pcm, audio_format, segments)


def _digest(facts: dict[str, Any], pcm: bytes) -> str:
    """Over the header's facts and the samples."""
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    digest.update(pcm)
    return digest.hexdigest()
