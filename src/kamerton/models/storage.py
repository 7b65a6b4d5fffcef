"""Where fetched models lie: which are there, which are in use, and how a new version takes the place of the old one.

Layout of `DATA_DIR/models`:

    NAME                    a link to the version in use; or a plain folder that somebody put there
    .versions/ID/NAME/      a whole version, with `model.json` that says what it is
    .staging/NAME/          what is being fetched
    .locks/NAME.get         held by the one process that changes NAME
    .locks/NAME.use         held, shared, by every process that has NAME open

The link is exchanged in one step, so there is at every moment one whole version under the name.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final

from kamerton.domain.errors import ModelError
from kamerton.models.catalogue import CATALOGUE, CatalogueModel

MANIFEST: Final = "model.json"


def models_folder(data_dir: Path) -> Path:
    """The folder of all models."""
    return data_dir / "models"


def staging_folder(data_dir: Path, name: str) -> Path:
    """Where a model's files are fetched to."""
    return models_folder(data_dir) / ".staging" / name


def known(name: str) -> CatalogueModel:
    """A model of the catalogue.

    Raises:
        ModelError: there is none of this name.
    """
    if name not in CATALOGUE:
        raise ModelError(f"there is no model '{name}'; `kamerton models list` shows them: {', '.join(CATALOGUE)}")
    return CATALOGUE[name]


def find_installed(data_dir: Path, model: CatalogueModel) -> Path | None:
    """The folder of a model that is there whole, as it lies now; None when it is not. Blocking."""
    folder = models_folder(data_dir) / model.name
    sizes = {name: entry["size"] for name, entry in read_manifest(folder).get("files", {}).items()}
    wanted = sizes or {file.name: file.size for file in model.files if file.name != "MODEL_CARD"}
    for name, size in wanted.items():
        try:
            found = (folder / name).stat().st_size
        except OSError:
            return None
        if size is not None and found != size:
            return None
    return folder.resolve()


def installed(data_dir: Path, name: str) -> Path:
    """The folder of a model of the catalogue, the same for as long as the process uses it. Blocking.

    Raises:
        ModelError: the catalogue has no such model, or it is not there whole.
    """
    model = known(name)
    folder = find_installed(data_dir, model)
    if folder is None:
        raise ModelError(f"the model {name} is not there: get it with `kamerton models get {name}`")
    return folder


def model_folder(data_dir: Path, wish: Path) -> Path:
    """The folder that a setting means: a name of the catalogue, or a path. Blocking.

    Raises:
        ModelError: a name whose model is not there.
    """
    return installed(data_dir, wish.name) if _is_name(wish) else wish


def voice_file(data_dir: Path, wish: Path) -> Path:
    """The Piper voice that a setting means: a name of the catalogue, or the path of an `.onnx` file. Blocking.

    Raises:
        ModelError: a name whose voice is not there, or that is no voice.
    """
    if not _is_name(wish):
        return wish
    if known(wish.name).kind != "piper":
        raise ModelError(f"the model {wish.name} is no Piper voice; `kamerton models list` shows which are")
    return installed(data_dir, wish.name) / f"{wish.name}.onnx"


def _is_name(wish: Path) -> bool:
    return len(wish.parts) == 1 and wish.name in CATALOGUE


def read_manifest(folder: Path) -> Mapping[str, Any]:
    """What a fetched folder says of itself; empty for one that somebody else made."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return manifest if isinstance(manifest, dict) else {}


@contextmanager
def changing(data_dir: Path, name: str) -> Iterator[None]:
    """Be the only process that changes a model.

    Raises:
        ModelError: another one does.
    """
    with _lock_file(data_dir, f"{name}.get") as file:
        if not _locked(file, fcntl.LOCK_EX):
            file.seek(0)
            raise ModelError(f"another process ({file.read().strip() or 'unknown'}) is changing the model {name}: wait")
        file.truncate(0)
        file.write(f"pid {os.getpid()}")
        file.flush()
        yield


@dataclass(slots=True)
class Hold:
    """Says that this process has a model open, until `release` or the process's end."""

    _file: IO[str] | None = field(default=None, repr=False)

    def release(self) -> None:
        """The model is closed. Safe to call twice."""
        if self._file is not None:
            self._file.close()
            self._file = None


def hold(data_dir: Path, folder: Path) -> Hold:
    """Mark a model's folder as open, so that `kamerton models remove` refuses to take it away. Blocking.

    A folder that is not among the fetched ones, or a data folder that cannot be written, is not marked.
    """
    if not folder.resolve().is_relative_to(models_folder(data_dir).resolve()):
        return Hold()
    try:
        file = _open_lock(data_dir, f"{folder.name}.use")
    except OSError:
        return Hold()
    fcntl.flock(file, fcntl.LOCK_SH)
    return Hold(file)


def in_use(data_dir: Path, name: str) -> bool:
    """Whether a process has the model open."""
    try:
        with _lock_file(data_dir, f"{name}.use") as file:
            return not _locked(file, fcntl.LOCK_EX)
    except OSError:
        return False


def switch(data_dir: Path, name: str) -> Path:
    """Make what was staged the version in use, and let the older ones go. Within `changing`. Blocking.

    Returns:
        The new version's folder.
    """
    models = models_folder(data_dir)
    target = models / name
    version = models / ".versions" / secrets.token_hex(4) / name
    version.parent.mkdir(parents=True)
    staging_folder(data_dir, name).rename(version)
    if target.is_dir() and not target.is_symlink():
        aside = models / ".versions" / secrets.token_hex(4) / name
        aside.parent.mkdir()
        target.rename(aside)
    link = models / f".{name}.{secrets.token_hex(4)}"
    link.symlink_to(version.relative_to(models), target_is_directory=True)
    link.replace(target)
    _drop_versions(models, name, keep=version)
    return version


def remove(data_dir: Path, name: str) -> int:
    """Take a model away, with what was fetched of it. Blocking.

    Returns:
        The bytes that are free again.

    Raises:
        ModelError: a process has it open, or another one is changing it.
    """
    models = models_folder(data_dir)
    with changing(data_dir, name):
        if in_use(data_dir, name):
            raise ModelError(f"the model {name} is open in a running process: stop that one first")
        target, staged = models / name, staging_folder(data_dir, name)
        before = sum(stored_bytes(folder) for folder in (target, staged))
        if target.is_symlink():
            target.unlink()
        else:
            shutil.rmtree(target, ignore_errors=True)
        shutil.rmtree(staged, ignore_errors=True)
        _drop_versions(models, name, keep=None)
    return before


def stored_bytes(folder: Path) -> int:
    """Size of the files of a folder; 0 when there is none."""
    return sum(path.stat().st_size for path in folder.glob("*") if path.is_file())


def _drop_versions(models: Path, name: str, keep: Path | None) -> None:
    for folder in (models / ".versions").glob(f"*/{name}"):
        if folder != keep:
            shutil.rmtree(folder.parent, ignore_errors=True)


@contextmanager
def _lock_file(data_dir: Path, name: str) -> Iterator[IO[str]]:
    with _open_lock(data_dir, name) as file:
        yield file


def _open_lock(data_dir: Path, name: str) -> IO[str]:
    """A lock is never deleted: two processes would then hold two files of one name."""
    folder = models_folder(data_dir) / ".locks"
    folder.mkdir(parents=True, exist_ok=True)
    return (folder / name).open("a+", encoding="utf-8")


def _locked(file: IO[str], how: int) -> bool:
    try:
        fcntl.flock(file, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
