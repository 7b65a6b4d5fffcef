"""How a few files are shared among calls, pages and requests."""

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kamerton.config.files import RESERVED, OpenFiles, Shares, share_files
from kamerton.domain.errors import ConfigurationError
from kamerton.transports.admission import CallLimits
from kamerton.transports.audiosocket.settings import AudioSocketSettings
from kamerton.transports.browser.settings import BrowserSettings
from kamerton.webapi.settings import WebSettings


def wanted(max_calls: int = 200) -> Shares:
    return Shares(CallLimits(max_calls), AudioSocketSettings(), BrowserSettings(), WebSettings())


def test_with_enough_files_everything_stays_as_set() -> None:
    shares = wanted()
    assert share_files(shares, shares.files(per_call=1) + RESERVED) is shares
    assert shares.files(per_call=2) == shares.files(per_call=1) + 200


def test_too_few_for_a_call_are_an_error_that_says_what_to_do() -> None:
    with pytest.raises(ConfigurationError, match=r"only 5 more files may be opened.*ulimit -n 4096"):
        share_files(wanted(), 5)
    with pytest.raises(ConfigurationError, match="only 0 more files"):
        share_files(wanted(), -3)


@given(st.integers(16, 1500), st.integers(1, 400), st.integers(1, 2))
def test_what_is_promised_can_be_held(free: int, max_calls: int, per_call: int) -> None:
    shares = share_files(wanted(max_calls), free, per_call)
    assert 1 <= shares.limits.max_calls <= max_calls
    assert shares.files(per_call) + min(RESERVED, free // 4) <= free
    assert min(shares.audiosocket.max_pending, shares.browser.max_pending, shares.web.max_connections) >= 1


@pytest.mark.parametrize(("free", "calls"), [(52, 12), (116, 30), (244, 60), (1000, 200)])
def test_most_of_what_there_is_goes_to_calls(free: int, calls: int, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert share_files(wanted(), free).limits.max_calls >= calls
    assert "few files may be opened" in caplog.text


def test_the_process_knows_its_own_files() -> None:
    files = OpenFiles()
    assert 0 < files.open < files.limit
    assert files.trouble == ""
