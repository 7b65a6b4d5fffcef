"""What may be sent in a while."""

from kamerton.transports.allowance import Allowance


def test_what_is_used_up_comes_back_with_time_and_never_above_the_most() -> None:
    allowance = Allowance(per_s=10, most=20, now_s=100.0)
    assert allowance.covers(20, 100.0)
    assert not allowance.covers(1, 100.0)
    assert not allowance.covers(6, 100.5)
    assert allowance.covers(5, 100.5)
    assert not allowance.covers(21, 900.0)
    assert allowance.covers(20, 900.0)


def test_a_clock_that_seems_to_run_back_takes_nothing_away() -> None:
    allowance = Allowance(per_s=10, most=20, now_s=100.0)
    assert allowance.covers(10, 50.0)
    assert allowance.covers(10, 50.0)
