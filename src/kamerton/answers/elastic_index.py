"""The Elasticsearch index of an assistant's prepared answers: its name, its analysis, its documents.

One document per question. The name of an index ends in a hash of all that fixes how its documents are searched:
analysis, synonyms, embedding model and the vectors themselves. A process asks only the index that fits its own vectors
and synonyms, so vectors of two models, or of two catalogues with another common direction, never meet; the alias
without the hash points to the index that was loaded last.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from kamerton.answers.catalogue import AnswerEntry
from kamerton.answers.keyword_search_words import language_code, normalised
from kamerton.answers.vector_search import QuestionVectors
from kamerton.domain.errors import ConfigurationError

INDEX_FORMAT: Final = 1
"""Raise it whenever documents are made in another way."""
PREFIX: Final = "kamerton-answers"
LARGEST_K: Final = 10_000
"""Elasticsearch's limit on `num_candidates` and on the hits of one search."""

_STOP: Final = {
    "ru": (
        "а бы вам вас вот вы да девушка для добрый день же здравствуйте знать и или интересует как какая какие какой "
        "ли меня мне мой могу можно мы на нам нас ну о об он она они от пожалуйста по подскажите при про с скажите так "
        "там то тут у уже хотел хотела хочу что это этот я"
    ),
    "uk": (
        "а або б би будь ви вам вас від він вона вони ось дівчина для добрий день до же з за і й знати на нам нас "
        "ну о ласка мене мені мій можна можу ми підкажіть по при про скажіть так там та те то тут у цей це цікавить "
        "чи що як яка який які я хотів хотіла хочу"
    ),
}
"""Courtesy, pronouns and particles. Not the built-in lists: theirs drop «где», «когда» and «не», which tell
questions apart."""

_STEMMER: Final[Mapping[str, Mapping[str, Any]]] = {
    "ru": {"type": "stemmer", "language": "light_russian"},
    "uk": {"type": "truncate", "length": 6},
}
"""Elasticsearch has no Ukrainian stemmer outside a plugin, and the plugin's analyser takes no synonyms; the first six
letters are the same in most forms of a word."""


@dataclass(frozen=True, slots=True)
class IndexDocument:
    """One question as it is stored."""

    document_id: str
    answer_id: str
    digest: str
    """Hash of the texts, by which a load sees what has changed."""
    source: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class IndexPlan:
    """What the index of an assistant should be, to the last document."""

    assistant: str
    name: str
    alias: str
    settings: Mapping[str, Any]
    mappings: Mapping[str, Any]
    documents: tuple[IndexDocument, ...]
    most_questions: int
    """Questions of the answer that has most of them."""

    @property
    def meta(self) -> Mapping[str, Any]:
        """The `_meta` that the index has when it is whole: assistant, language, model and content hash."""
        meta: Mapping[str, Any] = self.mappings["_meta"]
        return meta


def plan_index(
    assistant: str, entries: Sequence[AnswerEntry], language: str, questions: QuestionVectors | None
) -> IndexPlan:
    """The index of a catalogue. Takes a few milliseconds per hundred questions.

    Args:
        assistant: its folder's name; becomes part of the index's name.
        entries: the catalogue.
        language: `ru` or `uk`.
        questions: the vectors of the same catalogue; None for an index that is searched by words alone.

    Raises:
        ConfigurationError: the language is unknown, or the vectors belong to another catalogue.
    """
    code = language_code(language)
    documents = _documents(entries, _vectors_of(entries, questions))
    settings = _settings(code, _synonym_rules(entries, frozenset(_STOP[code].split())))
    properties = _properties(0 if questions is None else questions.vectors.shape[1])
    embedder = "" if questions is None else questions.identity
    vectors = b"" if questions is None else questions.vectors.tobytes()
    structure = _hash([INDEX_FORMAT, assistant, settings, properties, embedder, hashlib.sha256(vectors).hexdigest()])
    meta = {
        "format": INDEX_FORMAT,
        "assistant": assistant,
        "language": code,
        "embedder": embedder,
        "content": _hash(sorted((document.document_id, document.digest) for document in documents)),
    }
    counts = [len(entry.questions) for entry in entries]
    return IndexPlan(
        assistant=assistant,
        name=f"{PREFIX}.{assistant}.{structure[:12]}",
        alias=f"{PREFIX}.{assistant}",
        settings=settings,
        mappings={"dynamic": "strict", "_meta": meta, "properties": properties},
        documents=documents,
        most_questions=max(counts, default=1),
    )


def _vectors_of(entries: Sequence[AnswerEntry], questions: QuestionVectors | None) -> list[list[float] | None]:
    """The vector of each question in order. A zero vector has no cosine, and Elasticsearch refuses it: None."""
    owners = tuple(entry.answer_id for entry in entries for _ in entry.questions)
    if questions is None:
        return [None] * len(owners)
    if questions.answer_ids != owners:
        raise ConfigurationError(
            f"the vectors are those of {len(questions.answer_ids)} questions, the catalogue has {len(owners)} or "
            "others; prepare the vectors from the same data.json"
        )
    lengths = np.linalg.norm(questions.vectors, axis=1)
    return [row.tolist() if length > 0.5 else None for row, length in zip(questions.vectors, lengths, strict=True)]


def _documents(entries: Sequence[AnswerEntry], vectors: Sequence[list[float] | None]) -> tuple[IndexDocument, ...]:
    asked = [(entry, question) for entry in entries for question in entry.questions]
    found: dict[str, IndexDocument] = {}
    for (entry, question), vector in zip(asked, vectors, strict=True):
        document_id = f"{entry.answer_id}:{_hash(normalised(question))[:16]}"
        digest = _hash([entry.answer_id, question, entry.answer])
        source: dict[str, Any] = {
            "answer_id": entry.answer_id,
            "question": question,
            "answer": entry.answer,
            "digest": digest,
        }
        if vector is not None:
            source["vector"] = vector
        found.setdefault(document_id, IndexDocument(document_id, entry.answer_id, digest, source))
    return tuple(found.values())


def _synonym_rules(entries: Sequence[AnswerEntry], stop: frozenset[str]) -> list[str]:
    """Rules of the form `a, b c`. They hold for the whole index, where the in-process search keeps them to their entry.

    Stop words go: a search term that no document has would make a phrase unfindable.
    """
    rules: set[str] = set()
    for entry in entries:
        for group in entry.synonyms:
            members = {" ".join(word for word in normalised(text).split() if word not in stop) for text in group}
            members.discard("")
            if len(members) > 1:
                rules.add(", ".join(sorted(members)))
    return sorted(rules)


def _settings(language: str, synonym_rules: Sequence[str]) -> Mapping[str, Any]:
    """Analysis of questions and of what callers say.

    Synonyms stand behind the stemmer, whose output their rules pass too, so that inflected words find them; stop words
    are left out of the documents only, because a stop filter before `synonym_graph` makes rules invalid.
    """
    filters: dict[str, Any] = {
        "stop_words": {"type": "stop", "stopwords": _STOP[language].split()},
        "word_forms": dict(_STEMMER[language]),
    }
    asked = ["lowercase", "word_forms"]
    if synonym_rules:
        filters["meanings"] = {"type": "synonym_graph", "synonyms": list(synonym_rules)}
        asked.append("meanings")
    folding = {"type": "mapping", "mappings": ["ё => е", "Ё => Е", "ґ => г", "Ґ => Г", "' => ", "’ => ", "ʼ => "]}
    shared = {"type": "custom", "tokenizer": "standard", "char_filter": ["folding"]}
    return {
        "index": {
            "number_of_shards": 1,
            "auto_expand_replicas": "0-1",
            "analysis": {
                "char_filter": {"folding": folding},
                "filter": filters,
                "analyzer": {
                    "stored_text": {**shared, "filter": ["lowercase", "stop_words", "word_forms"]},
                    "asked_text": {**shared, "filter": asked},
                },
            },
        }
    }


def _properties(dimensions: int) -> Mapping[str, Any]:
    text = {"type": "text", "analyzer": "stored_text", "search_analyzer": "asked_text"}
    properties: dict[str, Any] = {
        "answer_id": {"type": "keyword"},
        "digest": {"type": "keyword", "index": False},
        "question": text,
        "answer": text,
    }
    if dimensions:
        # Exact search over plain floats: the default of large vectors is quantised, and the calibration was not.
        properties["vector"] = {
            "type": "dense_vector",
            "dims": dimensions,
            "similarity": "cosine",
            "index_options": {"type": "flat"},
        }
    return properties


def _hash(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, ensure_ascii=False, sort_keys=True).encode()).hexdigest()
