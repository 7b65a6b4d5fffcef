from __future__ import annotations

import pytest

from kamerton.domain.dialogue import Completeness
from kamerton.listening.endpointing import Endpoint, EndpointingSettings, endpoint


@pytest.mark.parametrize(
    ("completeness", "pause_ms", "because"),
    [
        (Completeness.COMPLETE, 200, "complete"),
        (Completeness.PLAUSIBLE, 420, "plausible"),
        (Completeness.UNKNOWN, 800, "pause"),
        (Completeness.OPEN, 1100, "open"),
    ],
)
def test_the_pause_is_graded(completeness: Completeness, pause_ms: float, because: str) -> None:
    end = endpoint(5.0, completeness, EndpointingSettings())
    assert end.at_s == pytest.approx(5.0 + pause_ms / 1000)
    assert end.because == because


def test_no_pause_is_longer_than_the_ceiling() -> None:
    settings = EndpointingSettings(open_ms=4000.0, ceiling_ms=1500.0)
    assert endpoint(1.0, Completeness.OPEN, settings) == Endpoint(2.5, "ceiling")
