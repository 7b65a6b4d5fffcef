"""The price table as it is written, and how what is wrong in it is told."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from kamerton.config.price_settings import metered_vendors, price_list
from kamerton.config.settings import load_settings
from kamerton.domain.errors import ConfigurationError
from kamerton.vendors.usage import Usage

LINE = {"vendor": "openai", "unit": "input_tokens", "price": 0.15, "per": 1_000_000, "currency": "USD"}


def test_prices_of_a_file_are_decimals_as_they_are_written(tmp_path: Path) -> None:
    file = tmp_path / "kamerton.yaml"
    file.write_text(
        "prices:\n"
        "  - {vendor: openai, model: 'gpt-4o-mini*', unit: input_tokens, price: 0.15, per: 1000000, currency: USD}\n"
        "  - {vendor: yandex, part: recognizer, unit: seconds, price: '0.0107', currency: RUB}\n",
        encoding="utf-8",
    )
    table = price_list(load_settings(file).prices)
    tokens = table.price_of(Usage("model", "openai", "input_tokens", 1, "gpt-4o-mini-2024-07-18"))
    seconds = table.price_of(Usage("recognizer", "yandex", "seconds", 1, "general"))
    assert tokens is not None
    assert seconds is not None
    assert (tokens.of(Decimal(2_000_000)), tokens.currency) == (Decimal("0.30"), "USD")
    assert (seconds.of(Decimal(10)), seconds.currency) == (Decimal("0.1070"), "RUB")


def test_prices_of_a_variable_are_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAMERTON_PRICES", json.dumps([LINE]))
    (found,) = load_settings().prices
    assert (found.price, found.model, found.part) == (Decimal("0.15"), "*", None)


def test_without_a_table_nothing_has_a_price() -> None:
    assert load_settings().prices == ()


def test_engines_of_this_machine_have_no_price_since_nothing_of_them_is_counted() -> None:
    assert {"anthropic", "elevenlabs", "google", "local", "openai", "yandex"} <= set(metered_vendors())
    assert not {"e5", "espeak", "festival", "onnx", "piper", "whisper"} & set(metered_vendors())


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"vendor": "yandeks"}, "prices.0.vendor: Value error, there is no vendor 'yandeks'"),
        ({"vendor": "whisper"}, "known are anthropic, elevenlabs, google, local, openai, yandex"),
        ({"unit": "minutes"}, "prices.0.unit: Input should be 'seconds', 'characters', 'input_tokens'"),
        ({"price": -1}, "prices.0.price"),
        ({"price": "nan"}, "prices.0.price"),
        ({"per": 0}, "prices.0.per"),
        ({"currency": "usd"}, "prices.0.currency"),
        ({"currency": "USD\n"}, "prices.0.currency"),
        ({"model": "*mini"}, "a * that is not its end"),
        ({"model": ""}, "prices.0.model"),
        ({"part": "ears"}, "prices.0.part"),
        ({"pric": 1}, "prices.0.pric"),
        ({"part": "voice"}, "openai has no voice here; it has model, embeddings"),
        ({"part": "model", "unit": "requests"}, "requests of the model of openai are not counted; counted are input_"),
        (
            {"vendor": "elevenlabs", "unit": "seconds"},
            "seconds of elevenlabs are not counted; counted are characters, ",
        ),
    ],
)
def test_a_wrong_line_is_told_with_its_place(changed: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        load_settings(prices=[LINE | changed])
    assert told in str(raised.value)


def test_two_prices_for_the_same_are_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"prices: .*there are two for input_tokens of openai"):
        load_settings(prices=[LINE, LINE | {"price": 2}])
