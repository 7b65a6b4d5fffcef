"""Where models lie, who has them open, and what a setting's name means."""

import json
from pathlib import Path

import pytest

from kamerton.domain.errors import ModelError
from kamerton.models.catalogue import CATALOGUE
from kamerton.models.storage import (
    MANIFEST,
    hold,
    in_use,
    installed,
    model_folder,
    models_folder,
    remove,
    staging_folder,
    switch,
    voice_file,
)

VOICE = "ru_RU-irina-medium"


def _staged(data_dir: Path, name: str, content: bytes = b"12345") -> None:
    folder = staging_folder(data_dir, name)
    folder.mkdir(parents=True)
    files = {}
    for file in CATALOGUE[name].files:
        (folder / file.name).write_bytes(content)
        files[file.name] = {"size": len(content), "digests": []}
    (folder / MANIFEST).write_text(json.dumps({"files": files}), "utf-8")


@pytest.fixture
def voice_there(tmp_path: Path) -> Path:
    _staged(tmp_path, VOICE)
    switch(tmp_path, VOICE)
    return tmp_path


def test_a_model_that_is_there_is_found_by_its_name(voice_there: Path) -> None:
    folder = installed(voice_there, VOICE)
    assert (folder / f"{VOICE}.onnx").read_bytes() == b"12345"
    assert folder.name == VOICE
    assert model_folder(voice_there, Path(VOICE)) == folder
    assert voice_file(voice_there, Path(VOICE)) == folder / f"{VOICE}.onnx"


def test_a_path_is_taken_as_it_is(tmp_path: Path) -> None:
    for path in (tmp_path / "my-model", Path("folder/t-one"), Path("my.onnx")):
        assert model_folder(tmp_path, path) == path
        assert voice_file(tmp_path, path) == path


def test_a_model_that_is_not_there_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="get it with `kamerton models get t-one`"):
        model_folder(tmp_path, Path("t-one"))
    with pytest.raises(ModelError, match="no model 'gigaam'; `kamerton models list` shows them: whisper-small"):
        installed(tmp_path, "gigaam")
    with pytest.raises(ModelError, match="t-one is no Piper voice"):
        voice_file(tmp_path, Path("t-one"))


@pytest.mark.parametrize("damage", ["missing", "short"])
def test_a_model_that_is_not_whole_is_not_there(voice_there: Path, damage: str) -> None:
    file = installed(voice_there, VOICE) / f"{VOICE}.onnx"
    if damage == "missing":
        file.unlink()
    else:
        file.write_bytes(b"1")
    with pytest.raises(ModelError, match="is not there"):
        installed(voice_there, VOICE)


def test_a_folder_copied_by_hand_counts_when_its_files_have_the_published_sizes(tmp_path: Path) -> None:
    folder = models_folder(tmp_path) / "t-one"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}", "utf-8")
    with (folder / "model.onnx").open("wb") as weights:
        weights.truncate(144_193_371)
    assert installed(tmp_path, "t-one") == folder
    with (folder / "model.onnx").open("wb") as weights:
        weights.truncate(100)
    with pytest.raises(ModelError):
        installed(tmp_path, "t-one")


def test_a_new_version_takes_the_name_and_the_old_one_goes(voice_there: Path) -> None:
    old = installed(voice_there, VOICE)
    _staged(voice_there, VOICE, b"newer")
    new = switch(voice_there, VOICE)
    assert installed(voice_there, VOICE) == new
    assert (new / f"{VOICE}.onnx").read_bytes() == b"newer"
    assert not old.exists()
    assert not staging_folder(voice_there, VOICE).exists()


def test_a_model_that_is_open_is_not_removed(voice_there: Path) -> None:
    first, second = (hold(voice_there, installed(voice_there, VOICE)) for _ in range(2))
    assert in_use(voice_there, VOICE)
    first.release()
    first.release()
    with pytest.raises(ModelError, match="is open in a running process"):
        remove(voice_there, VOICE)
    assert installed(voice_there, VOICE).is_dir()
    second.release()
    assert remove(voice_there, VOICE) > 0
    with pytest.raises(ModelError, match="is not there"):
        installed(voice_there, VOICE)
    assert not list(models_folder(voice_there).rglob("*.onnx"))


def test_removing_takes_what_was_fetched_of_it_and_folders_put_there_by_hand(tmp_path: Path) -> None:
    _staged(tmp_path, VOICE)
    by_hand = models_folder(tmp_path) / VOICE
    by_hand.mkdir()
    (by_hand / "own.onnx").write_bytes(b"123")
    assert remove(tmp_path, VOICE) > 3
    assert not by_hand.exists()
    assert not staging_folder(tmp_path, VOICE).exists()


def test_a_folder_elsewhere_is_held_by_nobody(tmp_path: Path) -> None:
    hold(tmp_path, tmp_path / "elsewhere" / "t-one").release()
    assert not in_use(tmp_path, "t-one")
