"""The connection to Elasticsearch: the few operations that instant answers need, through the official async client.

The only file that knows the client. Its retries are off: a search that must answer within the race's 200 ms has no
time for a second try, and a load that failed goes on where it stopped when it is run again.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import anyio

from kamerton.domain.errors import ConfigurationError, EngineError
from kamerton.domain.foreign_text import LONGEST_REMARK, shown_line

if TYPE_CHECKING:
    from elasticsearch import AsyncElasticsearch

SEARCH_TIMEOUT_S: Final = 0.15
"""Leaves the race, which has 200 ms, time to decide."""
LOAD_TIMEOUT_S: Final = 30.0
_CLOSING_S: Final = 1.0
_BULK_DOCUMENTS: Final = 200
_SHOWN_REFUSALS: Final = 3
_LARGEST_PAGE: Final = 10_000


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """What a load needs to know of a document that is there."""

    answer_id: str
    digest: str


@dataclass(frozen=True, slots=True)
class BulkRefusal:
    """A document that Elasticsearch did not take."""

    document_id: str
    status: int
    reason: str


class ElasticConnection:
    """Operations on one cluster; shared by all calls and both halves of the race.

    Every operation raises EngineError when the cluster is away, slow, overloaded or answers what it should not.
    Cancelling one closes its request.

    Args:
        client: the official client; `open_elastic` makes and closes it.
        url: where the cluster is, for messages.
        search_timeout_s: how long one search may take.
    """

    def __init__(self, client: AsyncElasticsearch, url: str, search_timeout_s: float = SEARCH_TIMEOUT_S) -> None:
        self._searching = client.options(request_timeout=search_timeout_s, max_retries=0, retry_on_timeout=False)
        self._loading = client.options(request_timeout=LOAD_TIMEOUT_S, max_retries=0, retry_on_timeout=False)
        self._url = url
        self._search_timeout = f"{max(1, round(search_timeout_s * 1000))}ms"

    @property
    def url(self) -> str:
        """Where the cluster is, without credentials."""
        return self._url

    async def search(self, index: str, body: Mapping[str, Any]) -> list[tuple[str, float]]:
        """Answer ids and scores of the hits of a search, best first.

        Raises:
            EngineError: also when the index is missing or some of it could not be searched: a ranking with holes would
                let a wrong answer win.
        """
        with self._faults(f"searching index '{index}'"):
            found = await self._searching.search(
                index=index,
                source={"includes": ["answer_id"]},
                timeout=self._search_timeout,
                allow_partial_search_results=False,
                track_total_hits=False,
                **body,
            )
            if found["timed_out"] or found["_shards"]["failed"]:
                raise EngineError(
                    f"Elasticsearch at {self._url} searched only a part of index '{index}'; see the cluster's health"
                )
            return [(str(hit["_source"]["answer_id"]), float(hit["_score"])) for hit in found["hits"]["hits"]]

    async def metas(self, pattern: str) -> dict[str, Mapping[str, Any]]:
        """The `_meta` of the indices whose names match a pattern or alias, by name; empty when there are none."""
        with self._faults(f"looking for index '{pattern}'"):
            found = await self._loading.options(ignore_status=404).indices.get_mapping(
                index=pattern, allow_no_indices=True
            )
            if found.meta.status == 404:
                return {}
            return {name: index["mappings"].get("_meta", {}) for name, index in found.items()}

    async def documents(self, index: str) -> dict[str, StoredDocument]:
        """All documents of an index, by id; up to 10 000."""
        with self._faults(f"reading index '{index}'"):
            await self._loading.indices.refresh(index=index)
            found = await self._loading.search(
                index=index,
                source={"includes": ["answer_id", "digest"]},
                size=_LARGEST_PAGE,
                allow_partial_search_results=False,
            )
            return {
                hit["_id"]: StoredDocument(hit["_source"]["answer_id"], hit["_source"]["digest"])
                for hit in found["hits"]["hits"]
            }

    async def create(self, index: str, settings: Mapping[str, Any], mappings: Mapping[str, Any]) -> bool:
        """Make an index; False when it is there already."""
        from elasticsearch import BadRequestError

        with self._faults(f"making index '{index}'"):
            try:
                await self._loading.indices.create(index=index, settings=settings, mappings=mappings)
            except BadRequestError as error:
                if error.error == "resource_already_exists_exception":
                    return False
                raise
            return True

    async def write(
        self, index: str, documents: Iterable[tuple[str, Mapping[str, Any]]], gone: Iterable[str]
    ) -> tuple[BulkRefusal, ...]:
        """Store documents and remove others, in requests of 200; then make all of it visible to searches.

        Returns:
            Those that were not taken. A document that was to go and is gone already is none of them.
        """
        from elasticsearch.helpers import async_streaming_bulk

        actions: list[dict[str, Any]] = [
            {"_op_type": "index", "_id": document_id, "_source": source} for document_id, source in documents
        ]
        actions += [{"_op_type": "delete", "_id": document_id} for document_id in gone]
        refusals = []
        with self._faults(f"writing to index '{index}'"):
            async for taken, item in async_streaming_bulk(
                self._loading, actions, index=index, chunk_size=_BULK_DOCUMENTS, raise_on_error=False, yield_ok=False
            ):
                ((operation, outcome),) = item.items()
                if not taken and not (operation == "delete" and outcome["status"] == 404):
                    refusals.append(_refusal(outcome))
            await self._loading.indices.refresh(index=index)
        return tuple(refusals)

    async def describe(self, index: str, meta: Mapping[str, Any]) -> None:
        """Set the `_meta` of an index."""
        with self._faults(f"describing index '{index}'"):
            await self._loading.indices.put_mapping(index=index, meta=dict(meta))

    async def point_alias(self, alias: str, index: str, instead_of: Iterable[str]) -> None:
        """Point an alias to an index and away from others, in one step."""
        actions: list[dict[str, Any]] = [{"remove": {"index": name, "alias": alias}} for name in instead_of]
        actions.append({"add": {"index": index, "alias": alias}})
        with self._faults(f"pointing '{alias}' to index '{index}'"):
            await self._loading.indices.update_aliases(actions=actions)

    async def remove(self, index: str) -> None:
        """Remove an index, if it is there."""
        with self._faults(f"removing index '{index}'"):
            await self._loading.options(ignore_status=404).indices.delete(index=index)

    @contextmanager
    def _faults(self, doing: str) -> Iterator[None]:
        """The client's many errors as ours. Nothing of the request is quoted: it may hold what a caller said."""
        from elasticsearch import ApiError, ConnectionTimeout, NotFoundError, TransportError, UnsupportedProductError

        where = f"Elasticsearch at {self._url} failed at {doing}"
        try:
            yield
        except NotFoundError as error:
            raise EngineError(f"{where}: it is not there; run 'kamerton answers load'") from error
        except UnsupportedProductError as error:
            raise EngineError(f"{where}: the server is not Elasticsearch; check the address") from error
        except ApiError as error:
            said = shown_line(str(error.error), LONGEST_REMARK)
            raise EngineError(f"{where}: status {error.status_code} ({said}){_advice(error.status_code)}") from error
        except ConnectionTimeout as error:
            raise EngineError(f"{where}: it did not answer in time; see the cluster's load") from error
        except TransportError as error:
            raise EngineError(
                f"{where}: {type(error).__name__}; check that it runs and that the address is right"
            ) from error
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise EngineError(f"{where}: its reply has an unexpected form ({type(error).__name__})") from error


@asynccontextmanager
async def open_elastic(
    url: str, *, api_key: str | None = None, search_timeout_s: float = SEARCH_TIMEOUT_S
) -> AsyncGenerator[ElasticConnection]:
    """A connection for as long as the context lasts; it is made at the first request, so this does not wait.

    Args:
        url: of the cluster, `http://host:9200` or `https://…`; credentials in it are kept out of messages.
        api_key: for a cluster with security.
        search_timeout_s: how long one search may take.

    Raises:
        ConfigurationError: the URL is none.
    """
    from elasticsearch import AsyncElasticsearch

    shown = url.rpartition("@")[2] if "@" in url else url
    try:
        client = AsyncElasticsearch(url, api_key=api_key, max_retries=0, retry_on_timeout=False)
    except ValueError as error:
        raise ConfigurationError(
            f"'{shown}' is no address of Elasticsearch: it must look like http://localhost:9200, with "
            "credentials either in it or as an API key"
        ) from error
    try:
        yield ElasticConnection(client, shown, search_timeout_s)
    finally:
        with anyio.move_on_after(_CLOSING_S, shield=True):
            await client.close()


def refusals_told(refusals: tuple[BulkRefusal, ...]) -> str:
    """The first few refusals in words."""
    told = [f"{one.document_id}: status {one.status}, {one.reason}" for one in refusals[:_SHOWN_REFUSALS]]
    more = len(refusals) - len(told)
    return "; ".join(told) + (f"; and {more} more" if more else "")


def _refusal(outcome: Mapping[str, Any]) -> BulkRefusal:
    error = outcome.get("error", {})
    reason = f"{error.get('type', 'unknown')}: {error.get('reason', '')}" if isinstance(error, Mapping) else str(error)
    return BulkRefusal(str(outcome["_id"]), int(outcome["status"]), shown_line(reason, LONGEST_REMARK))


def _advice(status: int) -> str:
    if status in (401, 403):
        return "; check the API key"
    if status == 429:
        return "; the cluster is overloaded"
    if status >= 500:
        return "; see the cluster's health"
    return ""
