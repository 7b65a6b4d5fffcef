"""Calibrations: learned, stored, refused for another model; labelled questions; the report."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kamerton.answers.calibration import (
    Calibration,
    Evidence,
    OperatingPoint,
    gather,
    judge,
    load_calibration,
    save_calibration,
    strong_hit,
)
from kamerton.answers.calibration_fit import LabelledQuestion, Part, Sample, fit, judged, parse_labelled
from kamerton.answers.catalogue_search import Ranked
from kamerton.answers.instant import fitting
from kamerton.answers.keyword_search import WordEvidence
from kamerton.answers.report import calibration_report, figures
from kamerton.domain.errors import ConfigurationError

POINT = OperatingPoint({"meaning": 1.5, "coverage": 2.0}, -1.0, 0.9)
WHOLE = Calibration("model-1", 0.95, POINT, None, POINT)


def samples(count: int, part: Part, noise: float, seed: int) -> list[Sample]:
    """Questions whose right answer has more of everything; every third has none."""
    rng = np.random.default_rng(seed)
    made = []
    for number in range(count):
        known = number % 3 != 0
        level = 0.7 if known else 0.3
        own, other = rng.normal(level, noise), rng.normal(0.25, noise)
        leading = Evidence("right", own, own - other, 0.5, own - other, min(1.0, max(0.0, own)), 0.4)
        second = Evidence("wrong", other, other - own, -0.5, other - own, min(1.0, max(0.0, other)), 0.2)
        question = LabelledQuestion(f"{part} {number}", "right" if known else None, part)
        made.append(Sample(question, (leading, second)))
    return made


def test_separable_questions_are_answered_and_the_others_refused() -> None:
    fitted = fit(samples(150, "fit", 0.05, 1), "model-1")
    held = figures(judged(samples(90, "held", 0.05, 2), fitted.calibration))
    assert held.recall > 0.9
    assert held.precision is not None
    assert held.precision >= 0.97


def test_precision_is_kept_where_questions_are_hard_to_tell_apart() -> None:
    fitted = fit(samples(600, "fit", 0.12, 3), "model-1")
    held = figures(judged(samples(600, "held", 0.12, 4), fitted.calibration))
    assert held.precision is not None
    assert held.precision >= 0.95
    assert 0.2 < held.recall < 0.98


def test_what_cannot_be_told_apart_is_never_answered() -> None:
    hopeless = samples(150, "fit", 2.0, 5)
    fitted = fit(hopeless, "model-1")
    assert fitted.calibration.both is None
    assert figures(judged(hopeless, fitted.calibration)).given == 0


def test_one_search_alone_asks_for_more() -> None:
    calibration = fit(samples(600, "fit", 0.12, 6), "model-1").calibration
    evidence = samples(300, "held", 0.12, 7)
    given = {
        name: sum(judge(sample.evidence, calibration, with_words=words, with_meaning=meaning).answer_id is not None
                  for sample in evidence)
        for name, words, meaning in (("both", True, True), ("words", True, False), ("meaning", False, True))
    }  # fmt: skip
    assert max(given["words"], given["meaning"]) <= given["both"]


def test_less_precision_gives_more_answers() -> None:
    known = samples(600, "fit", 0.15, 3)
    counts = [figures(fit(known, "m", precision).unseen).given for precision in (0.99, 0.9, 0.8)]
    assert counts == sorted(counts)
    assert counts[0] < counts[-1]


def test_the_held_part_teaches_nothing() -> None:
    known = samples(150, "fit", 0.1, 8)
    assert fit(known, "m").calibration == fit([*known, *samples(150, "held", 3.0, 9)], "m").calibration


def test_a_likeness_that_was_wrong_once_is_no_strong_hit() -> None:
    trap = Sample(
        LabelledQuestion("trap", None, "fit"), (Evidence("right", coverage=1.0, likeness=0.955, likeness_lead=0.5),)
    )
    assert fit(samples(60, "fit", 0.05, 1), "m").calibration.strong_likeness == 0.9
    assert fit([*samples(60, "fit", 0.05, 1), trap], "m").calibration.strong_likeness == 0.96


def test_evidence_of_both_rankings() -> None:
    words = (Ranked("a", 4.0), Ranked("b", 3.0))
    meaning = (Ranked("b", 0.8), Ranked("a", 0.5), Ranked("c", 0.4))
    a, b, c = gather(words, meaning, lambda answer_id: WordEvidence(0.5, 0.25))
    assert (a.answer_id, b.answer_id, c.answer_id) == ("a", "b", "c")
    assert (a.words_lead, b.words_lead, c.words_lead) == pytest.approx((0.25, -0.25, -1.0))
    assert (b.meaning, b.meaning_lead, b.meaning_margin) == pytest.approx((0.8, 0.3, 0.75))
    assert a.meaning_lead == pytest.approx(-0.3)
    assert (a.coverage, a.likeness) == (0.5, 0.25)


def test_evidence_of_one_ranking_has_nothing_of_the_other() -> None:
    (only,) = gather(None, (Ranked("a", 0.6),), lambda answer_id: WordEvidence(1.0, 1.0))
    assert (only.coverage, only.likeness, only.words_lead, only.meaning_lead) == (0.0, 0.0, 0.0, 0.0)
    (only,) = gather((Ranked("a", 2.0),), None, lambda answer_id: WordEvidence(1.0, 0.5))
    assert (only.meaning, only.words_lead, only.likeness) == (0.0, 1.0, 0.5)
    assert gather((), (), lambda answer_id: WordEvidence()) == ()


def test_questions_without_an_answer_are_led_and_are_no_candidates() -> None:
    words = (Ranked("none", 4.0), Ranked("a", 3.0))
    meaning = (Ranked("none", 0.9), Ranked("a", 0.8), Ranked("b", 0.3))
    fits = {"none": WordEvidence(1.0, 0.75), "a": WordEvidence(0.5, 0.5, 0.25), "b": WordEvidence(0.0, 0.0)}
    a, b = gather(words, meaning, fits.__getitem__, {"none"})
    assert (a.answer_id, b.answer_id) == ("a", "b")
    assert (a.words_lead, a.meaning_lead, a.likeness_lead) == pytest.approx((-0.25, -0.1, -0.25))
    assert (a.likeness, a.length) == (0.5, 0.25)


def test_many_questions_without_an_answer_do_not_crowd_out_the_answers() -> None:
    rivals = [f"none {number}" for number in range(8)]
    meaning = (*(Ranked(rival, 0.9) for rival in rivals), Ranked("a", 0.5))
    (only,) = gather((), meaning, lambda answer_id: WordEvidence(), frozenset(rivals))
    assert only.answer_id == "a"


def test_what_is_as_like_a_question_without_an_answer_is_no_strong_hit() -> None:
    sure = Evidence("a", coverage=1.0, likeness=0.99, likeness_lead=0.1)
    assert strong_hit([sure], Calibration("m")) == sure
    assert strong_hit([replace(sure, likeness_lead=0.0)], Calibration("m")) is None


def test_a_calibration_is_kept_per_model(tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    save_calibration(path, WHOLE)
    save_calibration(path, Calibration("model-2", 0.99))
    assert load_calibration(path, "model-1") == WHOLE
    assert load_calibration(path, "model-2") == Calibration("model-2", 0.99)


def test_another_model_gets_the_strict_rules(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "calibration.json"
    assert load_calibration(path, "model-1") == Calibration("model-1")
    save_calibration(path, WHOLE)
    assert load_calibration(path, "model-9") == Calibration("model-9")
    assert caplog.text.count("kamerton answers calibrate") == 2
    assert fitting(WHOLE, "model-9") == Calibration("model-9")
    assert fitting(WHOLE, "model-1") is WHOLE


def test_a_calibration_of_older_evidence_is_not_used(tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    save_calibration(path, WHOLE)
    stored = json.loads(path.read_text())
    stored["model-1"]["version"] = 0
    path.write_text(json.dumps(stored))
    assert load_calibration(path, "model-1") == Calibration("model-1")


@pytest.mark.parametrize(
    "change",
    [
        {"both": {"weights": {"magic": 1.0}, "bias": 0.0, "threshold": 0.5}},
        {"both": {"weights": {"meaning": "much"}, "bias": 0.0, "threshold": 0.5}},
        {"both": {"weights": {"meaning": float("nan")}, "bias": 0.0, "threshold": 0.5}},
        {"both": {"weights": {}, "bias": 0.0, "threshold": 1.5}},
        {"both": {"weights": [], "bias": 0.0, "threshold": 0.5}},
        {"both": {"bias": 0.0}},
        {"strong_likeness": 0},
        {"strong_likeness": None},
    ],
)
def test_a_broken_calibration_is_told(tmp_path: Path, change: dict[str, Any]) -> None:
    path = tmp_path / "calibration.json"
    save_calibration(path, WHOLE)
    stored = json.loads(path.read_text())
    stored["model-1"] |= change
    path.write_text(json.dumps(stored))
    with pytest.raises(ConfigurationError, match=r"calibration\.json.*kamerton answers calibrate"):
        load_calibration(path, "model-1")


@pytest.mark.parametrize("content", ["{", "[]", '{"model-1": 5}'])
def test_a_file_that_is_no_calibration_is_told(tmp_path: Path, content: str) -> None:
    path = tmp_path / "calibration.json"
    path.write_text(content)
    with pytest.raises(ConfigurationError, match="cannot be read as a calibration"):
        load_calibration(path, "model-1")
    with pytest.raises(ConfigurationError, match="cannot be read as a calibration"):
        save_calibration(path, WHOLE)


GOOD = [
    {"text": "где офис", "answer": "office", "part": "fit"},
    {"text": "погода", "answer": None, "part": "fit"},
    {"text": "где вы", "answer": "office", "part": "held"},
    {"text": "снег", "answer": None, "part": "held"},
]


def test_labelled_questions_are_read() -> None:
    read = parse_labelled(GOOD, "q.json", ["office"])
    assert read[0] == LabelledQuestion("где офис", "office", "fit")
    assert read[1].answer_id is None


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ({"text": "а", "answer": "ofice", "part": "fit"}, "question 4: 'answer' must be null or an id"),
        ({"text": "", "answer": None, "part": "fit"}, "question 4: 'text'"),
        ({"text": "а", "answer": None, "part": "test"}, "question 4: 'part'"),
        ({"text": "Погода", "answer": None, "part": "held"}, "«Погода» is already question 1"),
        ({"text": "а", "part": "fit"}, "question 4 must be an object with exactly"),
        ("а", "question 4 must be an object"),
    ],
)
def test_faults_of_labelled_questions_are_told(entry: Any, told: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_labelled([*GOOD, entry], "q.json", ["office"])
    assert told in str(caught.value)


@pytest.mark.parametrize(("document", "told"), [({}, "needs a list"), ([], "needs a list"), (GOOD[:2], "part 'held'")])
def test_sets_that_cannot_calibrate_are_refused(document: Any, told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        parse_labelled(document, "q.json", ["office"])


def test_the_report_counts_and_hides_the_held_part() -> None:
    known, held = samples(150, "fit", 0.05, 1), samples(90, "held", 0.05, 2)
    fitted = fit(known, "model-1")
    report = calibration_report("demo", fitted, judged(known, fitted.calibration), judged(held, fitted.calibration))
    counted = figures(judged(held, fitted.calibration))
    assert f"| **held back** | 90 | {counted.given} | {counted.right} | {counted.precision:.3f}" in report
    assert "model-1" in report
    assert "150 (50 of them without an answer) to fit, 90 (30 of them" in report
    assert not any(sample.question.text in report for sample in held)
    assert "| fit 24 |" in report
    assert max(map(len, report.splitlines())) < 200


def test_the_report_says_when_the_precision_is_out_of_reach() -> None:
    hopeless = samples(150, "fit", 2.0, 5)
    fitted = fit(hopeless, "model-1")
    outcomes = judged(hopeless, fitted.calibration)
    report = calibration_report("demo", fitted, outcomes, outcomes)
    assert report.count("no threshold reaches the precision") == 3
    assert "does not tell these questions apart" in report


def test_figures_of_nothing() -> None:
    nothing = figures([])
    assert (nothing.precision, nothing.recall, nothing.coverage) == (None, 0.0, 0.0)
