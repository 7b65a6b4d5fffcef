from kamerton.stt.breaker import Breaker, BreakerSettings

SETTINGS = BreakerSettings(failures=3, rest_s=5, longest_rest_s=15)


def _open() -> Breaker:
    breaker = Breaker(SETTINGS)
    assert [breaker.failed("no memory") for _ in range(3)] == [False, False, True]
    return breaker


def test_failures_in_a_row_open_it_and_it_says_why_and_for_how_long() -> None:
    breaker = _open()
    assert breaker.rest_s == 5
    assert breaker.trouble == "it failed 3 times in a row (no memory) and is tried again every 5 s"


def test_a_success_in_between_starts_the_count_again() -> None:
    breaker = Breaker(SETTINGS)
    for _ in range(5):
        breaker.failed("odd audio")
        breaker.failed("odd audio")
        breaker.succeeded()
    assert (breaker.rest_s, breaker.trouble) == (None, "")


def test_each_probe_that_fails_doubles_the_rest_up_to_its_longest() -> None:
    breaker = _open()
    rests = []
    for _ in range(3):
        assert breaker.failed("no memory", probe=True)
        rests.append(breaker.rest_s)
    assert rests == [10, 15, 15]


def test_failures_of_what_was_under_way_begin_no_second_rest() -> None:
    breaker = _open()
    assert not breaker.failed("no memory")
    assert breaker.rest_s == 5


def test_a_success_closes_it() -> None:
    breaker = _open()
    breaker.succeeded()
    assert (breaker.rest_s, breaker.trouble) == (None, "")
    assert not breaker.failed("no memory")
