"""Search by meaning in process: the vectors of all questions, prepared once and kept on disk.

The file is an `.npz` without pickle; its header names the embedding model, so vectors of two models are never compared,
and every question, so that a changed catalogue costs only its new questions.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np

from kamerton.answers.catalogue import AnswerEntry
from kamerton.answers.catalogue_search import Ranked
from kamerton.answers.keyword_search_words import normalised
from kamerton.answers.question_classifier import QuestionClassifier
from kamerton.domain.embedding import Embedder, Vectors
from kamerton.domain.errors import EngineError
from kamerton.domain.work import Worker

PREPARATION_VERSION: Final = 1
"""Raise it whenever texts are prepared in another way: stored vectors become stale."""

_COMPARED: Final = 1000
_LEAST_COMPARED: Final = 200
_HARDLY_EVER: Final = 0.9999
"""Questions that are compared with each other, and how seldom strangers may come closer."""
_BATCH: Final = 100
"""Questions embedded between two reports of progress."""

_log = logging.getLogger(__name__)


class _Stale(Exception):
    """The stored vectors cannot be used; says why."""


@dataclass(frozen=True, slots=True)
class Preparation:
    """What preparing the vectors came to."""

    computed: int
    reused: int
    reason: str = ""
    """Why nothing could be reused, if so."""


class QuestionVectors:
    """The questions of a catalogue as unit vectors, without the direction that all of them share.

    The cosines of e5 models lie between 0.75 and 0.95 for any two sentences and spread out once that direction is
    gone. Immutable; may be used from any thread. Questions are embedded as wordings, like what callers say.

    A search engine of another process indexes `vectors` and asks with `query`.
    """

    def __init__(self, answer_ids: Sequence[str], raw: Vectors, embedder: Embedder) -> None:
        self._embedder = embedder
        self._identity = embedder.identity
        self._center = raw.mean(axis=0) if len(raw) else np.zeros(raw.shape[1], dtype=np.float32)
        self.answer_ids: tuple[str, ...] = tuple(answer_ids)
        """The answer of each vector."""
        self.vectors: Vectors = _centred(raw, self._center)
        """One row per question: float32 [questions, dimensions], each of length one."""
        self._classifier = QuestionClassifier(self.answer_ids, self.vectors)
        self.strangers: float | None = _strangers(self.answer_ids, raw)
        """Cosine, as the embedder gives it, that two questions of different answers hardly ever exceed; None where
        there are too few questions to tell; 0.95 for multilingual-e5-small and the shipped catalogue."""

    @classmethod
    def prepare(
        cls,
        entries: Sequence[AnswerEntry],
        embedder: Embedder,
        path: Path,
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> tuple[QuestionVectors, Preparation]:
        """Load the vectors of all questions from a file, compute what it does not have, and store the whole.

        A file of another model, or a broken one, is replaced. A folder that cannot be written to costs only the next
        start's time: it is logged, not raised. Blocking: up to 20 ms per new question; `progress` is told how many of
        them are done, at least every second or so.

        Raises:
            EngineError: the embedder failed.
        """
        texts = [normalised(text) for entry in entries for text in entry.questions]
        owners = [entry.answer_id for entry in entries for _ in entry.questions]
        identity = embedder.identity
        stored, reason = _stored(path, identity)
        missing = [text for text in dict.fromkeys(texts) if _digest(text) not in stored]
        if missing:
            fresh = _embedded(missing, embedder, progress)
            if stored and fresh.shape[1] != len(next(iter(stored.values()))):
                return cls._prepared_anew(entries, embedder, path, progress)
            stored = {**stored, **dict(zip(map(_digest, missing), fresh, strict=True))}
        raw = np.stack([stored[_digest(text)] for text in texts]) if texts else np.zeros((0, 0), dtype=np.float32)
        if missing or len(stored) != len(set(texts)):
            _keep(path, identity, [_digest(text) for text in texts], raw)
        return cls(owners, raw, embedder), Preparation(len(missing), len(set(texts)) - len(missing), reason)

    @classmethod
    def _prepared_anew(
        cls, entries: Sequence[AnswerEntry], embedder: Embedder, path: Path, progress: Callable[[int, int], None]
    ) -> tuple[QuestionVectors, Preparation]:
        path.unlink()
        return cls.prepare(entries, embedder, path, progress)

    @property
    def identity(self) -> str:
        """The embedding model of these vectors."""
        return self._identity

    def query(self, text: str) -> Vectors:
        """The vector of a text in this space: float32 [dimensions]. Blocking: 10 to 30 ms with a local model.

        Raises:
            EngineError: the embedder failed, or is another one than at the preparation.
        """
        now = self._embedder.identity
        if now != self._identity:
            raise EngineError(
                f"the vectors of the prepared answers were made by '{self._identity}', the embedding model now is "
                f"'{now}'; prepare them again (kamerton answers load)"
            )
        vectors = self._embedder.query([normalised(text)])
        if vectors.shape != (1, self.vectors.shape[1]):
            raise EngineError(
                f"embedding model '{now}' gave a vector of shape {vectors.shape}, the prepared answers have "
                f"{self.vectors.shape[1]} dimensions; prepare them again (kamerton answers load)"
            )
        return np.asarray(_centred(vectors, self._center)[0], dtype=np.float32)

    def ranked(self, cosines: Iterable[tuple[str, float]], vector: Vectors, limit: int) -> tuple[Ranked, ...]:
        """Answers by their closest question, best first, with their leads.

        Args:
            cosines: of questions to the text: the answer of each, and the cosine.
            vector: of the text (`query`).
            limit: answers at most.
        """
        best: dict[str, float] = {}
        for answer_id, cosine in cosines:
            best[answer_id] = max(cosine, best.get(answer_id, cosine))
        leads = self._classifier.leads(vector)
        order = sorted(best.items(), key=lambda item: -item[1])[:limit]
        return tuple(Ranked(answer_id, cosine, leads.get(answer_id, 0.0)) for answer_id, cosine in order)


class VectorSearch:
    """Search by meaning over all questions as a half of the race (`AnswerSearcher`)."""

    def __init__(self, questions: QuestionVectors, worker: Worker) -> None:
        self._questions = questions
        self._worker = worker

    @property
    def name(self) -> str:
        """See `AnswerSearcher.name`."""
        return "vectors"

    async def search(self, text: str, limit: int) -> tuple[Ranked, ...]:
        """See `AnswerSearcher.search`; when cancelled, the model still finishes its text in its thread."""
        return await self._worker.run(partial(self._search, text, limit))

    def _search(self, text: str, limit: int) -> tuple[Ranked, ...]:
        if not self._questions.answer_ids:
            return ()
        vector = self._questions.query(text)
        cosines = (self._questions.vectors @ vector).tolist()
        return self._questions.ranked(zip(self._questions.answer_ids, cosines, strict=True), vector, limit)


def _centred(vectors: Vectors, center: Vectors) -> Vectors:
    """Without a direction, and of length one again."""
    moved = vectors - center
    return np.asarray(moved / np.maximum(np.linalg.norm(moved, axis=1, keepdims=True), 1e-9), dtype=np.float32)


def _strangers(answer_ids: Sequence[str], raw: Vectors) -> float | None:
    """See `QuestionVectors.strangers`; of larger catalogues an even share is looked at."""
    step = -(-len(answer_ids) // _COMPARED)
    owners, chosen = np.array(answer_ids)[:: step or 1], raw[:: step or 1]
    if len(owners) < _LEAST_COMPARED:
        return None
    apart = (owners[:, None] != owners[None, :]) & np.triu(np.ones((len(owners), len(owners)), dtype=bool), 1)
    cosines = (chosen @ chosen.T)[apart]
    return float(np.quantile(cosines, _HARDLY_EVER)) if len(cosines) else None


def _embedded(texts: Sequence[str], embedder: Embedder, progress: Callable[[int, int], None]) -> Vectors:
    rows: list[Vectors] = []
    for start in range(0, len(texts), _BATCH):
        progress(start, len(texts))
        rows.append(embedder.wordings(texts[start : start + _BATCH]))
    return np.concatenate(rows)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _stored(path: Path, identity: str) -> tuple[Mapping[str, Vectors], str]:
    """The vectors of a file by the digest of their texts; none, and why, when it cannot be used."""
    try:
        return _load(path, identity), ""
    except _Stale as reason:
        _log.info("vectors of prepared answers are made anew", extra={"path": str(path), "reason": str(reason)})
        return {}, str(reason)


def _load(path: Path, identity: str) -> Mapping[str, Vectors]:
    if not path.exists():
        raise _Stale("there are none yet")
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            header = json.loads(stored["header"].tobytes().decode("utf-8"))
            version, model, digests = header["version"], header["embedder"], header["texts"]
            vectors = stored["vectors"]
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise _Stale(f"the file is corrupt: {error}") from error
    if version != PREPARATION_VERSION:
        raise _Stale("texts are prepared in another way now")
    if model != identity:
        raise _Stale(f"the embedding model has changed from '{model}' to '{identity}'")
    if vectors.ndim != 2 or vectors.dtype != np.float32 or len(vectors) != len(digests):
        raise _Stale("the vectors have the wrong shape")
    if not np.isfinite(vectors).all():
        raise _Stale("some vectors are no numbers")
    return dict(zip(digests, vectors, strict=True))


def _keep(path: Path, identity: str, digests: Sequence[str], vectors: Vectors) -> None:
    try:
        _save(path, {"version": PREPARATION_VERSION, "embedder": identity, "texts": list(digests)}, vectors)
    except OSError as error:
        _log.warning(
            "vectors of prepared answers cannot be stored; the next start prepares them again",
            extra={"path": str(path), "reason": str(error)},
        )


def _save(path: Path, header: Mapping[str, object], vectors: Vectors) -> None:
    """Write beside the target, then rename: a reader sees the old file or the new one, never a half."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            encoded = np.frombuffer(json.dumps(header).encode("utf-8"), dtype=np.uint8)
            np.savez(file, header=encoded, vectors=vectors)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
