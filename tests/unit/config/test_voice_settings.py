"""The section `voice`: when another voice is asked."""

import pytest

from kamerton.config.settings import load_settings
from kamerton.domain.errors import ConfigurationError


def test_one_failure_is_enough_and_nothing_is_asked_twice_by_default() -> None:
    voice = load_settings().voice
    assert (voice.first_audio_s, voice.hedge) == (1.5, False)
    assert (voice.breaker.failures, voice.breaker.rest_s) == (1, 30.0)


def test_when_another_voice_is_asked_comes_from_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "KAMERTON_VOICE__ENGINE": "yandex,espeak",
        "KAMERTON_VOICE__FIRST_AUDIO_S": "0.8",
        "KAMERTON_VOICE__HEDGE": "true",
        "KAMERTON_VOICE__BREAKER__FAILURES": "3",
        "KAMERTON_VOICE__BREAKER__REST_S": "7",
    }.items():
        monkeypatch.setenv(name, value)
    voice = load_settings().voice
    assert voice.chain[:2] == ("yandex", "espeak")
    assert (voice.first_audio_s, voice.hedge) == (0.8, True)
    assert (voice.breaker.failures, voice.breaker.rest_s) == (3, 7)


@pytest.mark.parametrize(
    ("values", "speaks_of"),
    [
        ({"first_audio_s": 0}, r"voice\.first_audio_s"),
        ({"first_audio_s": 61}, r"voice\.first_audio_s"),
        ({"hedge": "sometimes"}, r"voice\.hedge"),
        ({"breaker": {"failures": "many"}}, r"voice\.breaker\.failures"),
        ({"breaker": {"rest": 5}}, r"voice\.breaker\.rest"),
    ],
)
def test_what_cannot_work_is_refused_with_its_place(values: dict[str, object], speaks_of: str) -> None:
    with pytest.raises(ConfigurationError, match=speaks_of):
        load_settings(voice=values)
