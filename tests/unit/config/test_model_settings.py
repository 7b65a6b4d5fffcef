"""The section `model`: engines by name, each with a section of its own; no model unless one is named."""

import pytest

from kamerton.config.settings import load_settings
from kamerton.domain.errors import ConfigurationError


def test_no_model_and_no_key_by_default() -> None:
    settings = load_settings()
    assert settings.model.chain == ()
    assert not settings.model.hedge


def test_a_chain_and_its_options_come_from_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "KAMERTON_MODEL__ENGINE": "openai,local",
        "KAMERTON_MODEL__OPENAI__MODEL": "gpt-5.4-mini",
        "KAMERTON_MODEL__OPENAI__TIMEOUTS__FIRST_TOKEN_S": "1.5",
        "KAMERTON_MODEL__LOCAL__MODEL": "qwen3:8b",
        "KAMERTON_MODEL__LOCAL__API_KEY": "sk-secret-of-vllm",
    }.items():
        monkeypatch.setenv(name, value)
    model = load_settings().model
    assert model.chain == ("openai", "local")
    assert (model.options("openai").model, model.options("openai").timeouts.first_token_s) == ("gpt-5.4-mini", 1.5)
    assert model.options("local").server().api_key == "sk-secret-of-vllm"
    assert "sk-secret" not in repr(model)
    assert "sk-secret" not in repr(model.options("local").server())


@pytest.mark.parametrize(
    ("values", "speaks_of"),
    [
        ({"engine": "gpt"}, r"no engine 'gpt'; known are .*local.*openai"),
        ({"base_url": "http://127.0.0.1/v1"}, r"no setting 'base_url'; known are engine"),
        ({"openai": {"url": "ftp://x"}}, r"url 'ftp://x' is not an http\(s\) address"),
        ({"openai": {"json_mode": "xml"}}, r"model\.openai\.json_mode"),
        ({"local": {"temperature": 5}}, r"model\.local\.temperature is 5"),
        ({"local": {"timeouts": {"total_s": 0}}}, "total_s"),
        ({"first_token_s": 0}, r"model\.first_token_s"),
    ],
)
def test_what_cannot_work_is_refused_with_its_place(values: dict[str, object], speaks_of: str) -> None:
    with pytest.raises(ConfigurationError, match=speaks_of):
        load_settings(model=values)
