"""A private folder for files that live for a moment: made when needed, made again when lost, removed in the end.

A process that is killed removes nothing; the next one does it. The owner holds a lock on its folder for as long as it
lives (flock, which ends with the process), so that nobody takes the folder of a living process for a left-over;
systemd's cleaning of `/tmp` respects such a lock as well.
"""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import tempfile
import threading
import weakref
from contextlib import suppress
from pathlib import Path
from typing import Final

from kamerton.domain.errors import EngineError

_OPEN_FLAGS: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC

_log = logging.getLogger(__name__)


class ScratchFolder:
    """One such folder of this process. Its methods block on the disk; any thread may call them.

    Args:
        prefix: beginning of its name; folders of the same prefix whose owner is dead are removed when it is first made.
        parent: where; the system's folder for temporary files by default.
    """

    def __init__(self, prefix: str, parent: Path | None = None) -> None:
        self._prefix = prefix
        self._parent = parent
        self._path: Path | None = None
        self._lock = -1
        self._guard = threading.Lock()

    def path(self) -> Path:
        """The folder, which exists now.

        Raises:
            EngineError: it cannot be made.
        """
        with self._guard:
            if self._path is not None and _is_at(self._path, self._lock):
                return self._path
            lost = self._path
            self._forget()
            try:
                made = self._make()
            except OSError as error:
                raise EngineError(
                    f"no folder for temporary files can be made ({error}); free space there or set TMPDIR"
                ) from error
            if lost is None:
                self._sweep(made)
            else:
                _log.warning("a folder for temporary files was lost and is made anew", extra={"folder": str(lost)})
            return made

    def remove(self) -> None:
        """Remove it with what is in it; it may be made again. Does nothing when there is none."""
        with self._guard:
            if self._path is not None:
                shutil.rmtree(self._path, ignore_errors=True)
            self._forget()

    def _make(self) -> Path:
        path = Path(tempfile.mkdtemp(prefix=self._prefix, dir=self._parent))
        weakref.finalize(self, shutil.rmtree, path, ignore_errors=True)
        self._lock = os.open(path, _OPEN_FLAGS)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        self._path = path
        return path

    def _forget(self) -> None:
        self._path = None
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _sweep(self, own: Path) -> None:
        """Remove the folders of dead processes of the same user."""
        others = [path for path in own.parent.glob(f"{self._prefix}*") if path != own]
        removed = sum(_removed_if_left_over(path) for path in others)
        if removed:
            _log.info("folders that killed processes left are removed", extra={"folders": removed})


def _is_at(path: Path, folder: int) -> bool:
    """Whether an open folder is still the one at a path."""
    try:
        return os.path.samestat(path.lstat(), os.fstat(folder))
    except OSError:
        return False


def _removed_if_left_over(path: Path) -> bool:
    """Remove a folder if it is this user's and nobody holds its lock; never follows a link."""
    with suppress(OSError):
        folder = os.open(path, _OPEN_FLAGS)
        try:
            if os.fstat(folder).st_uid != os.getuid():
                return False
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path)
            return True
        finally:
            os.close(folder)
    return False
