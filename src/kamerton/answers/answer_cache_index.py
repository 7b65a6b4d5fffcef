"""Kept questions by their meaning: a bounded index of vectors, and how one entry is written down."""

from __future__ import annotations

import base64
import hashlib
import json
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from kamerton.answers.answer_cache_words import QuestionWords
from kamerton.domain.embedding import Vectors

ENTRY_VERSION: Final = 1
"""Raised whenever entries are written or compared in another way: old ones are left to expire."""
_UNIT_TOLERANCE: Final = 1e-3


@dataclass(frozen=True, slots=True)
class KeptQuestion:
    """A question, what was answered, and what it is found by."""

    key: str
    question: str
    answer: str
    words: QuestionWords
    vector: Vectors
    """Float32 [dimensions], of length one."""


class QuestionIndex:
    """Up to `limit` questions; the least recently used goes. Belongs to the event loop."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._slots: OrderedDict[str, int] = OrderedDict()
        self._entries: list[KeptQuestion] = []
        self._vectors: Vectors | None = None

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: str) -> bool:
        return key in self._slots

    @property
    def keys(self) -> tuple[str, ...]:
        """Keys of all questions, the least recently used first."""
        return tuple(self._slots)

    def add(self, entry: KeptQuestion) -> str | None:
        """Add a question, or replace the one with its key; returns the key that had to go for it."""
        self.remove(entry.key)
        gone = next(iter(self._slots)) if len(self._entries) >= self._limit else None
        if gone is not None:
            self.remove(gone)
        if self._vectors is None or self._vectors.shape[1] != entry.vector.shape[0]:
            self._vectors = np.zeros((self._limit, entry.vector.shape[0]), dtype=np.float32)
        slot = len(self._entries)
        self._vectors[slot] = entry.vector
        self._entries.append(entry)
        self._slots[entry.key] = slot
        return gone

    def remove(self, key: str) -> None:
        """Forget a question, if it is here; the last one takes its place."""
        slot = self._slots.pop(key, None)
        if slot is None or self._vectors is None:
            return
        last = self._entries.pop()
        if slot < len(self._entries):
            self._entries[slot] = last
            self._vectors[slot] = self._vectors[len(self._entries)]
            self._slots[last.key] = slot

    def touch(self, key: str) -> None:
        """The question was used."""
        self._slots.move_to_end(key)

    def nearest(self, vector: Vectors, most: int) -> list[tuple[KeptQuestion, float]]:
        """The questions nearest in meaning with their cosine, nearest first."""
        if self._vectors is None or not self._entries:
            return []
        scores = self._vectors[: len(self._entries)] @ vector
        best = np.argsort(scores)[::-1][:most]
        return [(self._entries[slot], float(scores[slot])) for slot in best]

    def clear(self) -> None:
        """Forget everything."""
        self._slots.clear()
        self._entries.clear()


def encoded(entry: KeptQuestion, identity: str) -> bytes:
    """The entry as JSON; `identity` names the embedder that its vector comes from."""
    fields = {
        "version": ENTRY_VERSION,
        "embedder": identity,
        "question": entry.question,
        "answer": entry.answer,
        "vector": base64.b64encode(entry.vector.astype("<f4").tobytes()).decode(),
    }
    fields["sha256"] = _digest(fields)
    return json.dumps(fields).encode()


def decoded(content: bytes, identity: str, dimensions: int) -> tuple[str, str, Vectors] | None:
    """Question, answer and vector, or None when the bytes are damaged, foreign or of another embedder."""
    try:
        fields: dict[str, Any] = json.loads(content)
        claimed = fields.pop("sha256")
        facts = (fields["version"], fields["embedder"], claimed)
        question, answer = fields["question"], fields["answer"]
        vector = np.frombuffer(base64.b64decode(fields["vector"], validate=True), dtype="<f4").astype(np.float32)
        if facts != (ENTRY_VERSION, identity, _digest(fields)):
            return None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    texts = isinstance(question, str) and isinstance(answer, str) and bool(question.strip()) and bool(answer.strip())
    if not texts or len(vector) != dimensions or not is_unit(vector):
        return None
    return question, answer, vector


def is_unit(vector: Vectors) -> bool:
    """Whether a vector has the length one."""
    return abs(float(np.linalg.norm(vector)) - 1) < _UNIT_TOLERANCE


def _digest(fields: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()
