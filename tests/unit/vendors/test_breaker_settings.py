"""When an engine rests is set with sense."""

from __future__ import annotations

from typing import Any

import pytest

from kamerton.config.settings import load_settings
from kamerton.domain.errors import ConfigurationError


@pytest.mark.parametrize("part", ["recognizer", "voice", "model"])
@pytest.mark.parametrize("wrong", [{"failures": 0}, {"rest_s": -1.0}, {"rest_s": 400.0}, {"long_rest_s": -5.0}])
def test_nonsense_is_refused_with_its_place(part: str, wrong: dict[str, float]) -> None:
    sections: dict[str, Any] = {part: {"breaker": wrong}}
    with pytest.raises(ConfigurationError, match=rf"{part}.*(failures|rest_s)"):
        load_settings(**sections)


def test_what_makes_sense_is_taken() -> None:
    settings = load_settings(voice={"breaker": {"failures": 3, "rest_s": 5.0}})
    assert (settings.voice.breaker.failures, settings.voice.breaker.rest_s) == (3, 5.0)
