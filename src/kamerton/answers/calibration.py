"""When is an answer sure enough? Evidence from both searches, weighed as a labelled set of questions taught it.

No fixed threshold suits every embedding model: the cosines of one lie between 0.75 and 0.95, of another between 0 and
0.6. A calibration belongs to one model and is refused for another. Without one, the rules are strict.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from kamerton.answers.catalogue_search import Ranked
from kamerton.answers.keyword_search import WordEvidence
from kamerton.domain.errors import ConfigurationError

EVIDENCE_VERSION: Final = 3
"""Raise it whenever evidence is measured in another way: calibrations become stale."""

WORD_FEATURES: Final = ("words_lead", "coverage", "likeness", "likeness_lead", "length")
MEANING_FEATURES: Final = ("meaning", "meaning_lead", "wordings_lead")

_CANDIDATES_PER_SEARCH: Final = 3
_STRICT_COVERAGE: Final = 0.9
_STRICT_WORDS_LEAD: Final = 0.5
_STRICT_MARGIN: Final = 0.6
"""The strict rules: both searches name the same answer, nearly every word is known, and each has a wide lead. The
margin of meaning is counted in the spread of the ranking, which needs no knowledge of the model. One search alone
answers to the same words only."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What speaks for one answer. What a search that failed would have told is zero.

    Each lead is counted over other answers and over questions that are known to have none.
    """

    answer_id: str
    meaning: float = 0.0
    """Cosine of the closest question."""
    meaning_lead: float = 0.0
    """Cosine less that of the best other; negative for all but the leader."""
    meaning_margin: float = 0.0
    """The lead as a share of the leader's distance from the end of the ranking."""
    wordings_lead: float = 0.0
    """See `QuestionClassifier.leads`: over all wordings, not the closest one."""
    words_lead: float = 0.0
    """Score of the keyword search less that of the best other, as a share of the best score: -1 to 1."""
    coverage: float = 0.0
    likeness: float = 0.0
    """See `WordEvidence`."""
    likeness_lead: float = 0.0
    """Likeness less that of the best other among the leading ones: -1 to 1."""
    length: float = 0.0
    """See `WordEvidence`."""


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """A logistic weighing of evidence, and the probability from which an answer is given."""

    weights: Mapping[str, float]
    bias: float
    threshold: float

    def probability(self, evidence: Evidence) -> float:
        """How probable it is that the answer is right (0 to 1)."""
        total = self.bias + sum(weight * float(getattr(evidence, name)) for name, weight in self.weights.items())
        return 1 / (1 + math.exp(-max(-30.0, min(30.0, total))))


@dataclass(frozen=True, slots=True)
class Calibration:
    """The operating points of one assistant and one embedding model; None where the strict rules hold.

    They hold where nothing was learned, and where what was learned does not reach the precision.
    """

    embedder: str
    strong_likeness: float = 0.97
    """From this likeness on the words alone decide, at once."""
    both: OperatingPoint | None = None
    words_alone: OperatingPoint | None = None
    """For when the search by meaning failed or was late."""
    meaning_alone: OperatingPoint | None = None


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the evidence comes to."""

    answer_id: str | None
    confidence: float
    gap: float
    reason: str


def gather(
    words: Sequence[Ranked] | None,
    meaning: Sequence[Ranked] | None,
    fit: Callable[[str], WordEvidence],
    unanswered: Collection[str] = (),
) -> tuple[Evidence, ...]:
    """The evidence for the leading answers of both rankings.

    Args:
        words: the ranking by words; None when the search failed.
        meaning: the ranking by meaning; None when the search failed.
        fit: how well the words fit an answer.
        unanswered: ids in the rankings that have no answer: the others must lead them, and they are no candidates.
    """
    rankings = (words or (), meaning or ())
    answers = _leading(rankings, lambda answer_id: answer_id not in unanswered)
    rivals = _leading(rankings, lambda answer_id: answer_id in unanswered)
    fits = {answer_id: fit(answer_id) for answer_id in (*answers, *rivals)} if words is not None else {}
    return tuple(_evidence(answer_id, words, meaning, fits) for answer_id in answers)


def _leading(rankings: Sequence[Sequence[Ranked]], wanted: Callable[[str], bool]) -> tuple[str, ...]:
    """The ids that lead one of the rankings, each once, among those that are wanted."""
    chosen = [
        answer_id
        for ranking in rankings
        for answer_id in [ranked.answer_id for ranked in ranking if wanted(ranked.answer_id)][:_CANDIDATES_PER_SEARCH]
    ]
    return tuple(dict.fromkeys(chosen))


def _evidence(
    answer_id: str,
    words: Sequence[Ranked] | None,
    meaning: Sequence[Ranked] | None,
    fits: Mapping[str, WordEvidence],
) -> Evidence:
    cosine = lead = margin = words_lead = 0.0
    found = fits.get(answer_id, WordEvidence())
    rival = max((other.likeness for rival_id, other in fits.items() if rival_id != answer_id), default=0.0)
    if meaning:
        last = meaning[-1].score
        cosine, lead = _with_lead(answer_id, meaning, beyond=last)
        spread = meaning[0].score - last
        margin = lead / spread if spread > 0 else 0.0
    if words:
        _, words_lead = _with_lead(answer_id, words, beyond=0.0)
        words_lead /= max(words[0].score, 1e-9)
    return Evidence(
        answer_id=answer_id,
        meaning=cosine,
        meaning_lead=lead,
        meaning_margin=margin,
        wordings_lead=next((ranked.lead for ranked in meaning or () if ranked.answer_id == answer_id), 0.0),
        words_lead=words_lead,
        coverage=found.coverage,
        likeness=found.likeness,
        likeness_lead=found.likeness - rival if fits else 0.0,
        length=found.length,
    )


def _with_lead(answer_id: str, ranking: Sequence[Ranked], beyond: float) -> tuple[float, float]:
    """Score and lead of an answer; `beyond` is the score of those that the ranking does not show."""
    own = next((ranked.score for ranked in ranking if ranked.answer_id == answer_id), beyond)
    rival = max((ranked.score for ranked in ranking if ranked.answer_id != answer_id), default=beyond)
    return own, own - rival


def strong_hit(candidates: Sequence[Evidence], calibration: Calibration) -> Evidence | None:
    """The answer whose question was said nearly word by word, if there is no other question like it."""
    for entry in candidates:
        if entry.likeness >= calibration.strong_likeness and entry.likeness_lead > 0 and entry.coverage > 0:
            return entry
    return None


def judge(
    candidates: Sequence[Evidence], calibration: Calibration, *, with_words: bool, with_meaning: bool
) -> Judgement:
    """Decide; `with_words` and `with_meaning` say which searches came back."""
    if not with_words and not with_meaning:
        return Judgement(None, 0.0, 0.0, "both searches failed")
    if not candidates:
        return Judgement(None, 0.0, 0.0, "nothing found")
    strong = strong_hit(candidates, calibration) if with_words else None
    if strong is not None:
        return Judgement(strong.answer_id, strong.likeness, 1.0, "same words")
    if with_words and with_meaning:
        return _weighed(candidates, calibration.both, "words and meaning") or _strict(candidates)
    point, name = (
        (calibration.words_alone, "words alone") if with_words else (calibration.meaning_alone, "meaning alone")
    )
    return _weighed(candidates, point, name) or Judgement(None, 0.0, 0.0, f"{name}, strict rules")


def _weighed(candidates: Sequence[Evidence], point: OperatingPoint | None, name: str) -> Judgement | None:
    if point is None:
        return None
    rated = sorted(((point.probability(entry), entry.answer_id) for entry in candidates), reverse=True)
    probability, answer_id = rated[0]
    gap = probability - (rated[1][0] if len(rated) > 1 else 0.0)
    if probability < point.threshold:
        return Judgement(None, probability, gap, f"{name}: not sure ({probability:.2f} < {point.threshold:.2f})")
    return Judgement(answer_id, probability, gap, name)


def _strict(candidates: Sequence[Evidence]) -> Judgement:
    for entry in candidates:
        sure = entry.coverage >= _STRICT_COVERAGE and entry.words_lead >= _STRICT_WORDS_LEAD
        if sure and entry.meaning_margin >= _STRICT_MARGIN:
            return Judgement(entry.answer_id, entry.coverage, entry.meaning_margin, "words and meaning, strict rules")
    best = max(candidates, key=lambda entry: entry.coverage + entry.meaning_margin)
    return Judgement(None, 0.0, best.meaning_margin, "not sure, strict rules")


def load_calibration(path: Path, embedder: str) -> Calibration:
    """The calibration for an embedding model; the strict rules, with a line in the log, when there is none.

    Raises:
        ConfigurationError: the file is there and broken.
    """
    stored = _read(path).get(embedder)
    if stored is None or stored.get("version") != EVIDENCE_VERSION:
        _log.warning(
            "instant answers are not calibrated for this embedding model and answer to near-exact wording only; "
            "run kamerton answers calibrate",
            extra={"path": str(path), "embedder": embedder},
        )
        return Calibration(embedder)
    try:
        return Calibration(
            embedder=embedder,
            strong_likeness=_share(stored["strong_likeness"]),
            both=_point(stored["both"]),
            words_alone=_point(stored["words_alone"]),
            meaning_alone=_point(stored["meaning_alone"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _broken(path, repr(error)) from error


def save_calibration(path: Path, calibration: Calibration) -> None:
    """Store a calibration beside those of other embedding models.

    Raises:
        ConfigurationError: the file is broken or cannot be written.
    """
    models = _read(path)
    entry = {"version": EVIDENCE_VERSION, **asdict(calibration)}
    del entry["embedder"]
    content = json.dumps({**models, calibration.embedder: entry}, ensure_ascii=False, indent=1)
    try:
        path.write_text(content + "\n", encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"{path}: the calibration cannot be written: {error}") from error


def _read(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        models = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _broken(path, str(error)) from error
    if not isinstance(models, dict) or not all(isinstance(entry, dict) for entry in models.values()):
        raise _broken(path, "it holds no object per embedding model")
    return models


def _point(stored: Mapping[str, Any] | None) -> OperatingPoint | None:
    if stored is None:
        return None
    weights = {str(name): _finite(weight) for name, weight in stored["weights"].items()}
    unknown = set(weights) - {*WORD_FEATURES, *MEANING_FEATURES}
    if unknown:
        raise ValueError(f"there is no evidence called {', '.join(sorted(unknown))}")
    return OperatingPoint(weights, _finite(stored["bias"]), _share(stored["threshold"]))


def _finite(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{value} is no usable number")
    return number


def _share(value: Any) -> float:
    number = _finite(value)
    if not 0 < number <= 1:
        raise ValueError(f"{value} must be above 0 and at most 1")
    return number


def _broken(path: Path, reason: str) -> ConfigurationError:
    return ConfigurationError(
        f"{path}: cannot be read as a calibration ({reason}); delete it and run kamerton answers calibrate"
    )
