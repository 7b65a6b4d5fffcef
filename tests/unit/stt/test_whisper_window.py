import pytest

from kamerton.stt.local_recognizer import calls_carried
from kamerton.stt.whisper.recognizer import length_limit, window_frames


@pytest.mark.parametrize(
    ("turn_frames", "window"),
    [(0, 600), (120, 600), (400, 600), (401, 700), (501, 800), (1000, 1200), (2800, 3000), (3000, 3000)],
)
def test_the_window_leaves_silence_after_the_turn_and_stays_in_the_models_limits(turn_frames: int, window: int) -> None:
    assert window_frames(turn_frames) == window


@pytest.mark.parametrize(("new", "prompt"), [(6, 4), (14, 84), (60, 40), (150, 4)])
def test_the_length_limit_allows_just_the_tokens_wanted(new: int, prompt: int) -> None:
    limit = length_limit(new, prompt)
    assert min(limit // 2, limit - prompt) == new


def test_the_length_limit_keeps_to_whispers_context() -> None:
    assert length_limit(230, 84) == 448


@pytest.mark.parametrize(("turns_per_s", "calls"), [(5.8, 34), (4.5, 27), (0.1, 1)])
def test_the_calls_carried_follow_the_speed(turns_per_s: float, calls: int) -> None:
    assert calls_carried(turns_per_s) == calls
