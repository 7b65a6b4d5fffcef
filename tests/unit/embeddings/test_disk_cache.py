"""Vectors on disk: damaged ones are missing, processes share them, and there are never too many."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest

from kamerton.domain.embedding import Vectors
from kamerton.embeddings.disk_cache import VectorCache, known
from kamerton.embeddings.model_versions import ModelVersions


def vector(seed: int) -> Vectors:
    return np.random.default_rng(seed).normal(size=8).astype(np.float32)


def files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.vec"))


def test_a_vector_comes_back_whole(tmp_path: Path) -> None:
    cache = VectorCache(tmp_path / "deep", 10)
    assert cache.get("m1", "да") is None
    cache.put("m1", "да", vector(1))
    again = VectorCache(tmp_path / "deep", 10)
    found = again.get("m1", "да")
    assert found is not None
    assert found.dtype == np.float32
    assert np.array_equal(found, vector(1))
    assert again.get("m2", "да") is None
    assert again.get("m1", "нет") is None
    assert set(known(again, "m1", ["да", "нет", "да"])) == {"да"}
    found[:] = 0


@pytest.mark.parametrize("damage", [b"", b"KVEC1\n", b"garbage", None, b"KVEC1\n" + b"\0" * 16])
def test_a_damaged_vector_is_missing_and_made_anew(
    tmp_path: Path, damage: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    cache = VectorCache(tmp_path, 10)
    cache.put("m1", "да", vector(1))
    (path,) = files(tmp_path)
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(bytes(content) if damage is None else damage)
    assert cache.get("m1", "да") is None
    assert "damaged" in caplog.text
    assert files(tmp_path) == []
    cache.put("m1", "да", vector(1))
    assert cache.get("m1", "да") is not None


def test_the_least_recently_used_go(tmp_path: Path) -> None:
    cache = VectorCache(tmp_path, 10)
    for number in range(14):
        cache.put("m1", str(number), vector(number))
    for path in files(tmp_path):
        os.utime(path, (1000, 1000))
    used = ("3", "7", "11")
    assert set(known(cache, "m1", used)) == set(used)
    assert cache.prune() == 5
    assert len(files(tmp_path)) == 9
    assert set(known(cache, "m1", used)) == set(used)
    assert cache.prune() == 0


def test_a_disk_that_cannot_be_written_costs_a_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("")
    cache = VectorCache(tmp_path / "file", 10)
    cache.put("m1", "да", vector(1))
    cache.put("m1", "нет", vector(1))
    assert cache.get("m1", "да") is None
    assert caplog.text.count("cannot be cached") == 1


def _fill(folder: str, offset: int) -> None:
    cache = VectorCache(Path(folder), 10_000)
    for number in range(200):
        cache.put("m1", str((number + offset) % 200), vector((number + offset) % 200))


def test_processes_and_threads_share_a_folder(tmp_path: Path) -> None:
    with get_context("spawn").Pool(2) as pool:
        pool.starmap(_fill, [(str(tmp_path), 0), (str(tmp_path), 100)])
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda offset: _fill(str(tmp_path), offset), (0, 50, 100, 150)))
    cache = VectorCache(tmp_path, 10_000)
    for number in range(200):
        found = cache.get("m1", str(number))
        assert found is not None
        assert np.array_equal(found, vector(number))
    assert len(files(tmp_path)) == 200


def test_versions_count_exchanges_and_survive_damage(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "deep" / "versions.json"
    first = ModelVersions(path)
    assert first.generation("m") == 0
    assert first.fits("m", "a")
    assert not first.fits("m", "b")
    assert first.fits("m", "a")
    assert first.fits("other", "b")
    assert not first.fits("m", "b")
    second = ModelVersions(path)
    assert (second.generation("m"), second.generation("other"), second.generation("new")) == (1, 0, 0)
    assert second.fits("m", "b")
    path.write_text("{")
    assert ModelVersions(path).generation("m") == 0
    assert "cannot be read" in caplog.text
    path.write_text('{"m": {"known": 3}}')
    assert ModelVersions(path).fits("m", "c")
