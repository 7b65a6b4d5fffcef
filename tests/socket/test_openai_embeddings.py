"""What is of OpenAI-compatible servers only: batches, keys that are sent or not, projects, models behind a name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import pytest
from embedding_services import KEY, VENDORS
from pydantic import SecretStr

from kamerton.domain.errors import VendorError
from kamerton.embeddings.openai.wire_double import OpenAIDoubleSettings, openai_double
from kamerton.embeddings.service import ServiceEmbedder
from kamerton.embeddings.wire_double import ScriptedReply, WireDouble
from kamerton.vendors.accounts.openai import OpenAIAccount
from kamerton.vendors.accounts.yandex import YandexAccount
from kamerton.vendors.engine import EngineContext

pytestmark = pytest.mark.socket
OPENAI = VENDORS[1]


def opened(double: WireDouble, data_dir: Path, *accounts: object, **changed: Any) -> ServiceEmbedder:
    options = replace(OPENAI.options(double.url), **changed)
    embedder = anyio.run(OPENAI.engine.open, options, EngineContext("ru", data_dir, accounts))
    assert isinstance(embedder, ServiceEmbedder)
    return embedder


def test_many_texts_go_in_batches_in_their_order(tmp_path: Path) -> None:
    texts = [f"вопрос {number}" for number in range(10)]
    with OPENAI.opened(tmp_path, batch=4) as (embedder, double):
        together = embedder.wordings([*texts, texts[0]])
        assert sorted(len(request.body["input"]) for request in double.requests) == [2, 4, 4]
        alone = np.concatenate([embedder.query([text]) for text in texts])
        assert together[:10] == pytest.approx(alone)
        assert together[10] == pytest.approx(alone[0])
        asked = len(double.requests)
        embedder.query([f"ещё {number}" for number in range(9)])
        assert len(double.requests) == asked + 3


def test_a_server_of_ones_own_gets_no_key(tmp_path: Path) -> None:
    with openai_double(OpenAIDoubleSettings(api_key=None)) as double:
        embedder = opened(double, tmp_path, OpenAIAccount(SecretStr(KEY)), account="none")
        embedder.query(["полис"])
        embedder.close()
        assert "authorization" not in double.requests[0].headers


def test_a_project_is_named(tmp_path: Path) -> None:
    with openai_double(OpenAIDoubleSettings(api_key=KEY, single=True)) as double:
        ours = opened(double, tmp_path / "a", OpenAIAccount(SecretStr(KEY), project="p1"), batch=1)
        ours.query(["полис"])
        ours.close()
        yandex = YandexAccount(api_key=SecretStr(KEY), folder="b1g")
        theirs = opened(double, tmp_path / "b", yandex, account="yandex", batch=1)
        theirs.query(["полис"])
        theirs.close()
    assert [request.headers["openai-project"] for request in double.requests] == ["p1", "b1g"]
    assert [request.body["input"] for request in double.requests] == ["полис", "полис"]


def test_a_server_that_repeats_the_key_is_not_repeated(tmp_path: Path) -> None:
    with openai_double(OpenAIDoubleSettings(api_key="another")) as double:
        embedder = opened(double, tmp_path, OpenAIAccount(SecretStr(KEY)))
        with pytest.raises(VendorError, match="Incorrect API key provided: Bearer …") as caught:
            embedder.query(["полис"])
        assert KEY not in str(caught.value)
        embedder.close()


def test_a_key_that_was_renewed_in_its_file_is_read_again(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("old")
    with openai_double(OpenAIDoubleSettings(api_key=KEY)) as double:
        embedder = opened(double, tmp_path, OpenAIAccount(api_key_file=file))
        file.write_text(KEY)
        assert embedder.query(["полис"]).shape == (1, 96)
        embedder.close()


def test_dimensions_are_asked_for_and_insisted_on(tmp_path: Path) -> None:
    with OPENAI.opened(tmp_path, dimensions=32) as (embedder, double):
        assert embedder.query(["полис"]).shape == (1, 32)
        assert double.requests[0].body["dimensions"] == 32
        double.follow(ScriptedReply(document={"data": [{"embedding": [1.0, 2.0]}]}))
        with pytest.raises(VendorError, match="2 dimensions instead of 32"):
            embedder.query(["карта"])


def test_dimensions_that_nobody_named_may_not_change(tmp_path: Path) -> None:
    with OPENAI.opened(tmp_path) as (embedder, double):
        embedder.query(["полис"])
        double.follow(ScriptedReply(document={"data": [{"embedding": [1.0, 2.0]}], "model": "text-embedding-3-small"}))
        with pytest.raises(VendorError, match="was exchanged"):
            embedder.wordings(["карта"])


def test_too_few_vectors_are_refused(tmp_path: Path) -> None:
    one = {"data": [{"index": 0, "embedding": [1.0] * 96}], "model": "text-embedding-3-small"}
    with (
        OPENAI.opened(tmp_path, [ScriptedReply(document=one)]) as (embedder, _),
        pytest.raises(VendorError, match="1 vectors for 2 texts"),
    ):
        embedder.wordings(["полис", "карта"])
