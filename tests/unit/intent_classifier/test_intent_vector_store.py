"""Stored vectors: fresh ones are used, stale and broken ones are prepared anew."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from kamerton.intent_classifier.vector_store import PreparedVectors, load_or_prepare, preparation_key


class Preparation:
    """Prepares the same vectors each time and counts how often."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> PreparedVectors:
        self.times += 1
        vectors = np.arange(6, dtype=np.float32).reshape(2, 3)
        return PreparedVectors(vectors, np.ones(3, dtype=np.float32), {"gate": 0.5})


@pytest.fixture
def preparation() -> Preparation:
    return Preparation()


def test_a_second_start_reads_what_the_first_one_stored(tmp_path: Path, preparation: Preparation) -> None:
    path = tmp_path / "deep" / "vectors.npz"
    first = load_or_prepare(path, "key", preparation)
    second = load_or_prepare(path, "key", preparation)
    assert preparation.times == 1
    assert np.array_equal(first.vectors, second.vectors)
    assert np.array_equal(first.center, second.center)
    assert second.figures == {"gate": 0.5}
    assert [entry.name for entry in path.parent.iterdir()] == ["vectors.npz"]


def test_another_key_makes_them_stale(
    tmp_path: Path, preparation: Preparation, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "vectors.npz"
    load_or_prepare(path, "old", preparation)
    with caplog.at_level("INFO"):
        load_or_prepare(path, "new", preparation)
    assert preparation.times == 2
    assert "vectors are prepared anew" in caplog.text


@pytest.mark.parametrize("damage", ["truncated", "garbage", "empty", "no header", "header is a list", "wrong shape"])
def test_a_broken_file_is_replaced(tmp_path: Path, preparation: Preparation, damage: str) -> None:
    path = tmp_path / "vectors.npz"
    load_or_prepare(path, "key", preparation)
    whole = path.read_bytes()
    header: dict[str, object] = {
        "no header": None,
        "header is a list": [],
        "wrong shape": {"key": "key", "figures": {}},
    }
    if damage == "truncated":
        path.write_bytes(whole[: len(whole) // 2])
    elif damage == "garbage":
        path.write_bytes(b"not a zip file")
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "no header":
        np.savez(path, vectors=np.zeros((1, 2), dtype=np.float32))
    else:
        encoded = np.frombuffer(json.dumps(header[damage]).encode(), dtype=np.uint8)
        np.savez(path, header=encoded, vectors=np.zeros((1, 2), dtype=np.float32), center=np.zeros(5, dtype=np.float32))
    again = load_or_prepare(path, "key", preparation)
    assert preparation.times == 2
    assert again.vectors.shape == (2, 3)
    load_or_prepare(path, "key", preparation)
    assert preparation.times == 2


def test_objects_are_never_unpickled(tmp_path: Path, preparation: Preparation) -> None:
    path = tmp_path / "vectors.npz"
    np.savez(path, header=np.array([{"key": "key"}], dtype=object))
    load_or_prepare(path, "key", preparation)
    assert preparation.times == 1


def test_a_folder_that_cannot_be_written_costs_only_time(
    tmp_path: Path, preparation: Preparation, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    prepared = load_or_prepare(tmp_path / "file" / "vectors.npz", "key", preparation)
    assert prepared.vectors.shape == (2, 3)
    assert "vectors cannot be stored" in caplog.text


def test_the_key_depends_on_everything() -> None:
    keys = {
        preparation_key("model", ["a", "b"]),
        preparation_key("other", ["a", "b"]),
        preparation_key("model", ["b", "a"]),
        preparation_key("model", ["ab"]),
    }
    assert len(keys) == 4
