"""`kamerton answers load` with the real model and voice, a real Redis and Elasticsearch's wire."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from paths import REPO
from redis_server import RedisServer, free_port, redis_server

from kamerton.cache.clip_cache import ClipCache
from kamerton.cache.redis_store import RedisSettings, RedisStore
from kamerton.cli.answers_load import forget_kept, load_answers
from kamerton.config.assistant_folder import Assistant, load_assistant
from kamerton.config.settings import Settings, load_settings
from kamerton.domain.audio import PHONE, WIDEBAND
from kamerton.domain.errors import ConfigurationError, EngineError
from kamerton.orchestrator.workers import InlineWorker
from kamerton.testing.elastic_server import elastic_server

pytestmark = [pytest.mark.engine, pytest.mark.anyio, pytest.mark.timeout(180)]

CARD = {"id": "card_payment", "question": "Можно оплатить картой?", "answer": "Да, можно.", "redis_key": "shop:card"}
HOURS = {"id": "working_hours", "question": "Когда вы работаете?", "answer": "Всегда.", "variants": ["график работы"]}


def assistant_with(tmp_path: Path, entries: Sequence[dict[str, Any]]) -> Assistant:
    """The shipped assistant with other answers."""
    folder = tmp_path / "insurance"
    if not folder.exists():
        shutil.copytree(REPO / "assistants" / "insurance", folder)
        (folder / "not_answered.json").unlink()
    (folder / "data.json").write_text(json.dumps(entries), encoding="utf-8")
    return load_assistant(folder)


def settings_of(tmp_path: Path, redis: str | None = None, elastic: str | None = None) -> Settings:
    store = {"redis": {"url": redis}} if redis else {}
    return load_settings(data_dir=tmp_path / "data", store=store, answers={"elastic_url": elastic})


async def shared(server: RedisServer) -> tuple[str, ...]:
    store = RedisStore(RedisSettings(url=server.url))
    try:
        return await store.keys("clip:")
    finally:
        await store.aclose()


async def test_index_and_audio_are_loaded_and_only_what_changed_is_made_anew(tmp_path: Path) -> None:
    with redis_server() as redis:
        async with elastic_server() as elastic:
            settings = settings_of(tmp_path, redis.url, elastic.url)
            first = "\n".join(await load_answers(settings, assistant_with(tmp_path, (CARD, HOURS))))
            assert "insurance: 2 added, 0 changed, 0 removed, 0 unchanged" in first
            assert "3 questions computed, 0 kept" in first
            assert "3 questions written, 0 removed" in first
            keys = await shared(redis)
            assert [key.rpartition(":")[0] for key in keys] == [
                "clip:16000:answers:insurance:working_hours",
                "clip:16000:shop:card",
                "clip:8000:answers:insurance:working_hours",
                "clip:8000:shop:card",
            ]
            again = "\n".join(await load_answers(settings, assistant_with(tmp_path, (CARD, HOURS))))
            assert "0 added, 0 changed, 0 removed, 2 unchanged" in again
            assert "0 questions computed, 3 kept" in again
            assert "0 questions written, 0 removed" in again
            assert "0 texts spoken anew" in again
            assert await shared(redis) == keys
            moved = {**HOURS, "answer": "С девяти до шести."}
            third = "\n".join(await load_answers(settings, assistant_with(tmp_path, (moved,))))
            assert "0 added, 1 changed, 1 removed, 0 unchanged" in third
            assert "removed   card_payment" in third
            assert len(await shared(redis)) == len(keys) + 2
        store = RedisStore(RedisSettings(url=redis.url))
        clip = await ClipCache(store, InlineWorker()).load(keys[1].removeprefix("clip:16000:"), WIDEBAND)
        await store.aclose()
        assert clip is not None
        assert clip.text == "Да, можно."


async def test_without_redis_and_elasticsearch_it_stays_in_the_data_folder(tmp_path: Path) -> None:
    told = "\n".join(await load_answers(settings_of(tmp_path), assistant_with(tmp_path, (CARD,))))
    assert "calls search in their own process" in told
    assert "1 answers in the data folder, " in told
    assert len(list((tmp_path / "data" / "clips").rglob("*"))) >= len((PHONE, WIDEBAND))


@pytest.mark.parametrize("away", ["redis", "elastic"])
async def test_a_server_that_is_away_is_told_and_nothing_counts_as_loaded(tmp_path: Path, away: str) -> None:
    assistant = assistant_with(tmp_path, (CARD,))
    url = f"{'redis' if away == 'redis' else 'http'}://127.0.0.1:{free_port()}"
    with pytest.raises(EngineError, match=r"127\.0\.0\.1"):
        await load_answers(settings_of(tmp_path, **{away: url}), assistant)
    told = await load_answers(settings_of(tmp_path), assistant)
    assert "1 added" in told[0]


async def test_kept_answers_are_forgotten_in_redis_only(tmp_path: Path) -> None:
    assistant = assistant_with(tmp_path, (CARD,))
    with redis_server() as redis:
        store = RedisStore(RedisSettings(url=redis.url))
        for key in ("answers:insurance:a:1", "answers:insurance:b:2", "answers:tyres:a:1", "clip:8000:x"):
            await store.put(key, b"{}")
        assert await forget_kept(settings_of(tmp_path, redis.url), assistant) == 2
        assert await store.keys("") == ("answers:tyres:a:1", "clip:8000:x")
        await store.aclose()
    with pytest.raises(ConfigurationError, match="no Redis is configured"):
        await forget_kept(settings_of(tmp_path), assistant)
