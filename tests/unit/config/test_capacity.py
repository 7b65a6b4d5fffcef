import logging

import pytest

from kamerton.config.capacity import call_limits
from kamerton.domain.recognition import RecognizerState
from kamerton.stt.decoding_engines import decoding_engines
from kamerton.transports.admission import CallLimits


def test_a_number_that_nobody_chose_is_lowered_to_what_the_recogniser_carries_and_the_log_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING):
        limits = CallLimits(150, max_refusals=7)
        assert call_limits(limits, RecognizerState(max_calls=27), chosen=False) == CallLimits(27, 7)
    (record,) = caplog.records
    assert "fewer calls are served" in record.message
    assert (record.__dict__["max_calls"], record.__dict__["allowed"]) == (27, 150)


def test_a_number_that_was_chosen_holds_and_the_log_warns_of_it(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert call_limits(CallLimits(50), RecognizerState(max_calls=27), chosen=True) == CallLimits(50)
    assert "promises more calls" in caplog.text


@pytest.mark.parametrize("carried", [None, 200, 300])
def test_a_recogniser_that_carries_enough_changes_nothing(
    carried: int | None, caplog: pytest.LogCaptureFixture
) -> None:
    assert call_limits(CallLimits(), RecognizerState(max_calls=carried), chosen=False) == CallLimits()
    assert caplog.text == ""


@pytest.mark.parametrize(("cores", "engines"), [(1, 1), (2, 2), (7, 7), (8, 7), (16, 14)])
def test_engines_follow_the_cores_that_may_be_used(cores: int, engines: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _pid: set(range(cores)), raising=False)
    assert decoding_engines(None) == engines
    assert decoding_engines(3) == 3
