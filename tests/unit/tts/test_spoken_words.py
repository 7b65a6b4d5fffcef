"""Which words a stretch of the vendor's audio says, whatever its times are worth."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kamerton.audio.tone import tone
from kamerton.domain.audio import PHONE
from kamerton.domain.synthesis import SpeechChunk
from kamerton.tts.voices.spoken_words import Alignment, SpokenWords

IN_TWO_PIECES = [("день!", 280, True), ("Как ваши", 470, False)]
"""The last 20 ms of a piece wait for what comes next."""
SOUND = tone(300, 60_000, PHONE, level_dbfs=-20)


def sound(length_ms: int) -> bytes:
    return SOUND[: 16 * length_ms]


def times(text: str, step_ms: float = 50.0, start_ms: float = 0.0) -> Alignment:
    starts = tuple(start_ms + step_ms * place for place in range(len(text)))
    return Alignment(tuple(text), starts, tuple(start + step_ms for start in starts))


def told(words: SpokenWords, *pieces: tuple[bytes, Alignment | None]) -> list[SpeechChunk]:
    chunks = [chunk for pcm, alignment in pieces for chunk in words.push(pcm, alignment)]
    return [*chunks, *words.rest()]


def of(*clauses: str) -> SpokenWords:
    words = SpokenWords(PHONE)
    for clause in clauses:
        words.add(clause)
    return words


def spans(chunks: list[SpeechChunk]) -> list[tuple[str, int, bool]]:
    return [(chunk.text, len(chunk.pcm) // 16, chunk.goes_on) for chunk in chunks]


def test_chunks_are_cut_where_words_begin() -> None:
    text = "Добрый день! Как ваши дела?"
    chunks = told(of("Добрый день!", "Как ваши дела?"), (sound(50 * len(text)), times(text)))
    assert spans(chunks) == [
        ("Добрый", 350, False),
        ("день!", 300, True),
        ("Как ваши", 450, False),
        ("дела?", 230, True),
        ("", 20, False),
    ]


def test_times_restart_in_every_message() -> None:
    first, second = "Добрый день! ", "Как ваши дела?"
    pieces = ((sound(50 * 13), times(first)), (sound(50 * 14), times(second)))
    assert spans(told(of("Добрый день!", "Как ваши дела?"), *pieces))[1:3] == IN_TWO_PIECES


def test_times_that_count_from_the_start_are_understood() -> None:
    first, second = "Добрый день! ", "Как ваши дела?"
    pieces = ((sound(50 * 13), times(first)), (sound(50 * 14), times(second, start_ms=650.0)))
    assert spans(told(of("Добрый день!", "Как ваши дела?"), *pieces))[1:3] == IN_TWO_PIECES


def test_a_word_that_is_cut_in_two_is_given_out_whole() -> None:
    words = of("Здравствуйте, слушаю.")
    assert words.push(sound(400), times("Здравств")) == []
    chunks = words.push(sound(300), times("уйте, "))
    assert [chunk.text for chunk in chunks] == ["Здравствуйте,"]


def test_what_broke_off_in_a_word_was_not_said() -> None:
    words = of("Раз, дважды, три.")
    chunks = words.push(sound(600), times("Раз, дважды,"))
    assert " ".join(chunk.text for chunk in chunks) == "Раз, дважды,"
    assert words.push(sound(100), times(" т")) == []


def test_the_last_silence_is_cut() -> None:
    chunks = told(of("Да."), (sound(300) + bytes(16 * 500), times("Да.", 100)))
    assert spans(chunks) == [("Да.", 300, False), ("", 60, False)]


def test_a_text_that_was_not_said_to_its_end_is_noticed() -> None:
    words = of("Раз два три четыре пять шесть.")
    words.push(sound(400), times("Раз два "))
    assert words.cut_short
    words.push(sound(1100), times("три четыре пять шесть."))
    assert not words.cut_short


def test_a_sign_that_is_not_said_is_not_waited_for() -> None:
    words = of("Хорошо 🙂")
    assert not words.all_said
    words.push(sound(200), times("Хоро"))
    assert not words.all_said
    words.push(sound(100), times("шо"))
    assert words.all_said


def test_signs_that_the_vendor_leaves_out_do_not_lose_the_thread() -> None:
    chunks = told(of("Привет 🙂 мир!"), (sound(600), times("Привет мир!")))
    assert " ".join(chunk.text for chunk in chunks if chunk.text) == "Привет 🙂 мир!"


texts = st.lists(st.text("абвг.,! 🙂", min_size=1, max_size=20).map(str.strip).filter(bool), min_size=1, max_size=5)
alignments = st.one_of(
    st.none(),
    st.lists(
        st.tuples(st.text("абвг., ", min_size=1, max_size=2), st.floats(-1e9, 1e9), st.floats(-1e9, 1e9)),
        min_size=1,
        max_size=30,
    ).map(lambda items: Alignment(*(tuple(column) for column in zip(*items, strict=True)))),
)


@given(texts, st.lists(st.tuples(st.integers(0, 3000), st.booleans(), alignments), min_size=1, max_size=8))
def test_no_word_and_no_sound_is_lost_whatever_the_times_are(
    clauses: list[str], pieces: list[tuple[int, bool, Alignment | None]]
) -> None:
    words = of(*clauses)
    parts = [(sound(length)[: 16 * length - odd] if length else b"", times) for length, odd, times in pieces]
    chunks = told(words, *parts)
    whole = b"".join(pcm for pcm, _ in parts)
    if len(whole) < 640:
        return
    assert " ".join(chunk.text for chunk in chunks if chunk.text) == " ".join(" ".join(clauses).split())
    assert b"".join(chunk.pcm for chunk in chunks) == whole[: len(whole) - len(whole) % 2]
    assert all(chunk.pcm for chunk in chunks)
    assert not chunks[0].goes_on


def test_times_of_whole_words_are_taken_in_any_case_and_without_signs() -> None:
    words = SpokenWords(PHONE)
    words.add("Учёный, идёт домой.")
    by_word = Alignment(("учёный", "идет", "домой"), (0, 400, 800), (400, 800, 1200))
    chunks = told(words, (sound(1200), by_word))
    lengths = [(chunk.text, len(chunk.pcm) // 16) for chunk in chunks]
    assert lengths == [("Учёный,", 400), ("идёт", 400), ("домой.", 400)]
