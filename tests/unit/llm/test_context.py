from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kamerton.domain.language_model import ChatMessage
from kamerton.llm.context import Exchange, LLMContext
from kamerton.llm.token_counts import MAX_SCALE, MIN_SCALE, TokenCalibration, estimate_tokens


def talk(*pairs: tuple[str, str], tokens: int = 10) -> LLMContext:
    context = LLMContext()
    for user, heard in pairs:
        context = context.with_exchange(Exchange(user, heard, tokens))
    return context


def test_messages_are_the_summary_and_then_the_exchanges() -> None:
    context = talk(("сто", "Понял, сто."), ("да", "Готово.")).with_summary("Клиента зовут Олег.", 7)
    assert context.messages() == (
        ChatMessage("system", "Клиента зовут Олег."),
        ChatMessage("user", "сто"),
        ChatMessage("assistant", "Понял, сто."),
        ChatMessage("user", "да"),
        ChatMessage("assistant", "Готово."),
    )
    assert context.token_count == 27


def test_words_of_one_side_in_a_row_become_one_message() -> None:
    context = talk(("", "Здравствуйте!"), ("", "Вы на линии?"), ("да", ""), ("сто", "Понял."))
    assert context.messages() == (
        ChatMessage("assistant", "Здравствуйте!\nВы на линии?"),
        ChatMessage("user", "да\nсто"),
        ChatMessage("assistant", "Понял."),
    )


def test_an_empty_context_says_nothing() -> None:
    assert LLMContext().messages() == ()
    assert LLMContext().token_count == 0


def test_a_context_never_changes() -> None:
    before = talk(("а", "б"))
    after = before.with_exchange(Exchange("в", "г", 5)).without_oldest(1)
    assert [exchange.user_text for exchange in before.exchanges] == ["а"]
    assert [exchange.user_text for exchange in after.exchanges] == ["в"]
    assert (before.token_count, after.token_count) == (10, 5)


def test_what_fits_is_counted_from_either_end() -> None:
    context = LLMContext()
    for tokens in (50, 10, 10, 40):
        context = context.with_exchange(Exchange("а", "б", tokens))
    assert context.oldest_within(60) == 2
    assert context.oldest_within(49) == 0
    assert context.newest_within(60) == 3
    assert context.newest_within(-5) == 0
    assert context.newest_within(1000) == 4


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", 0),
        ("   \n", 0),
        ("да", 1),
        ("страхование", 4),
        ("insurance", 3),
        ("150", 1),
        ("89161234567", 4),
        ("да, 🙂!", 4),
    ],
)
def test_the_estimate(text: str, tokens: int) -> None:
    assert estimate_tokens(text) == tokens


@given(st.text(), st.text())
def test_a_longer_text_has_no_fewer_tokens(text: str, more: str) -> None:
    assert estimate_tokens(f"{text} {more}") == estimate_tokens(text) + estimate_tokens(more)
    assert estimate_tokens(text) <= len(text)


def test_a_count_sets_the_overhead_at_once() -> None:
    calibration = TokenCalibration(spread=100)
    calibration.observe(estimated=50, counted=450)
    assert calibration.overhead == 400
    assert calibration.scale == 1.0


def test_counts_of_short_and_long_prompts_tell_the_scale() -> None:
    calibration = TokenCalibration(spread=100)
    for estimated in range(0, 3000, 40):
        calibration.observe(estimated, counted=300 + round(1.4 * estimated))
    assert calibration.scale == pytest.approx(1.4, abs=0.02)
    assert calibration.overhead == pytest.approx(300, abs=60)
    assert calibration.estimate_at(300 + 1.4 * 4000) == pytest.approx(4000, rel=0.02)


def test_turns_of_different_length_do_not_move_the_scale() -> None:
    calibration = TokenCalibration(spread=100)
    for estimated, counted in ((100, 500), (120, 640), (140, 480)):
        calibration.observe(estimated, counted)
    assert calibration.scale == 1.0


@given(st.lists(st.tuples(st.integers(0, 10_000), st.integers(-5, 10**9)), max_size=20))
def test_whatever_a_vendor_counts_stays_within_bounds(counts: list[tuple[int, int]]) -> None:
    calibration = TokenCalibration(spread=100)
    for estimated, counted in counts:
        calibration.observe(estimated, counted)
    assert MIN_SCALE <= calibration.scale <= MAX_SCALE
    assert calibration.overhead >= 0


def test_other_instructions_do_not_pass_for_an_error_of_the_estimate() -> None:
    calibration = TokenCalibration(spread=100)
    calibration.observe(estimated=100, counted=300)
    calibration.observe(estimated=250, counted=900)
    assert calibration.scale == 1.0
    assert calibration.overhead == 650


def test_an_estimate_that_is_too_high_is_followed_by_the_last_count_alone() -> None:
    calibration = TokenCalibration(spread=100)
    for estimated in (0, 1000, 2000):
        calibration.observe(estimated, counted=300 + estimated // 2)
    assert calibration.scale == 1.0
    assert calibration.estimate_at(1300) == 2000
    assert calibration.estimate_at(1400) == 2100


def test_without_a_count_the_estimate_stands() -> None:
    calibration = TokenCalibration(spread=100)
    assert calibration.estimate_at(500) == 500
    assert calibration.overhead == 0


def test_a_vendor_that_counts_nothing_changes_nothing() -> None:
    calibration = TokenCalibration(spread=100)
    calibration.observe(estimated=50, counted=450)
    calibration.observe(estimated=90, counted=0)
    assert calibration.overhead == 400
