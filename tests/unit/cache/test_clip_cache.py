import json
from collections.abc import Callable

import pytest

from kamerton.audio.tone import tone
from kamerton.cache.clip_cache import CHUNK_FRAMES, ClipCache
from kamerton.cache.memory_store import MemoryStore
from kamerton.cache.redis_store import RedisSettings, RedisStore
from kamerton.domain.audio import PHONE, WIDEBAND, AudioFormat, Clip, Segment
from kamerton.orchestrator.workers import InlineWorker

pytestmark = pytest.mark.anyio


def clip_of(duration_ms: int, audio_format: AudioFormat = PHONE) -> Clip:
    pcm = tone(440, duration_ms, audio_format)
    samples = len(pcm) // 2
    return Clip(pcm, audio_format, (Segment("Добрый", samples // 3), Segment("день.", samples - samples // 3, True)))


CLIP = clip_of(2510)


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore(10_000_000)


@pytest.fixture
def cache(store: MemoryStore) -> ClipCache:
    return ClipCache(store, InlineWorker())


@pytest.mark.parametrize("clip", [CLIP, clip_of(7), clip_of(1000), clip_of(3333, WIDEBAND), Clip(b"", PHONE, ())])
async def test_a_clip_comes_back_as_it_was(cache: ClipCache, clip: Clip) -> None:
    await cache.save("key", clip)
    assert await cache.load("key", clip.format) == clip


async def test_a_clip_is_kept_by_its_rate(cache: ClipCache) -> None:
    await cache.save("key", CLIP)
    assert await cache.load("key", WIDEBAND) is None
    assert await cache.load("other", PHONE) is None


async def test_an_entry_is_a_header_and_chunks_of_whole_frames(cache: ClipCache, store: MemoryStore) -> None:
    await cache.save("key", CLIP)
    chunks = await store.get_chunks("clip:8000:key")
    assert chunks is not None
    header, *audio = chunks
    assert json.loads(header)["rate_hz"] == 8000
    assert [len(chunk) // PHONE.frame_bytes for chunk in audio] == [CHUNK_FRAMES, CHUNK_FRAMES, 25]
    assert b"".join(audio) == CLIP.pcm


def flipped(chunk: bytes) -> bytes:
    return chunk[:-1] + bytes([chunk[-1] ^ 1])


def with_header(chunks: tuple[bytes, ...], **changes: object) -> tuple[bytes, ...]:
    return (json.dumps({**json.loads(chunks[0]), **changes}).encode(), *chunks[1:])


DAMAGES: dict[str, Callable[[tuple[bytes, ...]], tuple[bytes, ...]]] = {
    "a sample": lambda chunks: (*chunks[:-1], flipped(chunks[-1])),
    "last chunk missing": lambda chunks: chunks[:-1],
    "chunks swapped": lambda chunks: (chunks[0], chunks[2], chunks[1], chunks[3]),
    "header missing": lambda chunks: chunks[1:],
    "no JSON": lambda chunks: (b"{]", *chunks[1:]),
    "a JSON list": lambda chunks: (b"[]", *chunks[1:]),
    "deep JSON": lambda chunks: (b"[" * 100_000, *chunks[1:]),
    "not text": lambda chunks: (b"\xff\xfe", *chunks[1:]),
    "huge header": lambda chunks: (b" " * 1_000_001, *chunks[1:]),
    "no audio": lambda chunks: chunks[:1],
    "empty header": lambda chunks: (b"",),
    "text": lambda chunks: with_header(chunks, segments=[["Прощайте", CLIP.samples]]),
    "segments": lambda chunks: with_header(chunks, segments=[["a", 1]]),
    "segments no list": lambda chunks: with_header(chunks, segments=7),
    "endless segment": lambda chunks: with_header(chunks, segments=[["a", float("inf")]]),
    "version": lambda chunks: with_header(chunks, version=0),
    "rate": lambda chunks: with_header(chunks, rate_hz=16000),
    "no digest": lambda chunks: with_header(chunks, sha256=None),
}


@pytest.mark.parametrize("damage", DAMAGES)
async def test_a_damaged_entry_is_missing_and_removed(
    cache: ClipCache, store: MemoryStore, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    await cache.save("key", CLIP)
    chunks = await store.get_chunks("clip:8000:key")
    assert chunks is not None
    await store.put_chunks("clip:8000:key", DAMAGES[damage](chunks))
    assert await cache.load("key", PHONE) is None
    assert await store.keys("clip:") == ()
    assert [record.getMessage() for record in caplog.records] == ["a shared clip was damaged; it is rendered again"]
    await cache.save("key", CLIP)
    assert await cache.load("key", PHONE) == CLIP


async def test_an_entry_from_under_another_key_is_foreign(cache: ClipCache, store: MemoryStore) -> None:
    await cache.save("key", CLIP)
    chunks = await store.get_chunks("clip:8000:key")
    assert chunks is not None
    await store.put_chunks("clip:8000:victim", chunks)
    assert await cache.load("victim", PHONE) is None
    assert await store.keys("clip:") == ("clip:8000:key",)


async def test_another_kind_of_value_is_missing(cache: ClipCache, store: MemoryStore) -> None:
    await store.put("clip:8000:key", b"value")
    assert await cache.load("key", PHONE) is None


@pytest.mark.socket
async def test_a_store_that_is_away_has_nothing(caplog: pytest.LogCaptureFixture) -> None:
    store = RedisStore(RedisSettings(url="redis://127.0.0.1:1/0"))
    cache = ClipCache(store, InlineWorker())
    await cache.save("key", CLIP)
    assert await cache.load("key", PHONE) is None
    assert [record.getMessage() for record in caplog.records] == [
        "a clip cannot be shared",
        "a shared clip cannot be read",
    ]
    await store.aclose()
