"""A small Elasticsearch for tests: what the official client sends goes over a real socket to a real HTTP server.

It knows the requests that instant answers make: indices, aliases, mappings, bulk, and search by words and by kNN. Words
are compared by their first five letters, vectors exactly. It is as strict as the real one: unknown fields, vectors of
another length, taken names and missing indices are refused with the same status and error type.
"""

from __future__ import annotations

import fnmatch
import json
import re
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import anyio
import numpy as np
from aiohttp import web

ElasticFault = Literal[
    "none", "silent", "overloaded", "red", "malformed", "strange", "partial", "other_product", "refuses_writes"
]
"""`silent` never answers, `red` has lost a shard, `malformed` breaks off its JSON, `strange` sends other JSON,
`partial` searches half of the index, `refuses_writes` takes no document of a bulk request."""

_JSON: Final = "application/vnd.elasticsearch+json;compatible-with=9"
_HEADERS: Final = {"X-Elastic-Product": "Elasticsearch"}
_REFUSED: Final[Mapping[str, tuple[int, str]]] = {
    "overloaded": (429, "es_rejected_execution_exception"),
    "red": (503, "search_phase_execution_exception"),
}
_BUILT_IN_FILTERS: Final = frozenset({"lowercase"})
_STEM_LETTERS: Final = 5


class _Refusal(Exception):
    """An error reply."""

    def __init__(self, status: int, kind: str, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.kind = kind

    @property
    def body(self) -> dict[str, Any]:
        error = {"type": self.kind, "reason": str(self)}
        return {"error": {"root_cause": [error], **error}, "status": self.status}


@dataclass(slots=True)
class _Index:
    settings: dict[str, Any]
    mappings: dict[str, Any]
    documents: dict[str, dict[str, Any]] = field(default_factory=dict)


@dataclass(slots=True)
class ElasticServer:
    """The state of a server; tests set `fault` and read what was asked of it."""

    url: str = ""
    fault: ElasticFault = "none"
    requests: list[str] = field(default_factory=list)
    """Method and path of each request."""
    aliases: dict[str, set[str]] = field(default_factory=dict)
    """Indices that each alias points to."""
    _indices: dict[str, _Index] = field(default_factory=dict)

    @property
    def indices(self) -> tuple[str, ...]:
        """Names of all indices, sorted."""
        return tuple(sorted(self._indices))

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """One request, whatever it is."""
        self.requests.append(f"{request.method} {request.path}")
        if self.fault == "silent":
            await anyio.sleep_forever()
        if self.fault in _REFUSED:
            refusal = _Refusal(*_REFUSED[self.fault], "as told")
            return web.json_response(refusal.body, status=refusal.status, headers=_HEADERS)
        if self.fault == "malformed":
            return web.Response(text='{"took": 1, "hits": {"hi', content_type="application/json", headers=_HEADERS)
        if self.fault == "strange":
            return web.json_response({"hits": {"hits": "none"}}, headers=_HEADERS)
        if self.fault == "other_product":
            return web.json_response({"tagline": "You know, for something else"})
        try:
            reply = self._reply(request.method, request.path, await request.read())
        except _Refusal as refusal:
            return web.json_response(refusal.body, status=refusal.status, headers=_HEADERS)
        return web.Response(text=json.dumps(reply), headers={**_HEADERS, "Content-Type": _JSON})

    def _reply(self, method: str, path: str, body: bytes) -> Any:
        target, _, operation = path.strip("/").partition("/")
        match method, target, operation:
            case "PUT", _, "":
                return self._create(target, json.loads(body))
            case "DELETE", _, "":
                del self._indices[self._only(target)]
                return {"acknowledged": True}
            case "GET", _, "_mapping":
                found = self._matching(target)
                return {name: {"mappings": self._indices[name].mappings} for name in found}
            case "PUT", _, "_mapping":
                self._indices[self._only(target)].mappings.update(json.loads(body))
                return {"acknowledged": True}
            case "POST", "_aliases", "":
                return self._switch(json.loads(body)["actions"])
            case "POST", _, "_refresh":
                self._only(target)
                return {"_shards": {"total": 1, "successful": 1, "failed": 0}}
            case (("POST" | "PUT"), _, "_bulk"):
                return self._bulk(self._indices[self._only(target)], body.decode().splitlines())
            case "POST", _, "_search":
                return self._search(self._indices[self._only(target)], json.loads(body))
        raise _Refusal(400, "illegal_argument_exception", f"no handler for {method} {path}")

    def _matching(self, pattern: str) -> list[str]:
        if pattern in self.aliases:
            return sorted(self.aliases[pattern])
        found = fnmatch.filter(self.indices, pattern)
        if not found and "*" not in pattern:
            raise _Refusal(404, "index_not_found_exception", f"no such index [{pattern}]")
        return found

    def _only(self, name: str) -> str:
        found = self._matching(name)
        if len(found) != 1:
            raise _Refusal(400, "illegal_argument_exception", f"[{name}] is {len(found)} indices")
        return found[0]

    def _create(self, name: str, body: dict[str, Any]) -> dict[str, Any]:
        if name in self._indices:
            raise _Refusal(400, "resource_already_exists_exception", f"index [{name}] already exists")
        if name != name.lower() or re.search(r'[\s\\/*?"<>|,#:]', name):
            raise _Refusal(400, "invalid_index_name_exception", name)
        _check_analysis(body["settings"]["index"]["analysis"], body["mappings"]["properties"])
        self._indices[name] = _Index(body["settings"], body["mappings"])
        return {"acknowledged": True, "shards_acknowledged": True, "index": name}

    def _switch(self, actions: list[dict[str, dict[str, str]]]) -> dict[str, Any]:
        for action in actions:
            ((kind, target),) = action.items()
            pointed = self.aliases.setdefault(target["alias"], set())
            if kind == "add":
                pointed.add(self._only(target["index"]))
            else:
                pointed.remove(target["index"])
        return {"acknowledged": True}

    def _bulk(self, index: _Index, lines: list[str]) -> dict[str, Any]:
        items: list[dict[str, Any]] = []
        rest = iter(lines)
        for line in rest:
            ((operation, target),) = json.loads(line).items()
            source = json.loads(next(rest)) if operation == "index" else None
            items.append({operation: {"_id": target["_id"], **self._write(index, target["_id"], source)}})
        errors = any(outcome["status"] >= 400 for item in items for outcome in item.values())
        return {"took": 1, "errors": errors, "items": items}

    def _write(self, index: _Index, document_id: str, source: dict[str, Any] | None) -> dict[str, Any]:
        problem = _problem(index.mappings["properties"], source or {})
        if self.fault == "refuses_writes":
            problem = "as told"
        if problem:
            return {"status": 400, "error": {"type": "document_parsing_exception", "reason": problem}}
        if source is None:
            there = index.documents.pop(document_id, None)
            return {"status": 404 if there is None else 200}
        index.documents[document_id] = source
        return {"status": 201}

    def _search(self, index: _Index, body: dict[str, Any]) -> dict[str, Any]:
        if "knn" in body:
            scores = _by_vector(index, body["knn"])
        elif "query" in body:
            scores = _by_words(index, body["query"]["bool"]["should"])
        else:
            scores = dict.fromkeys(index.documents, 1.0)
        best = sorted(scores.items(), key=lambda item: -item[1])[: body.get("size", 10)]
        shown = body["_source"]["includes"]
        hits = [
            {"_id": key, "_score": score, "_source": {name: index.documents[key][name] for name in shown}}
            for key, score in best
        ]
        failed = int(self.fault == "partial")
        shards = {"total": 2, "successful": 2 - failed, "skipped": 0, "failed": failed}
        return {"took": 1, "timed_out": False, "_shards": shards, "hits": {"hits": hits}}


@asynccontextmanager
async def elastic_server() -> AsyncGenerator[ElasticServer]:
    """A server on a free loopback port for as long as the context lasts."""
    server = ElasticServer()
    application = web.Application(client_max_size=64 * 2**20)
    application.router.add_route("*", "/{path:.*}", server.answer)
    runner = web.AppRunner(application, handler_cancellation=True, shutdown_timeout=0.1, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        server.url = f"http://127.0.0.1:{port}"
        yield server
    finally:
        await runner.cleanup()


def _check_analysis(analysis: Mapping[str, Any], properties: Mapping[str, Any]) -> None:
    """That fields, analysers and filters name each other rightly, as a real server does."""
    for name, analyzer in analysis["analyzer"].items():
        unknown = set(analyzer["filter"]) - set(analysis["filter"]) - _BUILT_IN_FILTERS
        if unknown or not set(analyzer["char_filter"]) <= set(analysis["char_filter"]):
            raise _Refusal(
                400, "illegal_argument_exception", f"analyzer [{name}] has unknown filters {sorted(unknown)}"
            )
    for kind in ("analyzer", "search_analyzer"):
        named = {mapped[kind] for mapped in properties.values() if kind in mapped}
        if not named <= set(analysis["analyzer"]):
            raise _Refusal(400, "mapper_parsing_exception", f"{kind} {sorted(named)} not found")


def _problem(properties: Mapping[str, Any], source: Mapping[str, Any]) -> str:
    """Why a document does not fit strict mappings; empty when it does."""
    strange = sorted(set(source) - set(properties))
    if strange:
        return f"mapping set to strict, dynamic introduction of {strange} is not allowed"
    if "vector" in source:
        if len(source["vector"]) != properties["vector"]["dims"]:
            return f"The [dense_vector] field [vector] has different dims than {len(source['vector'])}"
        if not any(source["vector"]):
            return "The [cosine] similarity does not support vectors with zero magnitude"
    return ""


def _by_vector(index: _Index, knn: Mapping[str, Any]) -> dict[str, float]:
    """Scores by exact cosine, as `flat` indices give them."""
    mapped = index.mappings["properties"].get(knn["field"])
    if mapped is None or len(knn["query_vector"]) != mapped["dims"] or knn["num_candidates"] < knn["k"]:
        raise _Refusal(400, "illegal_argument_exception", "the query vector does not fit the field")
    asked = np.array(knn["query_vector"])
    scores = {}
    for key, source in index.documents.items():
        if knn["field"] in source:
            stored = np.array(source[knn["field"]])
            cosine = float(stored @ asked / (np.linalg.norm(stored) * np.linalg.norm(asked)))
            scores[key] = (1 + cosine) / 2
    return dict(sorted(scores.items(), key=lambda item: -item[1])[: knn["k"]])


def _by_words(index: _Index, should: list[dict[str, dict[str, Any]]]) -> dict[str, float]:
    """Scores by shared words, rare ones more; documents that share none are left out."""
    scores: dict[str, float] = {}
    rules = index.settings["index"]["analysis"]["filter"].get("meanings", {}).get("synonyms", ())
    for clause in should:
        ((name, query),) = clause["match"].items()
        asked = _stems(query["query"])
        asked = asked.union(*(_stems(rule) for rule in rules if asked & _stems(rule)))
        stored = {key: _stems(source[name]) for key, source in index.documents.items()}
        for key, stems in stored.items():
            rarity = sum(1 / sum(stem in other for other in stored.values()) for stem in asked & stems)
            if rarity:
                scores[key] = scores.get(key, 0.0) + rarity * query.get("boost", 1.0)
    return scores


def _stems(text: str) -> frozenset[str]:
    words = re.findall(r"\w+", text.lower().replace("ё", "е"))
    return frozenset(word[:_STEM_LETTERS] for word in words if len(word) > 2)
