from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kamerton.domain.audio import PHONE, Clip, Segment
from kamerton.orchestrator.utterance import Utterance

words = st.lists(st.sampled_from(["раз", "два", "сто пятьдесят", "", "да"]), max_size=5).map(" ".join)
segments = st.lists(st.tuples(words, st.integers(0, 4000)), min_size=1, max_size=6)


def utterance(parts: list[tuple[str, int]], complete: bool = True) -> Utterance:
    made = Utterance(1, "reply", PHONE, complete=complete)
    clip = Clip(bytes(2 * sum(n for _, n in parts)), PHONE, tuple(Segment(text, n) for text, n in parts))
    made.add(clip)
    return made


@given(segments, st.integers(0, 30_000))
def test_what_was_heard_is_a_prefix_of_the_text_in_whole_words(parts: list[tuple[str, int]], heard: int) -> None:
    made = utterance(parts)
    got = made.heard_text(heard).split()
    assert made.text.split()[: len(got)] == got
    if heard >= made.samples:
        assert got == made.text.split()


@given(segments, st.integers(0, 30_000), st.integers(0, 30_000))
def test_more_heard_is_never_fewer_words(parts: list[tuple[str, int]], first: int, second: int) -> None:
    made = utterance(parts)
    fewer, more = sorted((first, second))
    assert len(made.heard_text(fewer).split()) <= len(made.heard_text(more).split())


@given(segments, st.floats(0, 1))
def test_rewinding_goes_to_the_start_of_the_clause_or_a_little_back_in_a_long_one(
    parts: list[tuple[str, int]], share: float
) -> None:
    made = utterance(parts)
    while made.take_frame() is not None:
        pass
    heard = int(share * made.samples)
    made.rewind(heard)
    boundaries = {sum(n for _, n in parts[:count]) for count in range(len(parts))}
    at_boundary = made.taken_samples in boundaries and made.taken_samples <= heard
    assert at_boundary or 300 <= PHONE.duration_ms(heard - made.taken_samples) <= 900


def test_resuming_a_long_clause_starts_in_its_quietest_place() -> None:
    loud, quiet = b"\x00\x20" * 160, bytes(320)
    made = Utterance(1, "reply", PHONE, complete=True)
    made.add_audio(loud * 50 + quiet + loud * 49, "одно длинное предложение без запятых")
    made.rewind(8000 * 15 // 10)
    assert made.taken_samples == 0  # nothing was taken yet: never forward
    for _ in range(75):
        made.take_frame()
    made.rewind(8000 * 15 // 10)
    assert made.taken_samples == 50 * 160


@given(st.lists(st.integers(0, 700), max_size=8))
def test_frames_give_the_audio_back_padded_only_at_the_end(sizes: list[int]) -> None:
    made = Utterance(1, "reply", PHONE)
    audio = b""
    got = b""
    for number, samples in enumerate(sizes):
        piece = bytes([number + 1]) * (samples * 2)
        audio += piece
        made.add_audio(piece, f"слово{number}")
        while (frame := made.take_frame()) is not None:
            assert len(frame) == 320
            got += frame
        assert audio.startswith(got)
        assert not made.exhausted
    made.complete = True
    while (frame := made.take_frame()) is not None:
        got += frame
    assert made.exhausted
    assert got == audio.ljust(len(got), b"\0")
    assert len(got) - len(audio) < 320


def test_audio_without_text_continues_the_clause_before() -> None:
    made = Utterance(1, "reply", PHONE)
    made.add_audio(bytes(320), "раз два")
    made.add_audio(bytes(320), "")
    made.add_audio(bytes(320), "три")
    assert [(s.text, s.samples) for s in made.segments] == [("раз два", 320), ("три", 160)]
    assert made.heard_text(160) == "раз"
    assert made.heard_text(320) == "раз два"


def test_an_utterance_without_audio_is_exhausted_as_soon_as_it_is_complete() -> None:
    made = Utterance(1, "reply", PHONE)
    states = [made.exhausted]
    made.complete = True
    states.append(made.exhausted)
    assert states == [False, True]
    assert made.heard_text(1000) == ""


def word_by_word() -> Utterance:
    """Two clauses of two chunks each, the second chunk of each going on with its clause; all of it was taken."""
    made = Utterance(1, "reply", PHONE, complete=True)
    for text, goes_on in (("Добрый", False), ("день!", True), ("Как", False), ("дела?", True)):
        made.add_audio(bytes(2 * 3200), text, goes_on=goes_on)
    while made.take_frame() is not None:
        pass
    return made


def test_what_was_heard_is_known_to_the_word() -> None:
    made = word_by_word()
    assert made.heard_text(3 * 3200) == "Добрый день! Как"
    assert made.heard_text(3200 + 100) == "Добрый"


def test_resuming_in_the_middle_of_a_clause_starts_at_its_beginning_however_many_chunks_it_has() -> None:
    made = word_by_word()
    made.rewind(3 * 3200 + 500)
    assert made.taken_samples == 2 * 3200


def test_a_clause_is_finished_with_its_last_chunk() -> None:
    made = Utterance(1, "reply", PHONE, complete=True)
    for text, goes_on in (("Добрый", False), ("день!", True), ("Как дела?", False)):
        made.add_audio(bytes(2 * 3200), text, goes_on=goes_on)
    for _ in range(3):
        made.take_frame()
    made.end_with_clause()
    assert made.text == "Добрый день!"
    assert made.samples == 2 * 3200
