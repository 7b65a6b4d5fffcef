"""How `kamerton answers test` shows a search."""

from __future__ import annotations

from kamerton.answers.calibration import Evidence
from kamerton.answers.catalogue_search import Ranked
from kamerton.answers.instant import AnswerSearch
from kamerton.answers.race import Half
from kamerton.cli.answers import shown
from kamerton.domain.dialogue import FaqResult


def test_a_search_is_shown_with_its_decision() -> None:
    evidence = (Evidence("card", meaning=0.71, coverage=0.5),)
    words, meaning = Half((Ranked("card", 3.5),), "", 1.0), Half((Ranked("card", 0.71),), "", 17.0)
    verdict = FaqResult("card", "Картой можно?", "Да, можно.", 0.98)
    told = "\n".join(shown(AnswerSearch("картой", verdict, "words and meaning", words, meaning, evidence, 18.0)))
    for part in (
        "«картой»",
        "1. card",
        "3.500",
        "0.710",
        "coverage 0.50",
        "answer 'card' (0.98)",
        "18.0 ms",
        "Да, можно.",
    ):
        assert part in told


def test_a_refusal_says_why() -> None:
    late = Half(failure="late")
    told = "\n".join(shown(AnswerSearch("снег", None, "both searches failed", late, late)))
    assert "by words: late" in told
    assert "no answer: both searches failed" in told
