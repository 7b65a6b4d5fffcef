"""What was written is told for what is said: numbers, money, addresses, whatever the voice makes of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kamerton.domain.audio import PHONE, SAMPLE_BYTES, Clip, Segment
from kamerton.tts.clauses import split_clauses
from kamerton.tts.spoken.text import spoken
from kamerton.tts.written_text import WrittenText, written_clip

WRITTEN = (
    ("Цена 13 200 рублей. Вас это устраивает?", ["Цена 13 200 рублей.", "Вас это устраивает?"]),
    ("Ваш номер 8 912 345-67-89. Верно?", ["Ваш номер", "8 912", "345-67-89.", "Верно?"]),
    ("Пишите на ivan.petrov@mail.ru. Ждём!", ["Пишите на ivan.petrov@mail.ru.", "Ждём!"]),
    ("**ОСАГО** до 31.12.2026 🙂. Стоит 5 %.", ["**ОСАГО** до 31.12.2026 🙂.", "Стоит 5 %."]),
    ("Да. Нет.", ["Да.", "Нет."]),
    ("12", ["12"]),
)


@pytest.mark.parametrize(("text", "clauses"), WRITTEN)
def test_each_clause_has_its_own_words(text: str, clauses: list[str]) -> None:
    said = spoken(text, "ru")
    written = WrittenText(text, said)
    assert [written.of(clause) for clause in split_clauses(said)] == clauses


def test_a_clause_without_sound_gives_its_words_to_the_next_one() -> None:
    written = WrittenText("Раз 1. Два 2. Три 3.", "Раз один. Два два. Три три.")
    assert written.of("Раз один.") == "Раз 1."
    assert written.of("Три три.") == "Два 2. Три 3."


def test_what_is_not_part_of_the_text_stays_as_it_is() -> None:
    assert WrittenText("Цена 5 ₽.", "Цена пять рублей.").of("Совсем другое.") == "Совсем другое."


def test_a_clip_keeps_its_audio_and_lengths() -> None:
    said = "Цена пять рублей. Дорого?"
    clip = Clip(bytes(30 * SAMPLE_BYTES), PHONE, (Segment("Цена пять рублей.", 20), Segment("Дорого?", 10)))
    shown = written_clip(clip, "Цена 5 ₽. Дорого?", said)
    assert shown.segments == (Segment("Цена 5 ₽.", 20), Segment("Дорого?", 10))
    assert shown.pcm is clip.pcm
    assert written_clip(clip, said, said) is clip


@given(st.lists(st.sampled_from(["Цена 5 ₽.", "13 200 рублей,", "да", "ОСАГО.", "—", "01.02.2026", "т. д.", "№ 7!"])))
def test_nothing_that_was_written_is_lost(words: list[str]) -> None:
    text = " ".join(words)
    said = spoken(text, "ru")
    written = WrittenText(text, said)
    told = " ".join(part for clause in split_clauses(said) if (part := written.of(clause)))
    assert told == (" ".join(text.split()) if said else "")


def test_a_clause_whose_first_words_stand_for_nothing_written_begins_with_the_next_ones() -> None:
    text = WrittenText("Да. 13200 рублей.", "Да. тринадцать тысяч двести рублей.")
    chunks = [("Да.", False), ("тринадцать", False), ("тысяч", True), ("двести", True), ("рублей.", True)]
    told = [text.of_chunk(said, goes_on) for said, goes_on in chunks]
    assert " ".join(part for part, _ in told if part) == "Да. 13200 рублей."
    assert [goes_on for part, goes_on in told if part] == [False, False, True]


@given(st.lists(st.sampled_from(["Цена 5 ₽.", "13 200 рублей,", "да", "ОСАГО.", "—", "01.02.2026", "т. д.", "№ 7!"])))
def test_nothing_that_was_written_is_lost_word_by_word_either(words: list[str]) -> None:
    text = " ".join(words)
    said = spoken(text, "ru")
    written = WrittenText(text, said)
    told = " ".join(part for word in said.split() if (part := written.of_chunk(word, True)[0]))
    assert told == (" ".join(text.split()) if said else "")
