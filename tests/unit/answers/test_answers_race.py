"""The race of both searches on the virtual clock, and what instant answers make of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import anyio
import pytest

from kamerton.answers.calibration import Calibration, OperatingPoint
from kamerton.answers.catalogue import AnswerEntry
from kamerton.answers.catalogue_search import AnswerSearcher, Ranked
from kamerton.answers.instant import AnswerParts, AnswerSearch, InstantAnswers
from kamerton.answers.keyword_search import KeywordIndex, KeywordSearch
from kamerton.domain.errors import EngineError
from kamerton.orchestrator.workers import InlineWorker
from kamerton.testing.virtual_loop import VirtualLoop

pytestmark = pytest.mark.anyio

ENTRIES = (
    AnswerEntry("card", "Можно ли оплатить картой?", "Да, можно."),
    AnswerEntry("office", "Где находится офис?", "Нигде."),
    AnswerEntry("robot", "Вы робот или человек?", "Робот."),
)
INDEX = KeywordIndex(ENTRIES, "ru")

EASY = Calibration(
    embedder="m",
    both=OperatingPoint({"meaning": 10.0, "coverage": 4.0}, -8.0, 0.5),
    words_alone=OperatingPoint({"coverage": 10.0, "words_lead": 2.0}, -10.0, 0.8),
    meaning_alone=OperatingPoint({"meaning": 20.0}, -14.0, 0.9),
)
"""Both: cosine and coverage; each alone asks for more."""


@pytest.fixture
def anyio_backend() -> object:
    return ("asyncio", {"loop_factory": VirtualLoop})


@dataclass
class ScriptedSearch:
    """A search that takes its time and then gives what the script says, or raises."""

    ranking: Sequence[Ranked] = ()
    after_s: float = 0.0
    error: Exception | None = None
    name: str = "scripted"
    finished: int = 0
    cancelled: int = 0

    async def search(self, text: str, limit: int) -> tuple[Ranked, ...]:
        try:
            await anyio.sleep(self.after_s)
        except anyio.get_cancelled_exc_class():
            self.cancelled += 1
            raise
        self.finished += 1
        if self.error is not None:
            raise self.error
        return tuple(self.ranking[:limit])


def cosines(**scores: float) -> ScriptedSearch:
    ranking = [Ranked(answer_id, score) for answer_id, score in scores.items()]
    return ScriptedSearch(sorted(ranking, key=lambda ranked: -ranked.score), after_s=0.03)


def answers(
    meaning: AnswerSearcher, words: AnswerSearcher | None = None, calibration: Calibration = EASY
) -> InstantAnswers:
    chosen = words or KeywordSearch(INDEX, InlineWorker())
    return InstantAnswers(AnswerParts(ENTRIES, INDEX, chosen, meaning, calibration), InlineWorker())


def found(search: AnswerSearch) -> str | None:
    return search.verdict.faq_id if search.verdict is not None else None


async def test_the_same_words_answer_at_once() -> None:
    meaning = cosines(office=1.0)
    search = await answers(meaning).find("оплатить картой можно ли")
    assert (found(search), search.reason, search.took_ms) == ("card", "same words", 0.0)
    assert search.verdict is not None
    assert search.verdict.answer == "Да, можно."
    assert (meaning.finished, meaning.cancelled) == (0, 1)
    assert search.meaning.failure == "not needed"


async def test_words_and_meaning_decide_together() -> None:
    search = await answers(cosines(card=0.8, office=0.1, robot=0.0)).find("картой как-нибудь оплатите")
    assert (found(search), search.reason) == ("card", "words and meaning")
    assert search.took_ms == pytest.approx(30)
    assert search.words.ranking is not None
    assert search.meaning.ranking is not None


async def test_what_is_not_sure_is_not_answered() -> None:
    search = await answers(cosines(card=0.3, office=0.25, robot=0.2)).find("кредитные проценты")
    assert search.verdict is None
    assert search.reason.startswith("words and meaning: not sure (0.")
    assert search.evidence[0].meaning == 0.3


async def test_meaning_finds_what_shares_no_word() -> None:
    search = await answers(cosines(office=0.95, card=0.1, robot=0.0)).find("адрес подскажете")
    assert (found(search), search.reason) == ("office", "words and meaning")
    assert search.words.ranking == ()


@pytest.mark.parametrize("error", [EngineError("model is gone"), ZeroDivisionError("a bug")])
async def test_words_decide_alone_when_meaning_fails(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    broken = ScriptedSearch(error=error, name="broken-search")
    search = await answers(broken).find("картой оплатить прошлый")
    assert search.verdict is None
    assert search.reason.startswith("words alone: not sure")
    search = await answers(broken).find("картой оплачу")
    assert (found(search), search.reason) == ("card", "words alone")
    assert any(record.__dict__.get("search") == "broken-search" for record in caplog.records)


async def test_meaning_decides_alone_when_words_fail() -> None:
    broken = ScriptedSearch(error=EngineError("server is gone"))
    sure = await answers(cosines(office=0.95, card=0.1), broken).find("где находится офис")
    assert (found(sure), sure.reason) == ("office", "meaning alone")
    unsure = await answers(cosines(office=0.75, card=0.1), broken).find("где находится офис")
    assert unsure.verdict is None
    assert unsure.words.failure == "server is gone"


async def test_a_late_search_does_not_hold_the_other_up(caplog: pytest.LogCaptureFixture) -> None:
    late = ScriptedSearch([Ranked("office", 1.0)], after_s=5.0)
    search = await answers(late).find("картой оплачу")
    assert (found(search), search.reason) == ("card", "words alone")
    assert search.took_ms == pytest.approx(200)
    assert (search.meaning.failure, late.cancelled) == ("late", 1)
    assert "late" in caplog.text


async def test_late_words_leave_meaning_alone() -> None:
    search = await answers(cosines(office=0.95, card=0.1), ScriptedSearch(after_s=5.0)).find("где находится офис")
    assert (found(search), search.reason) == ("office", "meaning alone")
    assert search.took_ms == pytest.approx(200)


async def test_both_searches_failing_is_no_answer_and_no_error() -> None:
    broken = ScriptedSearch(error=EngineError("gone"))
    search = await answers(broken, broken).find("где находится офис")
    assert (search.verdict, search.reason, search.evidence) == (None, "both searches failed", ())


async def test_both_searches_late() -> None:
    slow = ScriptedSearch(after_s=9.0)
    search = await answers(slow, ScriptedSearch(after_s=9.0)).find("где находится офис")
    assert (search.verdict, search.reason) == (None, "both searches failed")
    assert search.took_ms == pytest.approx(200)


@pytest.mark.parametrize(("text", "reason"), [("", "empty"), (" ?! ", "empty")])
async def test_nothing_said_asks_nobody(text: str, reason: str) -> None:
    meaning = cosines(card=1.0)
    search = await answers(meaning).find(text)
    assert (search.verdict, search.reason, meaning.finished) == (None, reason, 0)


async def test_cancelling_cancels_both_searches_and_spoils_nothing() -> None:
    slow, words = ScriptedSearch(after_s=0.1), ScriptedSearch(after_s=0.1)
    instant = answers(slow, words)
    with anyio.move_on_after(0.05):
        await instant.find("где находится офис")
    assert (slow.cancelled, words.cancelled) == (1, 1)
    assert (await instant.find("где находится офис")).words.ranking == ()


async def test_an_answer_that_only_the_index_has_is_passed_over(caplog: pytest.LogCaptureFixture) -> None:
    search = await answers(cosines(ghost=0.99, office=0.95, card=0.1)).find("адрес подскажете")
    assert found(search) == "office"
    assert any("ghost" in str(record.__dict__.get("answers")) for record in caplog.records)


async def test_without_a_calibration_only_wide_leads_are_answered() -> None:
    strict = Calibration("m")
    clear = cosines(card=0.9, office=0.12, robot=0.1)
    assert found(await answers(clear, calibration=strict).find("картой оплачу")) == "card"
    assert found(await answers(clear, calibration=strict).find("картой оплачу завтра ипотеку")) is None
    close = cosines(card=0.9, office=0.88, robot=0.1)
    refused = await answers(close, calibration=strict).find("картой оплачу")
    assert (refused.verdict, refused.reason) == (None, "not sure, strict rules")
    late = ScriptedSearch(after_s=9.0)
    assert (await answers(late, calibration=strict).find("картой оплачу")).reason == "words alone, strict rules"


async def test_two_answers_with_the_same_wording_are_no_strong_hit() -> None:
    twins = (replace(ENTRIES[0], answer_id="one"), replace(ENTRIES[0], answer_id="two"))
    index = KeywordIndex(twins, "ru")
    parts = AnswerParts(twins, index, KeywordSearch(index, InlineWorker()), cosines(one=0.5, two=0.5), Calibration("m"))
    assert (await InstantAnswers(parts, InlineWorker()).find("картой можно оплатить ли")).verdict is None


async def test_many_searches_at_once_do_not_mix() -> None:
    instant = answers(cosines(card=0.1, office=0.1))
    verdicts: dict[str, str | None] = {}

    async def ask(text: str) -> None:
        verdicts[text] = found(await instant.find(text))

    async with anyio.create_task_group() as tasks:
        for entry in ENTRIES:
            tasks.start_soon(ask, entry.question)
    assert verdicts == {entry.question: entry.answer_id for entry in ENTRIES}
