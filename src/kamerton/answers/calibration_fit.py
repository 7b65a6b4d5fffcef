"""Learns from labelled questions when an answer is sure enough: a logistic weighing and thresholds.

Only questions of the part `fit` are learned from. Thresholds are chosen on probabilities that each question gets from a
weighing fitted without it, so that they hold for questions that nobody has seen.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, cast

import numpy as np
from numpy.typing import NDArray

from kamerton.answers.calibration import (
    MEANING_FEATURES,
    WORD_FEATURES,
    Calibration,
    Evidence,
    OperatingPoint,
    judge,
    strong_hit,
)
from kamerton.domain.errors import ConfigurationError

Part = Literal["fit", "held"]
PARTS: Final = ("fit", "held")

TARGET_PRECISION: Final = 0.97
"""Of the answers given, at least this share is right: a wrong answer is worse than none."""
_FOLDS: Final = 10
_RIDGE: Final = 1.0
_STEPS: Final = 30
_SHOWN_WRONG: Final = 0.5
"""Of the wrong answers that the precision allows, the share that the questions to fit may show: whoever writes the
catalogue knows them, and questions that nobody has seen do worse."""
_MISSED_WRONG: Final = 0.5
"""Wrong answers supposed beyond those seen: a threshold with no wrong answer among a handful proves nothing."""
_NEVER: Final = 1.0
_STRONGEST: Final = 0.999
_STRONG_LIKENESS: Final = tuple(round(0.90 + 0.01 * step, 2) for step in range(10))

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class LabelledQuestion:
    """What a caller may say, and the answer that it deserves: None when there is none."""

    text: str
    answer_id: str | None
    part: Part


@dataclass(frozen=True, slots=True)
class Sample:
    """A labelled question with the evidence that both searches found."""

    question: LabelledQuestion
    evidence: tuple[Evidence, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What would be answered to a sample, and how sure."""

    sample: Sample
    answer_id: str | None
    """The best candidate, whether it would be given or not."""
    probability: float
    given: bool

    @property
    def right(self) -> bool:
        """Whether the best candidate is the right one."""
        return self.answer_id is not None and self.answer_id == self.sample.question.answer_id


@dataclass(frozen=True, slots=True)
class Fit:
    """A calibration and what its own questions get from weighings fitted without them."""

    calibration: Calibration
    precision: float
    """What was asked for."""
    unseen: tuple[Outcome, ...]


def parse_labelled(document: Any, place: str, answer_ids: Collection[str]) -> tuple[LabelledQuestion, ...]:
    """Read labelled questions: a list of `{"text", "answer" (an id or null), "part": "fit" or "held"}`.

    Raises:
        ConfigurationError: every fault with its place.
    """
    if not isinstance(document, Sequence) or isinstance(document, str) or not document:
        raise ConfigurationError(f'{place}: needs a list of {{"text": …, "answer": …, "part": "fit" or "held"}}')
    problems: list[str] = []
    questions = [
        _labelled(f"{place}: question {index}", entry, answer_ids, problems) for index, entry in enumerate(document)
    ]
    seen: dict[str, int] = {}
    for index, question in enumerate(questions):
        first = seen.setdefault(question.text.casefold(), index)
        if first != index:
            problems.append(f"{place}: question {index}: «{question.text}» is already question {first}")
    for part in PARTS:
        asked = {question.answer_id is None for question in questions if question.part == part}
        if not problems and len(asked) < 2:
            problems.append(f"{place}: part '{part}' needs questions with an answer and questions without one")
    if problems:
        raise ConfigurationError("\n  - ".join((f"{len(problems)} problems in the labelled questions", *problems)))
    return tuple(questions)


def _labelled(place: str, entry: Any, answer_ids: Collection[str], problems: list[str]) -> LabelledQuestion:
    if not isinstance(entry, Mapping) or set(entry) != {"text", "answer", "part"}:
        problems.append(f'{place} must be an object with exactly "text", "answer" and "part"')
        return LabelledQuestion("", None, "fit")
    text, answer, part = entry["text"], entry["answer"], entry["part"]
    if not isinstance(text, str) or not text.strip():
        problems.append(f"{place}: 'text' must be a text")
    if answer is not None and answer not in answer_ids:
        problems.append(f"{place}: 'answer' must be null or an id of data.json, not {answer!r}")
    if part not in PARTS:
        problems.append(f"{place}: 'part' must be one of {', '.join(PARTS)}, not {part!r}")
    return LabelledQuestion(str(text), answer, cast(Part, part))


async def collect(
    questions: Sequence[LabelledQuestion],
    evidence: Callable[[str], Awaitable[tuple[Evidence, ...]]],
    progress: Callable[[int, int], None],
) -> tuple[Sample, ...]:
    """Search for every question.

    Raises:
        EngineError: a search failed.
    """
    samples = []
    for done, question in enumerate(questions):
        progress(done, len(questions))
        samples.append(Sample(question, await evidence(question.text)))
    progress(len(questions), len(questions))
    return tuple(samples)


def fit(samples: Sequence[Sample], embedder: str, precision: float = TARGET_PRECISION) -> Fit:
    """Learn from the samples of the part `fit`; others are left out.

    Where no threshold is shown to reach the precision there is no operating point, and the strict rules hold. One
    search without the other has less to go by: half as many of its answers may be wrong.
    """
    known = [sample for sample in samples if sample.question.part == "fit"]
    both, unseen = _operating_point(known, (*MEANING_FEATURES, *WORD_FEATURES), precision)
    words, _ = _operating_point(known, WORD_FEATURES, alone_precision(precision))
    meaning, _ = _operating_point(known, MEANING_FEATURES, alone_precision(precision))
    calibration = Calibration(embedder, _strong_likeness(known, embedder), both, words, meaning)
    return Fit(calibration, precision, tuple(_by_rules(outcome, calibration) for outcome in unseen))


def alone_precision(precision: float) -> float:
    """What is asked of one search without the other."""
    return (1 + precision) / 2


def judged(samples: Sequence[Sample], calibration: Calibration) -> tuple[Outcome, ...]:
    """What callers would get for the samples."""
    outcomes = []
    for sample in samples:
        verdict = judge(sample.evidence, calibration, with_words=True, with_meaning=True)
        best = verdict.answer_id or _best(sample, calibration.both)
        outcomes.append(Outcome(sample, best, verdict.confidence, verdict.answer_id is not None))
    return tuple(outcomes)


def _best(sample: Sample, point: OperatingPoint | None) -> str | None:
    if point is None or not sample.evidence:
        return None
    return max(sample.evidence, key=point.probability).answer_id


def _by_rules(outcome: Outcome, calibration: Calibration) -> Outcome:
    """The outcome with what is decided without a weighing: the same words, and the strict rules."""
    sample = outcome.sample
    if calibration.both is not None:
        strong = strong_hit(sample.evidence, calibration)
        return outcome if strong is None else Outcome(sample, strong.answer_id, outcome.probability, True)
    verdict = judge(sample.evidence, calibration, with_words=True, with_meaning=True)
    return Outcome(sample, verdict.answer_id or outcome.answer_id, outcome.probability, verdict.answer_id is not None)


def _strong_likeness(samples: Sequence[Sample], embedder: str) -> float:
    """The lowest likeness from which on the words alone are never wrong; the highest when there is none."""
    for likeness in _STRONG_LIKENESS:
        trial = Calibration(embedder, strong_likeness=likeness)
        hits = [(sample, strong_hit(sample.evidence, trial)) for sample in samples]
        if all(hit is None or hit.answer_id == sample.question.answer_id for sample, hit in hits):
            return likeness
    return _STRONGEST


def _operating_point(
    samples: Sequence[Sample], features: Sequence[str], precision: float
) -> tuple[OperatingPoint | None, tuple[Outcome, ...]]:
    """Weights from all samples; the threshold from what each gets from weights fitted without its fold.

    There is no point when no threshold reaches the precision.
    """
    unseen: list[tuple[Sample, Evidence | None, float]] = []
    for fold in range(_FOLDS):
        others = [sample for place, sample in enumerate(samples) if place % _FOLDS != fold]
        point = _weights(others, features)
        for sample in samples[fold::_FOLDS]:
            best = max(sample.evidence, key=point.probability, default=None)
            unseen.append((sample, best, point.probability(best) if best is not None else 0.0))
    rights = [(rate, best is not None and best.answer_id == sample.question.answer_id) for sample, best, rate in unseen]
    threshold = _threshold(rights, precision)
    point = _weights(samples, features)
    outcomes = tuple(
        Outcome(sample, best.answer_id if best is not None else None, rate, rate >= threshold)
        for sample, best, rate in unseen
    )
    found = OperatingPoint(point.weights, point.bias, threshold) if threshold < _NEVER else None
    return found, outcomes


def _threshold(rated: Sequence[tuple[float, bool]], precision: float) -> float:
    """The lowest probability from which on few enough answers are wrong, counting half a one more than was seen."""
    wrong = 0
    best = _NEVER
    for given, (probability, right) in enumerate(sorted(rated, reverse=True), start=1):
        wrong += not right
        if (wrong + _MISSED_WRONG) / given <= (1 - precision) * _SHOWN_WRONG:
            best = probability
    return float(np.floor(best * 1e4) / 1e4)


def _weights(samples: Sequence[Sample], features: Sequence[str]) -> OperatingPoint:
    """Logistic regression with a ridge, by Newton's method, one row per candidate; in the units of the evidence."""
    rows = [(entry, entry.answer_id == sample.question.answer_id) for sample in samples for entry in sample.evidence]
    values: Floats = np.array([[float(getattr(entry, name)) for name in features] for entry, _ in rows])
    right: Floats = np.array([float(good) for _, good in rows])
    mean, spread = values.mean(axis=0), values.std(axis=0) + 1e-9
    design = np.column_stack([(values - mean) / spread, np.ones(len(values))])
    ridge = np.diag([*(_RIDGE for _ in features), 1e-6])
    weights = np.zeros(design.shape[1])
    for _ in range(_STEPS):
        probability = 1 / (1 + np.exp(-np.clip(design @ weights, -50, 50)))
        gradient = design.T @ (probability - right) + ridge @ weights
        curvature = (design * (probability * (1 - probability))[:, None]).T @ design + ridge
        weights = weights - np.linalg.solve(curvature, gradient)
    scaled = weights[:-1] / spread
    named = {name: round(float(weight), 5) for name, weight in zip(features, scaled, strict=True)}
    return OperatingPoint(named, round(float(weights[-1] - scaled @ mean), 5), _NEVER)
