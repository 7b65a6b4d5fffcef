"""Which filler covers which wait."""

from collections.abc import Collection, Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kamerton.orchestrator.fillers import (
    ECHO_FROM_MS,
    MAX_TOPIC_CHARS,
    SHORT_BELOW_MS,
    ExpectedWait,
    Filler,
    FillerSchedule,
    FillerWait,
)

GROUPS = {
    "short": ["Угу.", "Так."],
    "thinking": ["Секунду, смотрю.", "Минутку."],
    "still_working": ["Проверяю.", "Уже почти готово."],
    "echo": ["Про {topic} — сейчас скажу.", "{topic}? Сейчас."],
}
SHORT_MS, PHRASE_MS, LONG_MS = SHORT_BELOW_MS - 1, SHORT_BELOW_MS, ECHO_FROM_MS
GROUP_NAMES = ("short", "thinking", "still_working", "echo", "calculating")


def sound(text: str) -> str:
    return "".join(character for character in text.lower() if character.isalnum())


def said(
    schedule: FillerSchedule,
    count: int,
    remaining_ms: float = PHRASE_MS,
    *,
    own: Sequence[str] = (),
    topic: str = "",
    missing: Collection[str] = (),
) -> list[str]:
    """Texts of one wait; those that a reply may cut off are marked with a tilde."""
    fillers = [
        schedule.next(FillerWait(at == 0, remaining_ms, own, topic), lambda text: text not in missing)
        for at in range(count)
    ]
    return [f"{filler.text}{'~' if filler.cuttable else ''}" for filler in fillers if filler is not None]


@pytest.mark.parametrize(
    ("remaining_ms", "topic", "text"),
    [
        (SHORT_MS, "", "Угу."),
        (SHORT_MS, "документы", "Угу."),
        (PHRASE_MS, "", "Секунду, смотрю."),
        (PHRASE_MS, "документы", "Секунду, смотрю."),
        (LONG_MS, "", "Секунду, смотрю."),
        (LONG_MS, "документы", "Про документы — сейчас скажу."),
        (LONG_MS, "д" * (MAX_TOPIC_CHARS + 1), "Секунду, смотрю."),
        (LONG_MS, " \n", "Секунду, смотрю."),
        (LONG_MS, "о\nдва", "Секунду, смотрю."),
    ],
)
def test_the_first_one_suits_the_expected_wait(remaining_ms: float, topic: str, text: str) -> None:
    assert said(FillerSchedule(GROUPS), 1, remaining_ms, topic=topic) == [f"{text}~"]


def test_a_sound_is_followed_by_a_phrase_and_then_by_neutral_ones_in_turn() -> None:
    schedule = FillerSchedule(GROUPS)
    assert said(schedule, 5, SHORT_MS) == [
        *("Угу.~", "Секунду, смотрю.~", "Проверяю.~", "Уже почти готово.~", "Проверяю.~"),
    ]
    assert said(schedule, 3, SHORT_MS) == ["Так.~", "Минутку.~", "Уже почти готово.~"]


def test_the_states_own_fillers_come_first_in_order_and_are_not_cut() -> None:
    own = ["Считаю стоимость.", "Применяю коэффициенты."]
    assert said(FillerSchedule(GROUPS), 4, SHORT_MS, own=own) == [*own, "Проверяю.~", "Уже почти готово.~"]


def test_each_wait_begins_with_the_first_own_filler() -> None:
    schedule, own = FillerSchedule(GROUPS), ["Считаю стоимость.", "Применяю коэффициенты."]
    assert said(schedule, 2, own=own) == said(schedule, 2, own=own) == own


def test_own_fillers_that_are_known_late_come_after_what_was_said() -> None:
    schedule = FillerSchedule(GROUPS)
    first = schedule.next(FillerWait(True, PHRASE_MS), lambda text: True)
    second = schedule.next(FillerWait(False, PHRASE_MS, ["Считаю."]), lambda text: True)
    assert (first, second) == (Filler("Секунду, смотрю.", True), Filler("Считаю.", False))


def test_what_is_not_at_hand_is_passed_over() -> None:
    own = ["Считаю стоимость.", "Применяю коэффициенты."]
    missing = {own[0], "Проверяю."}
    assert said(FillerSchedule(GROUPS), 2, own=own, missing=missing) == [own[1], "Уже почти готово.~"]
    echoes = {"Про документы — сейчас скажу.", "Документы? Сейчас."}
    assert said(FillerSchedule(GROUPS), 1, LONG_MS, topic="документы", missing=echoes) == ["Секунду, смотрю.~"]
    assert said(FillerSchedule(GROUPS), 3, missing={text for texts in GROUPS.values() for text in texts}) == []


def test_the_echo_can_be_rendered_ahead() -> None:
    schedule = FillerSchedule(GROUPS)
    for text in ("Про права — сейчас скажу.", "Права? Сейчас.", "Про права — сейчас скажу."):
        assert schedule.echo("права") == text
        assert said(schedule, 1, LONG_MS, topic="права") == [f"{text}~"]
    assert schedule.echo("") is None
    assert FillerSchedule({"thinking": ["Так."]}).echo("права") is None


def test_a_topic_is_no_template() -> None:
    assert FillerSchedule(GROUPS).echo("{0.__class__} {topic}") == "Про {0.__class__} {topic} — сейчас скажу."


def test_the_same_sound_in_two_groups_is_not_said_twice() -> None:
    groups = {"thinking": ["Секунду…"], "still_working": ["секунду.", "Проверяю."]}
    assert said(FillerSchedule(groups), 3) == ["Секунду…~", "Проверяю.~", "секунду.~"]


def test_an_own_filler_that_was_just_said_is_not_repeated() -> None:
    assert said(FillerSchedule(GROUPS), 3, own=["Считаю.", "Считаю", "Готово."]) == ["Считаю.", "Готово.", "Проверяю.~"]


def test_an_assistant_with_one_filler_says_it_once() -> None:
    schedule = FillerSchedule({"thinking": ["Так."], "still_working": ["Так…"]})
    assert said(schedule, 3) == ["Так.~"]
    assert said(schedule, 1) == []


@pytest.mark.parametrize("groups", [{}, {"thinking": []}, {"still_working": ["…", ""]}])
def test_an_assistant_without_fillers_says_nothing(groups: Mapping[str, Sequence[str]]) -> None:
    assert said(FillerSchedule(groups), 2, LONG_MS, topic="права") == []


TEXTS = st.lists(st.sampled_from(["Так.", "так…", "Секунду.", "Угу", "Смотрю.", "Про {topic}.", "…"]), max_size=4)
WAITS = st.lists(
    st.builds(
        FillerWait,
        first=st.booleans(),
        remaining_ms=st.sampled_from([SHORT_MS, PHRASE_MS, LONG_MS]),
        own=TEXTS,
        topic=st.sampled_from(["", "права", "так"]),
    ),
    max_size=40,
)


@given(st.dictionaries(st.sampled_from(GROUP_NAMES), TEXTS), WAITS, st.data())
def test_never_the_same_twice_in_a_row_and_nothing_that_is_not_at_hand(
    groups: dict[str, list[str]], waits: list[FillerWait], data: st.DataObject
) -> None:
    schedule, last = FillerSchedule(groups), ""
    for wait in waits:
        missing = data.draw(st.sets(st.sampled_from(["Так.", "Секунду.", "Угу", "Про права."])))
        filler = schedule.next(wait, lambda text, missing=missing: text not in missing)  # type: ignore[misc]
        if filler is None:
            continue
        assert filler.text not in missing
        assert sound(filler.text) not in ("", last)
        assert filler.cuttable or filler.text in wait.own
        last = sound(filler.text)


@given(
    st.lists(st.sampled_from(["а", "б", "в"]), min_size=2, max_size=4, unique=True),
    st.lists(st.booleans(), max_size=30),
    st.sampled_from([SHORT_MS, PHRASE_MS, LONG_MS]),
)
def test_with_two_neutral_fillers_at_hand_it_is_never_silent(
    neutral: list[str], firsts: list[bool], remaining_ms: float
) -> None:
    schedule = FillerSchedule({"still_working": neutral})
    assert all(schedule.next(FillerWait(first, remaining_ms), lambda text: True) for first in firsts)


@given(st.lists(st.text("абвгд", min_size=1), max_size=6, unique=True))
def test_own_fillers_are_all_said_in_their_order(own: list[str]) -> None:
    assert said(FillerSchedule({}), len(own) + 2, own=own) == own


class TestExpectedWait:
    def test_before_anything_is_known_a_model_takes_longer_than_a_scenario(self) -> None:
        wait = ExpectedWait()
        assert wait.remaining_ms("scenario", 0) < SHORT_BELOW_MS < wait.remaining_ms("llm", 0)
        assert wait.remaining_ms("tool", 300) > ECHO_FROM_MS
        assert wait.remaining_ms(None, 0) == wait.remaining_ms("error", 0) > SHORT_BELOW_MS

    def test_it_is_the_median_of_the_recent_waits_of_the_path(self) -> None:
        wait = ExpectedWait()
        for waited_ms in (700.0, 9000.0, 800.0):
            wait.note("llm", waited_ms)
        wait.note("tool", 5000.0)
        assert wait.remaining_ms("llm", 300.0) == 500.0
        for _ in range(15):
            wait.note("llm", 2000.0)
        assert wait.remaining_ms("llm", 300.0) == 1700.0

    def test_only_longer_waits_tell_how_this_one_goes_on(self) -> None:
        wait = ExpectedWait()
        for waited_ms in (200.0, 250.0, 280.0, 2300.0):
            wait.note("llm", waited_ms)
        assert wait.remaining_ms("llm", 300.0) == 2000.0
        assert wait.remaining_ms("llm", 4000.0) == 4000.0

    @given(st.lists(st.floats(0, 1e6), max_size=40), st.floats(0, 1e6))
    def test_it_is_never_negative(self, waits: list[float], waited_ms: float) -> None:
        wait = ExpectedWait()
        for one_ms in waits:
            wait.note("llm", one_ms)
        assert wait.remaining_ms("llm", waited_ms) >= 0
