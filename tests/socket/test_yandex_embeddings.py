"""What is Yandex's own: credentials, models, numbers written as text."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest
from embedding_services import FOLDER, VENDORS
from pydantic import SecretStr

from kamerton.domain.errors import VendorError
from kamerton.embeddings.service import ServiceEmbedder
from kamerton.embeddings.wire_double import ScriptedReply, WireDouble
from kamerton.embeddings.yandex.wire_double import YandexDoubleSettings, yandex_double
from kamerton.vendors.accounts.yandex import YandexAccount
from kamerton.vendors.engine import EngineContext

pytestmark = pytest.mark.socket
YANDEX = VENDORS[0]


def opened(double: WireDouble, data_dir: Path, account: YandexAccount, **changed: Any) -> ServiceEmbedder:
    options = replace(YANDEX.options(double.url), **changed)
    embedder = anyio.run(YANDEX.engine.open, options, EngineContext("ru", data_dir, (account,)))
    assert isinstance(embedder, ServiceEmbedder)
    return embedder


def test_an_api_key_and_the_folder_are_sent(tmp_path: Path) -> None:
    settings = YandexDoubleSettings("Api-Key from-file", FOLDER, numbers_as_text=True)
    key_file = tmp_path / "key"
    key_file.write_text("from-file\n")
    with yandex_double(settings) as double:
        embedder = opened(double, tmp_path, YandexAccount(api_key_file=key_file, folder=FOLDER))
        assert embedder.query(["полис"]).shape == (1, 256)
        embedder.passage(["полис"])
        embedder.close()
    assert [request.body for request in double.requests] == [
        {"modelUri": f"emb://{FOLDER}/text-search-query/latest", "text": "полис"},
        {"modelUri": f"emb://{FOLDER}/text-search-doc/latest", "text": "полис"},
    ]
    assert "dim" not in double.requests[0].body


def test_a_token_that_was_renewed_in_its_file_is_read_again(tmp_path: Path) -> None:
    """Once for each refusal; a token that is still refused is told."""
    token = tmp_path / "token"
    token.write_text("old")
    with yandex_double(YandexDoubleSettings("Bearer new", FOLDER)) as double:
        embedder = opened(double, tmp_path, YandexAccount(iam_token_file=token, folder=FOLDER))
        with pytest.raises(VendorError, match="Unknown api key") as caught:
            embedder.query(["полис"])
        assert (caught.value.fault, len(double.requests)) == ("unauthorised", 1)
        token.write_text("newer but wrong")
        with pytest.raises(VendorError):
            embedder.query(["полис"])
        assert len(double.requests) == 3
        token.write_text("new")
        assert embedder.query(["полис"]).shape == (1, 256)
        token.unlink()
        assert embedder.query(["карта"]).shape == (1, 256)
        embedder.close()


def test_a_static_token_is_sent_as_bearer(tmp_path: Path) -> None:
    with yandex_double(YandexDoubleSettings("Bearer t1.static", FOLDER)) as double:
        embedder = opened(double, tmp_path, YandexAccount(iam_token=SecretStr("t1.static"), folder=FOLDER))
        embedder.query(["полис"])
        embedder.close()


def test_other_dimensions_are_asked_for_and_insisted_on(tmp_path: Path) -> None:
    with YANDEX.opened(tmp_path / "a", dimensions=128) as (embedder, double):
        assert embedder.query(["полис"]).shape == (1, 128)
        assert double.requests[0].body["dim"] == "128"
        double.follow(ScriptedReply(document={"embedding": [1.0] * 256, "modelVersion": "06.12.2023"}))
        with pytest.raises(VendorError, match="256 dimensions instead of 128"):
            embedder.query(["карта"])


@pytest.mark.parametrize("values", [[float("nan")] * 256, ["NaN"] * 256, [0] * 256, [None] * 256, ["x"] * 256])
def test_vectors_of_nonsense_are_refused(tmp_path: Path, values: list[Any]) -> None:
    with YANDEX.opened(tmp_path, [ScriptedReply(document={"embedding": values})]) as (embedder, _):
        with pytest.raises(VendorError) as caught:
            embedder.query(["полис"])
        assert caught.value.fault == "broken"


def test_a_folder_of_somebody_else_is_told(tmp_path: Path) -> None:
    with YANDEX.double() as double:
        embedder = opened(double, tmp_path, replace_folder("b1gother"))
        with pytest.raises(VendorError, match=r"Permission.*check the credentials, their rights and the folder"):
            embedder.query(["полис"])
        embedder.close()


def replace_folder(folder: str) -> YandexAccount:
    assert isinstance(YANDEX.account, YandexAccount)
    return replace(YANDEX.account, folder=folder)
