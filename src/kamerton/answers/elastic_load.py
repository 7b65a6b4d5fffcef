"""Brings an assistant's index in Elasticsearch up to date: only what has changed is written, and it says what that was.

A load that failed or was cancelled leaves the alias where it was; run again, it goes on where it stopped. Two loads of
the same catalogue at once write the same documents and end alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from kamerton.answers.elastic import ElasticConnection, StoredDocument, refusals_told
from kamerton.answers.elastic_index import LARGEST_K, IndexPlan
from kamerton.domain.errors import ConfigurationError, EngineError

_LISTED: Final = 10


@dataclass(frozen=True, slots=True)
class LoadReport:
    """What a load came to; answers by id, sorted."""

    index: str
    new_index_because: str
    """Why a new index was made; empty when the old one was brought up to date."""
    added: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]
    unchanged: int
    """Answers that are as they were."""
    written: int
    """Documents that were stored; there is one for each question."""
    deleted: int
    dropped_indices: tuple[str, ...]
    """Old indices that nobody can need any more."""

    def lines(self) -> tuple[str, ...]:
        """The report in words, one line a fact."""
        told = [f"index {self.index}: {self.written} questions written, {self.deleted} removed"]
        if self.new_index_because:
            told.append(f"it is new: {self.new_index_because}")
        changes = (("added", self.added), ("changed", self.changed), ("removed", self.removed))
        told.extend(f"answers {word}: {_listed(ids)}" for word, ids in changes if ids)
        told.append(f"answers unchanged: {self.unchanged}")
        if self.dropped_indices:
            told.append(f"old indices dropped: {_listed(self.dropped_indices)}")
        return tuple(told)


async def load_index(connection: ElasticConnection, plan: IndexPlan) -> LoadReport:
    """Make the index of a plan, or what is missing of it, and point the alias to it.

    The index before it is kept, because processes that have not restarted still search it; older ones are dropped.

    Raises:
        EngineError: the cluster failed or refused documents; the alias is where it was.
        ConfigurationError: there are more questions than one search can return.
    """
    if len(plan.documents) > LARGEST_K:
        raise ConfigurationError(
            f"assistant '{plan.assistant}' has {len(plan.documents)} questions; one search in Elasticsearch compares "
            f"{LARGEST_K} at most"
        )
    current = await connection.metas(plan.alias)
    before = [await connection.documents(name) for name in current]
    known = {document_id: stored for documents in before for document_id, stored in documents.items()}
    unfinished = {**plan.mappings, "_meta": {**plan.meta, "content": ""}}
    made = await connection.create(plan.name, plan.settings, unfinished)
    there = {} if made else await connection.documents(plan.name)
    stale = [
        one for one in plan.documents if one.document_id not in there or there[one.document_id].digest != one.digest
    ]
    gone = sorted(there.keys() - {document.document_id for document in plan.documents})
    refusals = await connection.write(plan.name, [(one.document_id, one.source) for one in stale], gone)
    if refusals:
        raise EngineError(
            f"Elasticsearch at {connection.url} refused {len(refusals)} of {len(stale) + len(gone)} changes of index "
            f"'{plan.name}': {refusals_told(refusals)}; nothing else was switched over, load again when that is mended"
        )
    await connection.describe(plan.name, plan.meta)
    await connection.point_alias(plan.alias, plan.name, [name for name in current if name != plan.name])
    if plan.name in current:
        return _report(plan, known, "", (len(stale), len(gone)), ())
    dropped = await _drop_old(connection, plan, keep={plan.name, *current})
    reason = _why_new(current, plan.meta)
    return _report(plan, known, reason, (len(stale), len(gone)), dropped)


async def verify_index(connection: ElasticConnection, plan: IndexPlan) -> None:
    """See that the index of a plan is there and whole.

    Raises:
        EngineError: it is not; the message says why, for example that the embedding model has changed.
    """
    metas = {**await connection.metas(plan.alias), **await connection.metas(plan.name)}
    found = metas.get(plan.name)
    if found is None:
        raise EngineError(
            f"Elasticsearch at {connection.url} has no index for the answers of assistant '{plan.assistant}' as they "
            f"are now: {_why_new(metas, plan.meta)}; run 'kamerton answers load'"
        )
    if found.get("content") != plan.meta["content"]:
        raise EngineError(
            f"index '{plan.name}' in Elasticsearch at {connection.url} has other answers than assistant "
            f"'{plan.assistant}'; run 'kamerton answers load'"
        )
    stored = await connection.documents(plan.name)
    if {key: one.digest for key, one in stored.items()} != {one.document_id: one.digest for one in plan.documents}:
        raise EngineError(
            f"index '{plan.name}' in Elasticsearch at {connection.url} is incomplete or was changed by others; "
            "run 'kamerton answers load'"
        )


def _why_new(current: Mapping[str, Mapping[str, Any]], meta: Mapping[str, Any]) -> str:
    """How the index that the alias points to differs from the one that is wanted."""
    if not current:
        return "there is none yet"
    (found, *_) = current.values()
    if found.get("embedder") != meta["embedder"]:
        old, new = (model or "none" for model in (found.get("embedder"), meta["embedder"]))
        return f"the embedding model has changed from '{old}' to '{new}', and vectors of two models do not compare"
    if found.get("format") != meta["format"]:
        return "documents are made in another way now"
    if found.get("language") != meta["language"]:
        return f"the language has changed from '{found.get('language')}' to '{meta['language']}'"
    return "questions or synonyms have changed, and with them the space of all vectors or the analysis"


async def _drop_old(connection: ElasticConnection, plan: IndexPlan, keep: set[str]) -> tuple[str, ...]:
    indices = await connection.metas(f"{plan.alias}.*")
    old = sorted(name for name, meta in indices.items() if meta.get("assistant") == plan.assistant and name not in keep)
    for name in old:
        await connection.remove(name)
    return tuple(old)


def _report(
    plan: IndexPlan,
    known: Mapping[str, StoredDocument],
    reason: str,
    counts: tuple[int, int],
    dropped: tuple[str, ...],
) -> LoadReport:
    before = _digests({key: (one.answer_id, one.digest) for key, one in known.items()})
    now = _digests({one.document_id: (one.answer_id, one.digest) for one in plan.documents})
    changed = sorted(answer_id for answer_id in now.keys() & before.keys() if now[answer_id] != before[answer_id])
    return LoadReport(
        index=plan.name,
        new_index_because=reason,
        added=tuple(sorted(now.keys() - before.keys())),
        changed=tuple(changed),
        removed=tuple(sorted(before.keys() - now.keys())),
        unchanged=len(now.keys() & before.keys()) - len(changed),
        written=counts[0],
        deleted=counts[1],
        dropped_indices=dropped,
    )


def _digests(documents: Mapping[str, tuple[str, str]]) -> dict[str, frozenset[tuple[str, str]]]:
    """The documents of each answer."""
    grouped: dict[str, set[tuple[str, str]]] = {}
    for document_id, (answer_id, digest) in documents.items():
        grouped.setdefault(answer_id, set()).add((document_id, digest))
    return {answer_id: frozenset(found) for answer_id, found in grouped.items()}


def _listed(names: tuple[str, ...]) -> str:
    more = len(names) - _LISTED
    return ", ".join(names[:_LISTED]) + (f" and {more} more" if more > 0 else "")
