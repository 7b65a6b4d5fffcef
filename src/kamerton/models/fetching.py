"""Fetching a model: resumed where it was cut off, checked file by file, and put in place in one step.

A file is written to `NAME.partial` beside `NAME.partial.json`, which says of what it is a part; both stay when the
fetch is interrupted, also by Ctrl-C, and the next one goes on from there.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import anyio
import anyio.to_thread

from kamerton.domain.errors import ModelError
from kamerton.models.catalogue import CatalogueModel
from kamerton.models.digests import digest_of_file
from kamerton.models.hub import Body, Hub, RemoteFile, TransferBroken, open_hub
from kamerton.models.parts import Part, note_path, put_on_disk, read_part, size_of, write_part
from kamerton.models.settings import ModelsSettings
from kamerton.models.storage import (
    MANIFEST,
    changing,
    find_installed,
    models_folder,
    read_manifest,
    staging_folder,
    switch,
)
from kamerton.models.wanted import Wanted, wanted_of

WRITE_BYTES: Final = 1 << 20
SPARE_BYTES: Final = 64 << 20
"""What must stay free on the disk: logs and calls need some."""


@dataclass(frozen=True, slots=True)
class Step:
    """How far a fetch has come."""

    file: str
    done: int
    """Bytes of all files, what was there before included."""
    total: int
    fetched: int
    """Bytes that came in this fetch."""


Progress = Callable[[Step], None]
Note = Callable[[str], None]


async def fetch_model(
    model: CatalogueModel,
    data_dir: Path,
    settings: ModelsSettings | None = None,
    *,
    progress: Progress = lambda _: None,
    note: Note = lambda _: None,
    free_bytes: Callable[[Path], int] = lambda folder: shutil.disk_usage(folder).free,
) -> Path:
    """Have the model in the version of the catalogue, and return its folder. Nothing is done when it is there.

    Safe to cancel: what was fetched is kept for the next time, and the version that was there stays.

    Args:
        model: which one.
        data_dir: where models are kept.
        settings: the host, and how patient to be.
        progress: told about every megabyte.
        note: told what goes wrong and is tried again.
        free_bytes: what a disk has left.

    Raises:
        ModelError: the host does not have it, a file is not the published one, the disk is too small, or another
            process fetches it already.
    """
    settings = settings or ModelsSettings()
    try:
        with changing(data_dir, model.name):
            folder = await anyio.to_thread.run_sync(find_installed, data_dir, model)
            if folder is not None and _is_current(folder, model):
                return folder
            async with open_hub(settings) as hub:
                fetch = _Fetch(model, data_dir, settings, hub, progress, note)
                await fetch.run(free_bytes)
            return await anyio.to_thread.run_sync(switch, data_dir, model.name)
    except OSError as fault:
        raise ModelError(
            f"the model {model.name} cannot be stored in {models_folder(data_dir)} ({fault}): check the folder's "
            "rights and the space left; what was fetched is kept, and the same command goes on from there"
        ) from fault


def _is_current(folder: Path, model: CatalogueModel) -> bool:
    manifest = read_manifest(folder)
    return (manifest.get("repository"), manifest.get("revision")) == (model.repository, model.revision)


class _Fetch:
    """One fetch of one model. Within `storage.changing`."""

    def __init__(
        self,
        model: CatalogueModel,
        data_dir: Path,
        settings: ModelsSettings,
        hub: Hub,
        progress: Progress,
        note: Note,
    ) -> None:
        self._model = model
        self._folder = staging_folder(data_dir, model.name)
        self._settings = settings
        self._hub = hub
        self._progress = progress
        self._note = note
        self._total = 0
        self._before = 0
        self._fetched = 0

    async def run(self, free_bytes: Callable[[Path], int]) -> None:
        """Stage every file and the manifest."""
        self._folder.mkdir(parents=True, exist_ok=True)
        wanted, commit = await self._look_up()
        self._total = sum(one.size for one in wanted)
        missing = self._total - sum(self._staged_bytes(one) for one in wanted)
        free = free_bytes(self._folder)
        if missing + SPARE_BYTES > free:
            raise ModelError(
                f"the model {self._model.name} needs {megabytes(missing + SPARE_BYTES)} more in {self._folder} and "
                f"{megabytes(free)} are free: make room, or set data_dir to another disk"
            )
        files: dict[str, dict[str, object]] = {}
        for one in wanted:
            digests = await self._stage(one)
            self._before += one.size
            files[one.file.name] = {"size": one.size, "digests": digests}
        self._drop_others(set(files))
        manifest = {
            "name": self._model.name,
            "repository": self._model.repository,
            "revision": self._model.revision,
            "commit": commit,
            "licence": self._model.licence,
            "files": files,
        }
        (self._folder / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", "utf-8")

    async def _look_up(self) -> tuple[list[Wanted], str]:
        """What the host says of the files. All of them are then asked for by the commit that the first one named."""
        wanted: list[Wanted] = []
        revision = self._model.revision
        for file in self._model.files:
            remote = await self._look_up_one(revision, file.path)
            revision = remote.commit or revision
            wanted.append(wanted_of(file, remote))
        return wanted, revision

    async def _look_up_one(self, revision: str, path: str) -> RemoteFile:
        tries = 0
        while True:
            try:
                return await self._hub.look_up(self._model.repository, revision, path)
            except TransferBroken as fault:
                tries += 1
                await self._rest(fault, tries)

    async def _rest(self, fault: TransferBroken, tries: int) -> None:
        """Wait before the next try.

        Raises:
            ModelError: there have been enough, or the host asks for too long a pause.
        """
        settings = self._settings
        pause_s = min(settings.first_wait_s * 2 ** (tries - 1), settings.longest_wait_s)
        pause_s = max(pause_s, fault.retry_after_s or 0.0)
        kept = "what was fetched is kept: give the same command again to go on"
        if tries >= settings.attempts:
            raise ModelError(f"the model {self._model.name} could not be fetched: {fault}, {tries} times; {kept}")
        if pause_s > settings.longest_wait_s:
            raise ModelError(
                f"the model {self._model.name} could not be fetched: {fault}, for {pause_s:.0f} s; {kept} after that"
            )
        self._note(f"{fault}; trying again in {pause_s:g} s")
        await anyio.sleep(pause_s)

    async def _stage(self, one: Wanted) -> list[str]:
        """Have one file whole and checked; the digests it was checked by."""
        target = self._folder / one.file.name
        if await self._is_right(target, one):
            return list(one.digests)
        partial = target.with_name(f"{target.name}.partial")
        tries = 0
        while True:
            start = self._fetched
            resumed = self._offset(partial, one)
            try:
                await self._transfer(partial, one)
            except TransferBroken as fault:
                tries = 1 if self._fetched - start >= WRITE_BYTES else tries + 1
                await self._rest(fault, tries)
                continue
            if await self._is_right(partial, one):
                break
            self._discard(partial)
            if not resumed:
                raise ModelError(
                    f"{one.file.name} of the model {self._model.name} is not the published file (its hash is another "
                    f"one) and was deleted: try again later, or give another host with --base-url"
                )
            self._note(f"{one.file.name} changed while it was fetched; it is fetched anew")
        await anyio.to_thread.run_sync(put_on_disk, partial)
        partial.replace(target)
        note_path(partial).unlink(missing_ok=True)
        return list(one.digests)

    async def _is_right(self, path: Path, one: Wanted) -> bool:
        if size_of(path) != one.size:
            return False
        for digest in one.digests:
            kind = digest.partition(":")[0]
            if await anyio.to_thread.run_sync(digest_of_file, path, kind, abandon_on_cancel=True) != digest:
                return False
        return True

    async def _transfer(self, partial: Path, one: Wanted) -> None:
        """Bring a partial file to its end."""
        offset = self._offset(partial, one)
        if offset == one.size:
            return
        part = read_part(partial)
        async with self._hub.read(one.remote.url, offset, part.served_by if part else "") as body:
            if body.total is not None and body.total != one.size:
                self._discard(partial)
                raise ModelError(
                    f"{one.file.name} of the model {self._model.name} has {body.total} bytes where it is served, and "
                    f"{one.size} were announced: give the same command again, or another host with --base-url"
                )
            write_part(partial, Part(one.identity, one.size, body.etag))
            await self._write(partial, one, body)
        if size_of(partial) < one.size:
            raise TransferBroken(f"the transfer of {one.file.name} ended early")

    async def _write(self, partial: Path, one: Wanted, body: Body) -> None:
        done = body.offset
        with partial.open("r+b" if body.offset else "wb") as out:
            out.seek(body.offset)
            out.truncate()
            block = bytearray()
            try:
                async for piece in body.pieces:
                    block += piece
                    done += len(piece)
                    self._fetched += len(piece)
                    if done > one.size:
                        raise TransferBroken(f"{one.file.name} is longer than announced")
                    if len(block) >= WRITE_BYTES:
                        whole, block = bytes(block), bytearray()
                        await anyio.to_thread.run_sync(out.write, whole)
                        self._tell(one, done)
            finally:
                # Also when it is cancelled: the next fetch goes on from here.
                if done <= one.size:
                    out.write(block)
        self._tell(one, done)

    def _tell(self, one: Wanted, done: int) -> None:
        self._progress(Step(one.file.name, self._before + done, self._total, self._fetched))

    def _offset(self, partial: Path, one: Wanted) -> int:
        """How much of the file is there; what is a part of another one counts as nothing."""
        part = read_part(partial)
        if part is None or (part.identity, part.size) != (one.identity, one.size):
            self._discard(partial)
            return 0
        return min(size_of(partial), one.size)

    def _staged_bytes(self, one: Wanted) -> int:
        target = self._folder / one.file.name
        if target.is_file():
            return one.size
        return self._offset(target.with_name(f"{target.name}.partial"), one)

    def _discard(self, partial: Path) -> None:
        partial.unlink(missing_ok=True)
        note_path(partial).unlink(missing_ok=True)

    def _drop_others(self, names: set[str]) -> None:
        """Files of an earlier catalogue."""
        for path in self._folder.iterdir():
            if path.name not in names:
                path.unlink()


def megabytes(size: float) -> str:
    """A size for people: MB as disks count them."""
    return f"{size / 1e6:.1f} MB" if size < 1e9 else f"{size / 1e9:.2f} GB"
