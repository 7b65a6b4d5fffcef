from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from kamerton.domain.errors import EngineError
from kamerton.tts.voices.festival.scratch_folder import ScratchFolder

OWNER = """
import os, sys
from pathlib import Path
from kamerton.tts.voices.festival.scratch_folder import ScratchFolder
folder = ScratchFolder("scratch-", Path(sys.argv[1]))
(folder.path() / "clause.wav").write_bytes(b"x")
print(folder.path(), flush=True)
sys.stdin.read()
"""


def folders(parent: Path) -> list[Path]:
    return sorted(parent.glob("scratch-*"))


def owner(parent: Path) -> tuple[subprocess.Popen[str], Path]:
    process = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(parent)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def end(process: subprocess.Popen[str]) -> None:
    process.communicate("", timeout=30)


def test_it_is_private_stays_and_goes(tmp_path: Path) -> None:
    folder = ScratchFolder("scratch-", tmp_path)
    path = folder.path()
    assert folder.path() == path
    assert path.stat().st_mode & 0o077 == 0
    (path / "clause.wav").write_bytes(b"x")
    folder.remove()
    folder.remove()
    assert folders(tmp_path) == []


@pytest.mark.parametrize("replaced", [False, True])
def test_a_lost_folder_is_made_again(tmp_path: Path, replaced: bool) -> None:
    folder = ScratchFolder("scratch-", tmp_path)
    lost = folder.path()
    shutil.rmtree(lost)
    if replaced:
        lost.mkdir()
    assert folder.path() != lost
    assert folder.path().is_dir()
    folder.remove()


def test_a_folder_that_cannot_be_made_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="TMPDIR"):
        ScratchFolder("scratch-", tmp_path / "missing").path()


def test_what_a_killed_process_left_is_removed_and_what_a_living_one_has_is_not(tmp_path: Path) -> None:
    dead, left = owner(tmp_path)
    living, used = owner(tmp_path)
    dead.send_signal(signal.SIGKILL)
    end(dead)
    target = tmp_path / "elsewhere"
    target.mkdir()
    (tmp_path / "scratch-link").symlink_to(target)
    assert left.is_dir()
    folder = ScratchFolder("scratch-", tmp_path)
    assert set(folders(tmp_path)) - {tmp_path / "scratch-link"} == {left, used}
    mine = folder.path()
    assert set(folders(tmp_path)) == {mine, used, tmp_path / "scratch-link"}
    assert target.is_dir()
    end(living)
    folder.remove()
    assert set(folders(tmp_path)) == {tmp_path / "scratch-link"}
