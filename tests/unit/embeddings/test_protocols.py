"""What is said to the services and what they say, without them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kamerton.embeddings.openai.protocol import OpenAIEmbeddingApi
from kamerton.embeddings.service_api import EmbeddingApi, Nonsense
from kamerton.embeddings.yandex.protocol import YandexEmbeddingApi

YANDEX = YandexEmbeddingApi("b1g", "text-search-query/latest", "text-search-doc/latest", "query", 3, "https://y.net/p")
OPENAI = OpenAIEmbeddingApi("https://o.net/v1/embeddings", "small", None, 8, "", "")


def test_yandex_asks_each_model_for_its_texts() -> None:
    assert YANDEX.body(["да"], "query") == {
        "modelUri": "emb://b1g/text-search-query/latest",
        "text": "да",
        "dim": "3",
    }
    own = replace(YANDEX, dimensions=256)
    assert own.body(["да"], "wordings") == {"modelUri": "emb://b1g/text-search-query/latest", "text": "да"}
    assert own.body(["да"], "passage")["modelUri"] == "emb://b1g/text-search-doc/latest"
    as_passage = replace(own, wordings_as="passage")
    assert as_passage.body(["да"], "wordings")["modelUri"] == "emb://b1g/text-search-doc/latest"
    assert as_passage.body(["да"], "query")["modelUri"] == "emb://b1g/text-search-query/latest"


def test_yandex_writes_numbers_as_text() -> None:
    answer = YANDEX.read({"embedding": ["3", "0", 4.0], "numTokens": "11", "modelVersion": "v1"}, 1)
    assert answer.vectors == pytest.approx(np.array([[0.6, 0, 0.8]]))
    assert answer.vectors.dtype == np.float32
    assert (answer.tokens, answer.version) == (11, "v1")
    assert YANDEX.read({"embedding": [1, 0, 0], "numTokens": "many"}, 1).tokens == 0


WRONG: tuple[Any, ...] = (
    None,
    [],
    "",
    [1, 2],
    [1, 2, 3, 4],
    [0, 0, 0],
    [1, 2, None],
    [1, 2, "x"],
    [1, 2, True],
    [1, 2, []],
    [1, 2, float("nan")],
    [1, 2, "NaN"],
    [1, 2, float("inf")],
    [10**400, 0, 0],
    [1e-30, 0, 0],
    {"0": 1},
    "AACAPwAAAAAAAAAA",
)


@pytest.mark.parametrize("vector", WRONG)
def test_vectors_that_are_none_are_refused(vector: Any) -> None:
    with pytest.raises(Nonsense):
        YANDEX.read({"embedding": vector}, 1)
    with pytest.raises(Nonsense):
        replace(OPENAI, dimensions=3).read({"data": [{"embedding": vector}]}, 1)


@pytest.mark.parametrize("document", [None, [], "x", 3, {}, {"embedding_": [1]}, {"data": None}, {"data": [1]}])
def test_documents_that_are_none_are_refused(document: Any) -> None:
    with pytest.raises(Nonsense):
        YANDEX.read(document, 1)
    with pytest.raises(Nonsense):
        OPENAI.read(document, 1)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just(10**400),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["embedding", "data", "index", "numTokens", "usage", "model"]), inner)
    ),
    max_leaves=12,
)


@given(JSON, st.integers(1, 3))
def test_whatever_comes_is_vectors_or_nonsense(document: Any, count: int) -> None:
    apis: tuple[EmbeddingApi, ...] = (replace(YANDEX, dimensions=1), OPENAI, replace(OPENAI, dimensions=2))
    for api in apis:
        try:
            answer = api.read(document, count)
        except Nonsense:
            continue
        assert np.linalg.norm(answer.vectors, axis=1) == pytest.approx(1, abs=1e-3)
        assert answer.tokens >= 0


def test_huge_numbers_keep_their_direction() -> None:
    assert YANDEX.read({"embedding": [1e300, 0, 1e300]}, 1).vectors[0] == pytest.approx([0.70711, 0, 0.70711], abs=1e-4)


def test_openai_asks_for_many_or_for_one() -> None:
    assert OPENAI.body(["а", "б"], "query") == {"model": "small", "input": ["а", "б"], "encoding_format": "float"}
    one = replace(OPENAI, batch=1, dimensions=64)
    assert one.body(["а"], "passage") == {
        "model": "small",
        "input": "а",
        "encoding_format": "float",
        "dimensions": 64,
    }


def test_openai_answers_in_any_order_and_only_whole() -> None:
    data = [{"index": 1, "embedding": [0, 2]}, {"index": 0, "embedding": [2, 0]}]
    answer = OPENAI.read({"data": data, "usage": {"prompt_tokens": 3}, "model": "small-2"}, 2)
    assert answer.vectors == pytest.approx(np.array([[1, 0], [0, 1]]))
    assert (answer.tokens, answer.version) == (3, "small-2")
    unnumbered = [{"embedding": [1, 0]}, {"embedding": [0, 1]}]
    assert OPENAI.read({"data": unnumbered}, 2).vectors[1] == pytest.approx([0, 1])
    broken: tuple[tuple[list[Any], int], ...] = (
        (data, 3),
        ([data[0], data[0]], 2),
        ([{"index": 5, "embedding": [1, 0]}], 1),
        ([{"index": "0", "embedding": [1, 0]}], 1),
        ([{"index": None, "embedding": [1, 0]}], 1),
        ([{"index": 0.0, "embedding": [1, 0]}], 1),
        ([{"index": [0], "embedding": [1, 0]}], 1),
        ([{"embedding": [1, 0]}, {"embedding": [1, 0, 0]}], 2),
    )
    for entries, count in broken:
        with pytest.raises(Nonsense):
            OPENAI.read({"data": entries}, count)


def test_texts_are_cut_prefixed_and_never_empty() -> None:
    prefixed = replace(OPENAI, query_prefix="query: ", passage_prefix="passage: ")
    assert prefixed.prepared(" да ", "query") == prefixed.prepared("да", "wordings") == "query: да"
    assert prefixed.prepared("", "passage") == "passage: ."
    assert YANDEX.prepared("\0\n ", "query") == "."
    assert len(YANDEX.prepared("а" * 9000, "passage")) == 2000
    assert len(YANDEX.prepared("а" * 9000, "query")) == 1000
    assert YANDEX.prepared("x\ud83dy", "query").encode()


def test_whatever_fixes_the_vectors_is_in_the_identity() -> None:
    yandex = [
        YANDEX,
        replace(YANDEX, query_model="q"),
        replace(YANDEX, passage_model="p"),
        replace(YANDEX, wordings_as="passage"),
        replace(YANDEX, dimensions=256),
        replace(YANDEX, url="https://other.net/p"),
    ]
    openai = [
        OPENAI,
        replace(OPENAI, name="large"),
        replace(OPENAI, dimensions=64),
        replace(OPENAI, query_prefix="query: "),
        replace(OPENAI, passage_prefix="query: "),
        replace(OPENAI, url="https://o.net:8443/v1/embeddings"),
    ]
    assert len({api.identity for api in yandex} | {api.identity for api in openai}) == 12
    assert replace(OPENAI, batch=1).identity == OPENAI.identity
    assert replace(YANDEX, folder="another").identity == YANDEX.identity
