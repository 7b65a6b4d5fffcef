"""What was heard: estimated and acknowledged."""

from hypothesis import given
from hypothesis import strategies as st

from kamerton.domain.audio import PHONE, WIDEBAND
from kamerton.domain.media import PlayoutPosition
from kamerton.transports.position import AcknowledgedPosition, DelayedPosition


def heard(position: PlayoutPosition) -> int:
    return position.sent_samples - position.far_queued_samples


def test_a_frame_is_heard_after_the_delay() -> None:
    ledger = DelayedPosition(PHONE, 40)
    ledger.sent(160, 10.0)
    assert heard(ledger.position(10.0)) == 0
    ledger.sent(160, 10.02)
    assert ledger.position(10.02) == PlayoutPosition(320, 320)
    assert heard(ledger.position(10.06)) == 320
    assert heard(ledger.position(99.0)) == 320


def test_what_is_unsent_is_unheard() -> None:
    ledger = DelayedPosition(PHONE, 40)
    for number in range(10):
        ledger.sent(160, 10 + number * 0.02)
    assert heard(ledger.position(11.0, unsent_samples=480)) == 1600 - 480


def test_acknowledgements_are_believed_and_carried_on_between() -> None:
    ledger = AcknowledgedPosition(WIDEBAND, 100)
    for number in range(50):
        ledger.sent(320, 10 + number * 0.02)
    ledger.acknowledge(8000, 10.8)
    assert heard(ledger.position(10.8)) == 8000
    assert heard(ledger.position(10.9)) == 9600
    assert heard(ledger.position(11.5)) == 8000 + 6400


def test_a_page_that_stands_still_is_not_carried_on() -> None:
    ledger = AcknowledgedPosition(WIDEBAND, 100)
    for number in range(50):
        ledger.sent(320, 10 + number * 0.02)
    ledger.acknowledge(4000, 10.5)
    ledger.acknowledge(4000, 10.6)
    assert heard(ledger.position(11.6)) == 4000


def test_without_acknowledgements_the_delay_is_assumed() -> None:
    ledger = AcknowledgedPosition(WIDEBAND, 100)
    ledger.sent(320, 10.0)
    assert heard(ledger.position(10.05)) == 0
    assert heard(ledger.position(10.1)) == 320


def test_clearing_settles_everything_and_outdates_earlier_reports() -> None:
    ledger = AcknowledgedPosition(WIDEBAND, 100)
    for _ in range(100):
        ledger.sent(320, 10.0)
    ledger.acknowledge(3200, 10.2)
    assert heard(ledger.position(10.2)) == 3200
    assert ledger.clear() == 32000
    assert ledger.position(10.2) == PlayoutPosition(32000, 0)
    ledger.acknowledge(6400, 10.25)
    ledger.sent(320, 10.3)
    assert ledger.position(10.3) == PlayoutPosition(32320, 320)
    ledger.acknowledge(32320, 10.4)
    assert ledger.position(10.4) == PlayoutPosition(32320, 0)


def test_a_report_ahead_of_what_was_sent_is_bounded() -> None:
    ledger = AcknowledgedPosition(WIDEBAND, 100)
    ledger.sent(320, 10.0)
    ledger.acknowledge(10**15, 10.0)
    assert ledger.position(10.0) == PlayoutPosition(320, 0)


STEPS = st.lists(
    st.tuples(st.sampled_from(["sent", "acknowledge", "clear", "look"]), st.integers(0, 20_000), st.floats(0, 0.5)),
    max_size=40,
)


@given(STEPS)
def test_what_was_heard_never_runs_back_and_never_exceeds_what_was_sent(steps: list[tuple[str, int, float]]) -> None:
    acknowledged, delayed = AcknowledgedPosition(WIDEBAND, 100), DelayedPosition(WIDEBAND, 40)
    now_s, last = 10.0, [0, 0]
    for step, samples, passed_s in steps:
        now_s += passed_s
        if step == "sent":
            acknowledged.sent(320, now_s)
            delayed.sent(320, now_s)
        elif step == "acknowledge":
            acknowledged.acknowledge(samples, now_s)
        elif step == "clear":
            acknowledged.clear()
        positions = [acknowledged.position(now_s), delayed.position(now_s)]
        for index, position in enumerate(positions):
            assert 0 <= position.far_queued_samples <= position.sent_samples
            assert heard(position) >= last[index]
            last[index] = heard(position)


def test_when_reports_stop_the_position_goes_on_by_the_clock_until_one_is_ahead_again() -> None:
    ledger = AcknowledgedPosition(WIDEBAND, 100)
    ledger.sent(320, 10.0)
    ledger.acknowledge(160, 10.02)
    for number in range(1, 400):
        ledger.sent(320, 10 + number * 0.02)
        position = ledger.position(10 + number * 0.02)
        if number == 140:
            assert heard(position) == 160 + 6400
    assert position == PlayoutPosition(400 * 320, 1600)
    ledger.clear()
    ledger.sent(320, 18.0)
    assert heard(ledger.position(18.2)) == 401 * 320, "a silent page does not get three seconds for each clearing"
    ledger.sent(320, 18.3)
    ledger.sent(320, 18.3)
    ledger.acknowledge(401 * 320 + 160, 18.3)
    assert heard(ledger.position(18.3)) == 401 * 320 + 160
    assert heard(ledger.position(18.31)) == 401 * 320 + 320


def test_a_page_that_repeats_one_place_is_carried_on_as_well() -> None:
    ledger = AcknowledgedPosition(WIDEBAND, 100)
    for number in range(400):
        now_s = 10 + number * 0.02
        ledger.sent(320, now_s)
        ledger.acknowledge(160, now_s)
    assert ledger.position(now_s).far_queued_samples == 1600


def test_a_page_with_nothing_to_play_is_not_late() -> None:
    ledger = AcknowledgedPosition(WIDEBAND, 100)
    ledger.sent(320, 10.0)
    ledger.acknowledge(320, 10.1)
    ledger.acknowledge(320, 10.2)
    ledger.sent(320, 60.0)
    ledger.sent(320, 60.0)
    assert ledger.position(60.2).far_queued_samples == 640
    ledger.acknowledge(480, 60.3)
    assert heard(ledger.position(60.3)) == 480


def test_audio_sent_in_vain_is_counted_from_the_last_report_that_was_ahead() -> None:
    ledger = AcknowledgedPosition(WIDEBAND, 100)
    for _ in range(100):
        ledger.sent(320, 10.0)
    assert ledger.sent_in_vain_s == 0, "a far end that never reports plays, as far as anybody knows"
    ledger.acknowledge(320, 10.0)
    for _ in range(50):
        ledger.sent(320, 10.0)
    ledger.acknowledge(320, 10.0)
    assert ledger.sent_in_vain_s == 1
    ledger.acknowledge(321, 10.0)
    assert ledger.sent_in_vain_s == 0
