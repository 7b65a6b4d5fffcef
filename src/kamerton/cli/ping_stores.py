"""Whether Redis and Elasticsearch would serve a call, for `kamerton ping`."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from time import perf_counter
from typing import Final

from kamerton.cache.redis_store import RedisSettings, RedisStore
from kamerton.config.answers import open_index
from kamerton.config.services import Question
from kamerton.config.settings import AnswerSettings, Settings
from kamerton.domain.errors import EngineError
from kamerton.vendors.check import Check
from kamerton.vendors.engine import EngineContext

_PATIENCE_S: Final = 5.0
"""Of a look at Redis: longer than a call waits, because the other checks keep this process busy meanwhile."""


def questions_of_stores(settings: Settings) -> tuple[Question, ...]:
    """Redis and Elasticsearch, those that the settings name."""
    found = []
    if settings.store.redis is not None:
        found.append(Question("store", "redis", partial(check_redis, settings.store.redis)))
    if settings.answers.elastic_url is not None:
        found.append(Question("answers", "elasticsearch", partial(check_elastic, settings.answers)))
    return tuple(found)


async def check_redis(settings: RedisSettings, _: EngineContext) -> Check:
    """Read a key that is not there."""
    from redis.exceptions import AuthenticationError

    patient = replace(settings, deadline_s=_PATIENCE_S, connect_deadline_s=_PATIENCE_S)
    store, begun_s = RedisStore(patient), perf_counter()
    try:
        await store.get("ping")
    except EngineError as error:
        refused = isinstance(error.__cause__, AuthenticationError)
        return Check(reachable=refused, authorised=False if refused else None, fix=str(error))
    finally:
        await store.aclose()
    return Check(reachable=True, authorised=True, latency_ms=(perf_counter() - begun_s) * 1000, detail=settings.place)


async def check_elastic(settings: AnswerSettings, _: EngineContext) -> Check:
    """Ask which indices there are."""
    begun_s = perf_counter()
    async with open_index(settings) as connection:
        if connection is None:
            return Check(reachable=False, fix="answers.elastic_url is not set")
        try:
            await connection.metas("kamerton*")
        except EngineError as error:
            status = getattr(error.__cause__, "status_code", None)
            trusted = False if status in (401, 403) else None
            return Check(reachable=status is not None, authorised=trusted, fix=str(error))
        took_ms = (perf_counter() - begun_s) * 1000
        return Check(reachable=True, authorised=True, latency_ms=took_ms, detail=connection.url)
