"""What an assistant understands: intents with their examples, read from parsed JSON, and prepared answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kamerton.domain.errors import AssistantError
from kamerton.intent_classifier.words import normalised


@dataclass(frozen=True, slots=True)
class IntentExamples:
    """An intent and what callers say for it."""

    name: str
    examples: tuple[str, ...]
    faq: bool = False
    """True when the caller announces a question: the turn is handed to the prepared answers instead of the scenario."""
    threshold: float | None = None
    """Least confidence (0 to 1) for this intent instead of the calibrated one."""


@dataclass(frozen=True, slots=True)
class FaqEntry:
    """A prepared answer and the ways to ask for it."""

    faq_id: str
    question: str
    answer: str
    variants: tuple[str, ...] = ()
    wav: str | None = None
    """File name of a recording that replaces the synthesised answer."""

    @property
    def questions(self) -> tuple[str, ...]:
        """The question and its variants."""
        return (self.question, *self.variants)


def parse_intents(document: Any, assistant: str) -> tuple[IntentExamples, ...]:
    """Read the content of `intents.json`.

    Raises:
        AssistantError: with every fault of the document at once.
    """
    problems: list[str] = []
    entries = document.get("intents") if isinstance(document, Mapping) else None
    if not isinstance(entries, Mapping):
        raise AssistantError(assistant, ('intents.json: needs an object {"intents": {name: {"examples": […]}}}',))
    intents = [_intent(name, entry, problems) for name, entry in entries.items()]
    seen: dict[str, str] = {}
    for intent in intents:
        for example in intent.examples:
            owner = seen.setdefault(normalised(example), intent.name)
            if owner != intent.name:
                problems.append(f"intents.json: «{example}» is an example of both '{owner}' and '{intent.name}'")
    if problems:
        raise AssistantError(assistant, tuple(problems))
    return tuple(intents)


def _intent(name: str, entry: Any, problems: list[str]) -> IntentExamples:
    place = f"intents.json: intent '{name}'"
    if not isinstance(entry, Mapping):
        problems.append(f"{place} must be an object")
        return IntentExamples(name, ())
    unknown = sorted(set(entry) - {"examples", "faq", "threshold"})
    if unknown:
        problems.append(f"{place} has unknown keys: {', '.join(unknown)}")
    examples = _texts(entry.get("examples"), f"{place}: 'examples'", problems)
    faq, threshold = entry.get("faq", False), entry.get("threshold")
    if not isinstance(faq, bool):
        problems.append(f"{place}: 'faq' must be true or false")
    if threshold is not None and not (isinstance(threshold, int | float) and 0 <= threshold <= 1):
        problems.append(f"{place}: 'threshold' must be a number from 0 to 1")
        threshold = None
    return IntentExamples(name, examples, faq is True, threshold)


def _texts(value: Any, place: str, problems: list[str]) -> tuple[str, ...]:
    good = isinstance(value, list) and all(isinstance(text, str) and normalised(text) for text in value)
    if not good or not value:
        problems.append(f"{place} must be a list of texts with words in them")
        return ()
    return tuple(value)
