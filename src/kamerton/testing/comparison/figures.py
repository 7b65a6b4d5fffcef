"""The figures of a comparison, as a table for people and as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import numpy as np

from kamerton.domain.audio import FRAME_MS
from kamerton.testing.comparison.entities import ENTITY_NAMES, EntityName, EntityScore, entity_scores
from kamerton.testing.comparison.run import Hearing
from kamerton.testing.comparison.samples import Sample
from kamerton.testing.comparison.words import WordErrors, normalised_words, word_errors

ABSENT: Final = "–"
NO_WORDS: Final = WordErrors(0)


@dataclass(frozen=True, slots=True)
class Compared:
    """How one recogniser did."""

    engine: str
    """As in the settings."""
    name: str = ""
    """The recogniser's own name, which tells its model."""
    problem: str = ""
    """Why it could not be opened; then there is nothing else."""
    hearings: tuple[Hearing, ...] = ()
    errors: WordErrors = NO_WORDS
    """Of the recordings that were transcribed."""
    entities: Mapping[EntityName, EntityScore] = field(default_factory=dict)
    cpu_s_per_minute: float | None = None
    """Processor time of this process per minute of audio; None for services."""


def compared(
    engine: str, name: str, samples: Sequence[Sample], hearings: Sequence[Hearing], language: str, cpu_s: float | None
) -> Compared:
    """Judge what a recogniser heard."""
    errors = NO_WORDS
    entities = dict.fromkeys(ENTITY_NAMES, EntityScore())
    for sample, hearing in zip(samples, hearings, strict=True):
        if hearing.failure:
            continue
        errors += word_errors(normalised_words(sample.text, language), normalised_words(hearing.text, language))
        for kind, score in entity_scores(sample.text, hearing.text, language).items():
            entities[kind] += score
    minutes = sum(len(sample.frames) for sample in samples) * FRAME_MS / 60_000
    return Compared(engine, name, "", tuple(hearings), errors, entities, cpu_s / minutes if cpu_s is not None else None)


def table(results: Sequence[Compared]) -> str:
    """A row for each figure, a column for each recogniser."""
    rows = [("", *(result.engine for result in results)), *_rows(results)]
    widths = [max(len(row[place]) for row in rows) for place in range(len(results) + 1)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    problems = [f"{result.engine} could not be opened: {result.problem}" for result in results if result.problem]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:], *problems])


def differences(result: Compared, samples: Sequence[Sample], language: str) -> list[str]:
    """What was heard wrong, for people: recording, what was said, what was heard or why nothing was."""
    lines = []
    for sample, hearing in zip(samples, result.hearings, strict=True):
        if hearing.failure:
            lines.append(f"{sample.name}: {hearing.failure}")
        elif normalised_words(sample.text, language) != normalised_words(hearing.text, language):
            lines.append(f"{sample.name}: «{sample.text}» heard as «{hearing.text}»")
    return lines


def as_json(results: Sequence[Compared], samples: Sequence[Sample]) -> list[dict[str, Any]]:
    """Everything, each recording with its reference."""
    said = {sample.name: sample.text for sample in samples}
    return [
        {
            "engine": result.engine,
            "name": result.name,
            "problem": result.problem,
            "figures": _figures(result),
            "recordings": [{"reference": said[hearing.sample], **asdict(hearing)} for hearing in result.hearings],
        }
        for result in results
    ]


def _figures(result: Compared) -> dict[str, Any]:
    heard = [hearing for hearing in result.hearings if not hearing.failure]
    errors = result.errors
    return {
        "wer": errors.errors / errors.words if errors.words else None,
        **asdict(errors),
        "entities": {name: asdict(score) for name, score in result.entities.items()},
        "final_ms": _spread([hearing.final_ms for hearing in heard]),
        "after_speech_ms": _spread([hearing.after_speech_ms for hearing in heard]),
        "first_words_ms": _spread([hearing.first_words_ms for hearing in heard]),
        "cpu_s_per_minute": result.cpu_s_per_minute,
        "recordings": len(result.hearings),
        "failures": len(result.hearings) - len(heard),
    }


def _spread(values: Sequence[float | None]) -> dict[str, float] | None:
    known = [value for value in values if value is not None]
    if not known:
        return None
    return {"p50": float(np.percentile(known, 50)), "p95": float(np.percentile(known, 95)), "count": len(known)}


def _rows(results: Sequence[Compared]) -> list[tuple[str, ...]]:
    figures = [_figures(result) for result in results]
    rows = [
        ("recogniser", *(result.name or ABSENT for result in results)),
        ("word error rate", *(_share(one["wer"]) for one in figures)),
        ("wrong, missing, invented words", *(_errors(one) for one in figures)),
    ]
    rows += [(f"{name} right", *(_entities(result.entities.get(name)) for result in results)) for name in ENTITY_NAMES]
    for title, key in (
        ("end of turn → transcript p50, p95", "final_ms"),
        ("end of speech → transcript p50, p95", "after_speech_ms"),
        ("begin of turn → first words p50, p95", "first_words_ms"),
    ):
        rows.append((title, *(_times(one[key]) for one in figures)))
    rows.append(("CPU per minute of audio", *(_seconds(one["cpu_s_per_minute"]) for one in figures)))
    rows.append(("failed", *(_failures(one) for one in figures)))
    return [row for row in rows if any(cell != ABSENT for cell in row[1:])]


def _share(value: float | None) -> str:
    return ABSENT if value is None else f"{100 * value:.1f} %"


def _errors(figures: Mapping[str, Any]) -> str:
    if not figures["words"]:
        return ABSENT
    wrong = ", ".join(str(figures[kind]) for kind in ("substitutions", "deletions", "insertions"))
    return f"{wrong} of {figures['words']}"


def _failures(figures: Mapping[str, Any]) -> str:
    return f"{figures['failures']} of {figures['recordings']}" if figures["recordings"] else ABSENT


def _entities(score: EntityScore | None) -> str:
    if score is None or not (score.wanted or score.invented):
        return ABSENT
    return f"{score.found} of {score.wanted}" + (f", {score.invented} invented" if score.invented else "")


def _times(spread: Mapping[str, float] | None) -> str:
    return ABSENT if spread is None else f"{spread['p50']:.0f}, {spread['p95']:.0f} ms"


def _seconds(value: float | None) -> str:
    return ABSENT if value is None else f"{value:.1f} s"
