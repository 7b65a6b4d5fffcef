import pytest
from hypothesis import given
from hypothesis import strategies as st

from kamerton.stt.whisper.readings import (
    Reading,
    Transcript,
    collapse_loops,
    hint_sentences,
    is_wordless,
    needs_plain_reading,
    transcript_of,
)

SURE_NUMBER = Reading("Сорок.", -0.05, 0.04)


def test_a_hinted_number_beats_its_plain_misreading() -> None:
    chosen = transcript_of(Reading("Сурок", -1.0, 0.23), SURE_NUMBER)
    assert chosen.text == "Сорок."
    assert chosen.alternatives == ("Сурок",)
    assert chosen.confidence == pytest.approx(0.951, abs=1e-3)


def test_free_speech_that_the_hint_spoiled_keeps_its_plain_reading_first() -> None:
    plain = Reading("Нет 150 лошадиных сил.", -0.3, 0.09)
    spoiled = Reading("Нет. Сто пятьдесят. Лучше один их сил.", -0.41, 0.0)
    chosen = transcript_of(plain, spoiled)
    assert (chosen.text, chosen.alternatives) == (plain.text, (spoiled.text,))


def test_a_hint_must_win_by_more_than_its_own_advantage() -> None:
    assert transcript_of(Reading("да", -0.5), Reading("Два.", -0.45)).text == "да"
    assert transcript_of(Reading("да", -0.6), Reading("Два.", -0.45)).text == "Два."


def test_readings_that_differ_in_case_and_punctuation_only_are_one() -> None:
    chosen = transcript_of(Reading("все верно", -0.5), Reading("Всё верно.", -0.1))
    assert (chosen.text, chosen.alternatives) == ("Всё верно.", ())


def test_without_a_hint_the_plain_reading_stands_alone() -> None:
    assert transcript_of(Reading("Завтра.", -0.4), None).alternatives == ()


def test_a_confident_hinted_reading_stands_alone() -> None:
    assert not needs_plain_reading(SURE_NUMBER)
    chosen = transcript_of(None, SURE_NUMBER)
    assert (chosen.text, chosen.alternatives) == ("Сорок.", ())


@pytest.mark.parametrize("hinted", [Reading("Двадцать.", -0.63, 0.04), Reading("…", -0.01, 0.0), Reading("", 0.0, 0.0)])
def test_a_doubtful_or_empty_hinted_reading_asks_for_the_plain_one(hinted: Reading) -> None:
    assert needs_plain_reading(hinted)


@pytest.mark.parametrize(
    ("plain", "hinted"),
    [
        (Reading("Слышь, а я не могу.", -2.4, 0.76), Reading("Двадцать.", -0.9, 0.47)),
        (Reading("СПОКОЙНАЯ МУЗЫКА", -1.1, 0.67), Reading("Двадцать.", -0.75, 0.17)),
        (Reading("Блин.", -1.8, 0.29), Reading("Двадцать.", -0.71, 0.02)),
        (Reading("Би", -3.5, 0.44), Reading("Сто", -1.81, 0.34)),
        (Reading("Думаю, что это не вовсе?", -2.4, 0.62), None),
    ],
)
def test_noise_becomes_no_text_even_where_the_hint_invented_a_number(plain: Reading, hinted: Reading | None) -> None:
    assert is_wordless(plain, hinted)
    assert transcript_of(plain, hinted) == Transcript()


@pytest.mark.parametrize(
    ("plain", "hinted"),
    [
        (Reading("да", -1.2, 0.36), Reading("Да.", -0.64, 0.02)),
        (Reading("Два.", -0.84, 0.31), Reading("Два.", -0.21, 0.0)),
        (Reading("20-5", -2.07, 0.01), Reading("Двадцать пять.", -0.11, 0.0)),
        (Reading("в 100 50", -1.5, 0.53), Reading("Сто пятьдесят.", -0.24, 0.02)),
        (Reading("Что-то тут совсем не так.", -0.23, 0.62), None),
    ],
)
def test_short_and_unclear_words_survive(plain: Reading, hinted: Reading | None) -> None:
    assert transcript_of(plain, hinted).text


def test_punctuation_alone_is_no_text() -> None:
    assert transcript_of(Reading("…", -0.2, 0.1), Reading(" - ", -0.9)) == Transcript()


@given(st.text(), st.floats(-20, 0), st.floats(0, 1), st.text(), st.floats(-20, 0))
def test_whatever_is_read_the_transcript_is_well_formed(
    plain: str, score: float, no_speech: float, hinted: str, hinted_score: float
) -> None:
    chosen = transcript_of(Reading(plain, score, no_speech), Reading(hinted, hinted_score))
    assert 0.0 <= chosen.confidence <= 1.0
    assert chosen.text not in chosen.alternatives
    assert chosen.text or chosen == Transcript()


def test_expected_answers_become_sentences_once_each() -> None:
    phrases = ("сто пятьдесят", " двое ", "Двое.", "", "…", "да,  всё верно!")
    assert hint_sentences(phrases) == ["Сто пятьдесят.", "Двое.", "Да, всё верно."]


@pytest.mark.parametrize(
    ("text", "cut", "wanted"),
    [
        ("один один один один один один", False, "один"),
        ("один один один", True, "один"),
        ("один один один", False, "один один один"),
        ("пять, пять, пять, пять", False, "пять, пять, пять, пять"),
        ("Нет, неверно. Нет, неверно. Нет, неверно. Нет, нев", True, "Нет, неверно."),
        ("ну да да да да да вот", False, "ну да вот"),
        ("Двадцать пять. двадцать пять двадцать пять двадцать", True, "Двадцать пять."),
        ("раз два три", True, "раз два три"),
        ("", True, ""),
    ],
)
def test_decoder_loops_collapse_and_speech_does_not(text: str, cut: bool, wanted: str) -> None:
    assert collapse_loops(text, cut=cut) == wanted


@given(st.lists(st.sampled_from(["да", "нет", "сто"]), max_size=30), st.booleans())
def test_collapsing_never_adds_words(words: list[str], cut: bool) -> None:
    collapsed = collapse_loops(" ".join(words), cut=cut).split()
    assert len(collapsed) <= len(words)
    assert set(collapsed) <= set(words)
    assert bool(collapsed) == bool(words)


@pytest.mark.parametrize(
    ("hinted", "wordless"),
    [
        (Reading("Один.", -0.54, 0.02), False),
        (Reading("Двести.", -0.54, 0.02), True),
        (Reading("Один.", -1.0, 0.02), True),
        (Reading("Один.", -0.54, 0.3), True),
    ],
    ids=["the same word", "another word", "the same but unsure", "the same but no speech"],
)
def test_two_readings_that_agree_are_words_although_the_plain_one_is_poor(hinted: Reading, wordless: bool) -> None:
    assert is_wordless(Reading("один", -1.9, 0.25), hinted) is wordless


def test_two_empty_readings_agree_on_nothing() -> None:
    assert is_wordless(Reading("…", -1.9), Reading("", -0.6))
