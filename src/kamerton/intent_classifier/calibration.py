"""Gates derived from the assistant's own examples, because no fixed threshold suits every model and every catalogue.

Every example is asked for twice: without itself (it should be found), and without its whole label (nothing should be
found). Together with the background sentences that tells how sure and how far ahead a leader must be.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from kamerton.domain.embedding import Vectors

_CONFIDENCES: Final = tuple(round(0.25 + 0.01 * step, 2) for step in range(51))
_GAPS: Final = tuple(round(0.02 + 0.01 * step, 2) for step in range(19))
_CEILING: Final = 0.75
"""No gate asks for more than this: paraphrases seldom score higher, whatever the examples say."""
_REPEAT_DISCOUNT: Final = 0.06
_BACKGROUND_MARGIN: Final = 0.02
_BACKGROUND_KEPT_OUT: Final = 0.95
_COST_OF_WRONG_INTENT: Final = 1.5
_COST_OF_WRONG_FAQ: Final = 3.0
"""How many right results a wrong one outweighs."""
_SURPLUS_SHARE: Final = 0.5
_MOST_CONFIDENCE_BONUS: Final = 0.08
_MOST_GAP_BONUS: Final = 0.05
"""Half of what one figure has in surplus makes up for the other, up to this much: a leader far ahead of the rest needs
less confidence, a very close match less of a lead."""
_SIBLING_WEIGHT: Final = 0.25
"""How much an example counts that strays to a neighbour once its own label is gone: real callers ask such questions
seldom."""
_LEAST_POSITIVES: Final = 12
"""With fewer answers to learn from, the defaults are safer than a fit."""


@dataclass(frozen=True, slots=True)
class Gate:
    """What a leader must reach. The `repeat_` pair is for a leader that led the turn before, too."""

    confidence: float
    gap: float
    repeat_confidence: float
    repeat_gap: float

    def refusal(self, confidence: float, gap: float, *, repeated: bool, threshold: float | None = None) -> str | None:
        """Which gate refuses («confidence» or «gap»), or None; `threshold` replaces the calibrated confidence."""
        least = self.repeat_confidence if repeated else self.confidence
        if threshold is not None:
            least = threshold
        lead = self.repeat_gap if repeated else self.gap
        if confidence + _bonus(gap - lead, _MOST_CONFIDENCE_BONUS) < least:
            return "confidence"
        return "gap" if gap + _bonus(confidence - least, _MOST_GAP_BONUS) < lead else None


_USUAL_INTENT: Final = Gate(0.47, 0.06, 0.41, 0.03)
_USUAL_FAQ: Final = Gate(0.54, 0.08, 0.48, 0.04)
"""What suits multilingual-e5-small with a typical catalogue."""


def _bonus(surplus: float, most: float) -> float:
    return min(most, max(0.0, _SURPLUS_SHARE * surplus))


@dataclass(frozen=True, slots=True)
class Gates:
    """The gates of intents and of prepared answers; the latter stricter: a wrong answer is worse than none."""

    intent: Gate = _USUAL_INTENT
    faq: Gate = _USUAL_FAQ

    def as_dict(self) -> dict[str, Any]:
        """For the header of the stored vectors."""
        return asdict(self)

    @classmethod
    def from_dict(cls, figures: Mapping[str, Any]) -> Gates:
        """Back from `as_dict`.

        Raises:
            KeyError: a gate is missing.
            TypeError: a gate has other fields.
        """
        return cls(intent=Gate(**figures["intent"]), faq=Gate(**figures["faq"]))


@dataclass(frozen=True, slots=True)
class LabelScores:
    """Leader and runner-up among labels, one row per text."""

    leader: NDArray[np.int64]
    confidence: Vectors
    gap: Vectors


def label_scores(similarities: Vectors, label_of: NDArray[np.int64], labels: int) -> Vectors:
    """Best similarity per label: [texts, examples] → [texts, labels]; labels without examples get -1."""
    scores = np.full((len(similarities), labels), -1.0, dtype=np.float32)
    for label in range(labels):
        columns = label_of == label
        if columns.any():
            scores[:, label] = similarities[:, columns].max(axis=1)
    return scores


def leaders(scores: Vectors) -> LabelScores:
    """Leader, its score and its lead over the next label, per row."""
    if scores.shape[1] == 0:
        empty = np.zeros(len(scores), dtype=np.float32)
        return LabelScores(np.full(len(scores), -1, dtype=np.int64), empty, empty)
    order = np.argsort(scores, axis=1)
    rows = np.arange(len(scores))
    first = order[:, -1]
    best = scores[rows, first]
    second = scores[rows, order[:, -2]] if scores.shape[1] > 1 else np.zeros_like(best)
    return LabelScores(first.astype(np.int64), best, best - np.maximum(second, 0))


def calibrate(similarities: Vectors, label_of: NDArray[np.int64], faq_labels: Sequence[bool]) -> Gates:
    """Derive the gates.

    Args:
        similarities: of every text to every text, the assistant's examples first, then the background sentences.
        label_of: the label of each text; the background's is the one after the last.
        faq_labels: per label without the background's, whether it is a prepared answer.
    """
    labels = len(faq_labels)
    is_faq = np.array([*faq_labels, False], dtype=bool)
    examples = int((label_of < labels).sum())
    similarities = similarities.copy()
    np.fill_diagonal(similarities, -1.0)
    scores = label_scores(similarities, label_of, labels + 1)
    found = leaders(scores[:examples])
    without_label = scores[:examples].copy()
    without_label[np.arange(examples), label_of[:examples]] = -1.0
    missed = leaders(without_label)
    outside = leaders(scores[examples:, :labels])
    gates = []
    for faq in (False, True):
        rows = (is_faq[found.leader] == faq) & (found.leader < labels)
        right = rows & (found.leader == label_of[:examples])
        stray = (is_faq[missed.leader] == faq) & (missed.leader < labels)
        away = is_faq[outside.leader] == faq
        negatives = np.concatenate(
            [
                _weighed(found, rows & ~right, 1.0),
                _weighed(missed, stray, _SIBLING_WEIGHT),
                _weighed(outside, away, 1.0),
            ]
        )
        confidences = outside.confidence[away]
        floor = float(np.quantile(confidences, _BACKGROUND_KEPT_OUT)) if len(confidences) else 0.0
        gates.append(_fit(_weighed(found, right, 1.0), negatives, floor, faq=faq))
    return Gates(intent=gates[0], faq=gates[1])


def _weighed(scores: LabelScores, rows: NDArray[np.bool_], weight: float) -> Vectors:
    """Confidence, gap and weight of the chosen rows."""
    chosen = scores.confidence[rows], scores.gap[rows]
    return np.stack([*chosen, np.full(int(rows.sum()), weight, dtype=np.float32)], axis=1)


def _fit(positives: Vectors, negatives: Vectors, floor: float, *, faq: bool) -> Gate:
    """The thresholds with the best balance, drawn half-way to the usual ones, because the sample is small."""
    usual = _USUAL_FAQ if faq else _USUAL_INTENT
    confidence, gap = usual.confidence, usual.gap
    if len(positives) >= _LEAST_POSITIVES:
        cost = _COST_OF_WRONG_FAQ if faq else _COST_OF_WRONG_INTENT
        _, fitted, lead = max(
            (_balance(positives, negatives, least, lead, cost), least, lead) for least in _CONFIDENCES for lead in _GAPS
        )
        confidence, gap = (confidence + fitted) / 2, (gap + lead) / 2
    confidence = min(max(confidence, floor + _BACKGROUND_MARGIN), _CEILING)
    repeat = max(confidence - _REPEAT_DISCOUNT, min(floor, confidence))
    return Gate(round(confidence, 3), round(gap, 3), round(repeat, 3), round(gap / 2, 3))


def _balance(positives: Vectors, negatives: Vectors, least: float, lead: float, cost: float) -> float:
    return _passing(positives, least, lead) - cost * _passing(negatives, least, lead)


def _passing(rows: Vectors, least: float, lead: float) -> float:
    """Weight of the rows that the pair of thresholds lets through."""
    confidence, gap, weight = rows.T
    sure = confidence + np.clip(_SURPLUS_SHARE * (gap - lead), 0.0, _MOST_CONFIDENCE_BONUS) >= least
    ahead = gap + np.clip(_SURPLUS_SHARE * (confidence - least), 0.0, _MOST_GAP_BONUS) >= lead
    return float(weight[sure & ahead].sum())
