"""Files that are fetched in part: the bytes in `NAME.partial`, and beside them what they are a part of."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Part:
    """Of what a partial file is a part."""

    identity: str
    """The whole file's digest or tag."""
    size: int
    served_by: str
    """Tag of the host that sent it, which decides whether it sends the rest."""


def size_of(path: Path) -> int:
    """Bytes of a file; 0 when there is none."""
    return path.stat().st_size if path.is_file() else 0


def put_on_disk(path: Path) -> None:
    """Have a file outlive a power cut before it takes its name."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def note_path(partial: Path) -> Path:
    """Where it is written of what a partial file is a part."""
    return partial.with_name(f"{partial.name}.json")


def read_part(partial: Path) -> Part | None:
    """Of what a partial file is a part; None when that is not known, and it is worth nothing then."""
    try:
        return Part(**json.loads(note_path(partial).read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def write_part(partial: Path, part: Part) -> None:
    """Note of what a partial file is a part."""
    note_path(partial).write_text(json.dumps(asdict(part)), "utf-8")
