"""The prepared answers of an assistant, read from its parsed `data.json`.

An entry:

    {"id": "documents", "question": "Какие нужны документы?", "variants": ["Какие бумаги взять"],
     "synonyms": {"документы": ["бумаги", "справки"]}, "answer": "Понадобятся паспорт и …",
     "wav": "documents.wav", "redis_key": "answers:documents"}

`synonyms` holds for this entry only: wherever one of the words stands in its questions, the others of the group are
understood as well.

`not_answered.json` beside it is a list of questions that none of the entries answers, near misses first («где купить
зелёную карту» beside «нужна ли зелёная карта»). They take part in both searches: what is closest to one of them gets
no prepared answer.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from kamerton.answers.keyword_search_words import normalised
from kamerton.domain.errors import AssistantError

KEYS: Final = ("id", "question", "variants", "synonyms", "answer", "wav", "redis_key")
"""What an entry of `data.json` may hold."""

NOT_ANSWERED: Final = "not answered: "
"""What the ids of questions without an answer begin with; the question follows."""

_LONGEST_NOT_ANSWERED: Final = 200
"""Characters: the question is part of an id, and Elasticsearch takes ids of 512 bytes."""

_REDIS_KEY = re.compile(r"[A-Za-z0-9._-]+(?::[A-Za-z0-9._-]+)*")
_LONGEST_REDIS_KEY: Final = 200


@dataclass(frozen=True, slots=True)
class AnswerEntry:
    """A prepared answer and the ways to ask for it, or a question that is known to have none."""

    answer_id: str
    question: str
    answer: str
    """What is said; empty when the question has no prepared answer."""
    variants: tuple[str, ...] = ()
    synonyms: tuple[tuple[str, ...], ...] = ()
    """Groups of words and phrases that mean the same in this entry's questions."""
    wav: str | None = None
    """File name of a recording that replaces the synthesised answer."""
    redis_key: str | None = None
    """Key under which the answer's audio is shared; None for the usual one."""

    @property
    def questions(self) -> tuple[str, ...]:
        """The question and its variants."""
        return (self.question, *self.variants)

    @property
    def is_answered(self) -> bool:
        """False for a question that only keeps the answers of others from being given."""
        return bool(self.answer)

    @property
    def digest(self) -> str:
        """Hash of everything the author wrote: two entries with the same digest need the same index and audio."""
        content = [self.answer_id, self.question, self.answer, self.variants, self.synonyms, self.wav, self.redis_key]
        return hashlib.sha256(json.dumps(content, ensure_ascii=False).encode()).hexdigest()

    def audio_key(self, assistant: str) -> str:
        """Key of the answer's audio in a cache that processes share."""
        return self.redis_key or f"answers:{assistant}:{self.answer_id}"


def parse_answers(document: Any, assistant: str) -> tuple[AnswerEntry, ...]:
    """Read the content of `data.json`.

    Raises:
        AssistantError: with every fault of the document at once, each with its place.
    """
    if not isinstance(document, Sequence) or isinstance(document, str):
        raise AssistantError(assistant, ("data.json: needs a list of entries",))
    problems: list[str] = []
    entries = [_entry(index, value, problems) for index, value in enumerate(document)]
    _check_unique(entries, problems)
    if problems:
        raise AssistantError(assistant, tuple(problems))
    return tuple(entries)


def parse_not_answered(document: Any, assistant: str, answers: Sequence[AnswerEntry]) -> tuple[AnswerEntry, ...]:
    """Read the content of `not_answered.json`: entries without an answer, one for each question.

    Args:
        document: the parsed file.
        assistant: whose it is.
        answers: the entries of `data.json`, which must not be asked for by one of these questions.

    Raises:
        AssistantError: with every fault of the document at once, each with its place.
    """
    problems: list[str] = []
    file = "not_answered.json"
    owners = {normalised(question): entry.answer_id for entry in answers for question in entry.questions}
    places: dict[str, int] = {}
    texts = _texts(document, file, problems)
    for index, text in enumerate(texts):
        question = normalised(text)
        first = places.setdefault(question, index)
        if first != index and text:
            problems.append(f"{file}[{index}]: «{text}» is already question {first}; remove one of them")
        if len(question) > _LONGEST_NOT_ANSWERED:
            problems.append(f"{file}[{index}] has {len(question)} characters, {_LONGEST_NOT_ANSWERED} at most")
        if question in owners:
            problems.append(f"{file}[{index}]: «{text}» asks for '{owners[question]}' of data.json; keep one of them")
    if problems:
        raise AssistantError(assistant, tuple(problems))
    return tuple(AnswerEntry(f"{NOT_ANSWERED}{question}", texts[index], "") for question, index in places.items())


def _entry(index: int, value: Any, problems: list[str]) -> AnswerEntry:
    place = f"data.json: entry {index}"
    if not isinstance(value, Mapping):
        problems.append(f"{place} must be an object")
        return AnswerEntry(str(index), "", "")
    unknown = sorted(str(key) for key in set(value) - set(KEYS))
    if unknown:
        problems.append(f"{place} has unknown keys: {', '.join(unknown)}; known are {', '.join(KEYS)}")
    return AnswerEntry(
        answer_id=_text(value.get("id"), f"{place}: 'id'", problems),
        question=_text(value.get("question"), f"{place}: 'question'", problems),
        answer=_text(value.get("answer"), f"{place}: 'answer'", problems),
        variants=_texts(value.get("variants", []), f"{place}: 'variants'", problems),
        synonyms=_synonyms(value.get("synonyms", {}), f"{place}: 'synonyms'", problems),
        wav=_wav(value.get("wav"), place, problems),
        redis_key=_redis_key(value.get("redis_key"), place, problems),
    )


def _text(value: Any, place: str, problems: list[str]) -> str:
    if isinstance(value, str) and normalised(value):
        return value
    problems.append(f"{place} must be a text with words in it")
    return ""


def _texts(value: Any, place: str, problems: list[str]) -> tuple[str, ...]:
    if not isinstance(value, list):
        problems.append(f"{place} must be a list of texts")
        return ()
    return tuple(_text(text, f"{place}[{number}]", problems) for number, text in enumerate(value))


def _synonyms(value: Any, place: str, problems: list[str]) -> tuple[tuple[str, ...], ...]:
    if not isinstance(value, Mapping):
        problems.append(f'{place} must be an object {{"word": ["another word", …]}}')
        return ()
    groups = []
    for word, others in value.items():
        group = f"{place}.{word}"
        if not isinstance(others, list) or not others:
            problems.append(f"{group} must be a list of words or phrases with at least one in it")
            continue
        groups.append((_text(word, group, problems), *_texts(others, group, problems)))
    return tuple(groups)


def _wav(value: Any, place: str, problems: list[str]) -> str | None:
    if value is None or (isinstance(value, str) and value.endswith(".wav") and "/" not in value and "\\" not in value):
        return value
    problems.append(f"{place}: 'wav' must be the name of a .wav file in the folder audio, not {value!r}")
    return None


def _redis_key(value: Any, place: str, problems: list[str]) -> str | None:
    if value is None:
        return None
    if isinstance(value, str) and len(value) <= _LONGEST_REDIS_KEY and _REDIS_KEY.fullmatch(value):
        return value
    problems.append(
        f"{place}: 'redis_key' must be parts of Latin letters, digits, '.', '_' and '-' joined by ':', not {value!r}"
    )
    return None


def _check_unique(entries: Sequence[AnswerEntry], problems: list[str]) -> None:
    ids: dict[str, int] = {}
    keys: dict[str, str] = {}
    askers: dict[str, str] = {}
    for index, entry in enumerate(entries):
        first = ids.setdefault(entry.answer_id, index)
        if first != index and entry.answer_id:
            problems.append(f"data.json: entry {index}: id '{entry.answer_id}' is already that of entry {first}")
        if entry.redis_key is not None and keys.setdefault(entry.redis_key, entry.answer_id) != entry.answer_id:
            owner = keys[entry.redis_key]
            problems.append(f"data.json: entry {index}: redis_key '{entry.redis_key}' is already that of '{owner}'")
        for question in entry.questions:
            owner = askers.setdefault(normalised(question), entry.answer_id)
            if owner != entry.answer_id and question:
                problems.append(
                    f"data.json: entry {index}: «{question}» asks for both '{owner}' and '{entry.answer_id}'; "
                    "keep one of them"
                )
