"""The calibration report: what callers would get at the operating point, and how it was chosen. Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from kamerton.answers.calibration import Calibration, OperatingPoint
from kamerton.answers.calibration_fit import Fit, Outcome, alone_precision

_THRESHOLDS: Final = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95)
_EXAMPLES: Final = 15


@dataclass(frozen=True, slots=True)
class Figures:
    """How outcomes did, counted."""

    asked: int
    in_scope: int
    given: int
    right: int

    @property
    def precision(self) -> float | None:
        """Share of the answers given that are right; None when none was given."""
        return self.right / self.given if self.given else None

    @property
    def recall(self) -> float:
        """Share of the questions with an answer that got it."""
        return self.right / self.in_scope if self.in_scope else 0.0

    @property
    def coverage(self) -> float:
        """Share of all questions that got an answer, right or wrong."""
        return self.given / self.asked if self.asked else 0.0


def figures(outcomes: Sequence[Outcome], threshold: float | None = None) -> Figures:
    """Count outcomes; with a threshold as if that were the operating point."""
    given = [
        outcome for outcome in outcomes if (outcome.given if threshold is None else outcome.probability >= threshold)
    ]
    return Figures(
        asked=len(outcomes),
        in_scope=sum(outcome.sample.question.answer_id is not None for outcome in outcomes),
        given=len(given),
        right=sum(outcome.right for outcome in given),
    )


def calibration_report(assistant: str, fitted: Fit, on_fit: Sequence[Outcome], on_held: Sequence[Outcome]) -> str:
    """The report as Markdown; questions of the held part are counted and never shown.

    Args:
        assistant: name of the assistant.
        fitted: the calibration.
        on_fit: what callers get for the questions it was fitted on.
        on_held: what callers get for the questions held back.
    """
    return "\n".join(_lines(assistant, fitted, on_fit, on_held)) + "\n"


def _lines(assistant: str, fitted: Fit, on_fit: Sequence[Outcome], on_held: Sequence[Outcome]) -> Iterator[str]:
    calibration = fitted.calibration
    yield f"# Instant answers of `{assistant}`: calibration"
    yield ""
    yield f"Written by `kamerton answers calibrate --assistant {assistant}`; run it again after every change of"
    yield "`data.json`, of the labelled questions or of the embedding model."
    yield ""
    yield f"- Embedding model: `{calibration.embedder}`"
    yield f"- Labelled questions: {_scope(on_fit)} to fit, {_scope(on_held)} held back."
    alone = alone_precision(fitted.precision)
    yield f"- Wanted: precision ≥ {fitted.precision:g} with both searches, ≥ {alone:g} with one of them alone."
    yield ""
    yield "## At the operating point"
    yield ""
    yield "| questions | asked | answered | right | precision | recall | coverage |"
    yield "|---|---|---|---|---|---|---|"
    yield _row("fit, each judged by a weighing without it", figures(fitted.unseen))
    yield _row("fit", figures(on_fit))
    yield _row("**held back**", figures(on_held))
    yield ""
    yield "Precision: of the answers given, how many are right. Recall: of the questions with an answer, how many got"
    yield "it. Coverage: of all questions, how many got an answer."
    yield ""
    yield from _points(calibration)
    yield from _curve(fitted.unseen)
    yield from _mistakes(fitted.unseen)


def _points(calibration: Calibration) -> Iterator[str]:
    yield f"The words alone decide at once from a likeness of {calibration.strong_likeness:g} on. Otherwise:"
    yield ""
    yield "| decides | from | weights |"
    yield "|---|---|---|"
    named = (
        ("both searches", calibration.both),
        ("words alone (meaning failed or late)", calibration.words_alone),
        ("meaning alone (words failed or late)", calibration.meaning_alone),
    )
    for name, point in named:
        if point is not None:
            yield f"| {name} | {point.threshold:.3f} | {_weights(point)} |"
        else:
            yield f"| {name} | – | no threshold reaches the precision: the strict rules hold |"
    yield ""
    if calibration.both is None:
        yield "The strict rules answer when both searches name the same answer with a wide lead and nearly every word"
        yield "is known. For more, this model does not tell these questions apart well enough. Another embedding model"
        yield "(`understanding.engine`) may; `--precision` trades precision for recall along the curve below."
        yield ""


def _weights(point: OperatingPoint) -> str:
    terms = [f"{name} {weight:+.2f}" for name, weight in point.weights.items()]
    return ", ".join((*terms, f"bias {point.bias:+.2f}"))


def _row(name: str, at: Figures) -> str:
    shares = f"{_share(at.precision)} | {_share(at.recall)} | {_share(at.coverage)}"
    return f"| {name} | {at.asked} | {at.given} | {at.right} | {shares} |"


def _scope(outcomes: Sequence[Outcome]) -> str:
    at = figures(outcomes)
    return f"{at.asked} ({at.asked - at.in_scope} of them without an answer)"


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _curve(unseen: Sequence[Outcome]) -> Iterator[str]:
    yield "## Other thresholds"
    yield ""
    yield "With both searches; the questions to fit, each judged by a weighing without it."
    yield ""
    yield "| threshold | answered | precision | recall |"
    yield "|---|---|---|---|"
    for threshold in _THRESHOLDS:
        at = figures(unseen, threshold)
        yield f"| {threshold} | {at.given} | {_share(at.precision)} | {_share(at.recall)} |"
    yield ""


def _mistakes(unseen: Sequence[Outcome]) -> Iterator[str]:
    yield "## Closest mistakes"
    yield ""
    yield "Questions to fit whose best candidate is wrong, the surest first. Most of them are refused at the operating"
    yield "point; a variant in `data.json` helps those that have an answer."
    yield ""
    yield "| question | best candidate | right | sure |"
    yield "|---|---|---|---|"
    wrong = sorted((outcome for outcome in unseen if not outcome.right), key=lambda one: -one.probability)
    for outcome in wrong[:_EXAMPLES]:
        question = outcome.sample.question
        yield f"| {question.text} | {outcome.answer_id} | {question.answer_id or '–'} | {outcome.probability:.2f} |"
