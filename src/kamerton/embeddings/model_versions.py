"""Notices that a service has exchanged the model behind a name.

Vectors of two versions must never be compared, and an identity has to be known before anything is asked. So the
versions that answered are written down, and the identity says which of them: another version is refused until the next
start, which makes all vectors anew under another identity.
"""

from __future__ import annotations

import json
import logging
import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Seen:
    known: list[str] = field(default_factory=list)
    """In the order in which they were first seen."""
    current: str | None = None
    """The one that answered last."""


class ModelVersions:
    """The versions of a service's models that were seen, in a small file shared by processes. Thread-safe, blocking.

    A file that is damaged counts as none; one that cannot be written is logged.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = Lock()
        self._seen = _read(path)
        self._begun = {model: seen.current for model, seen in self._seen.items()}

    def generation(self, model: str) -> int:
        """Which version of the model this process's vectors belong to, counted from 0 in the order of being seen."""
        with self._lock:
            seen, begun = self._seen.get(model), self._begun.get(model)
            return seen.known.index(begun) if seen is not None and begun in seen.known else 0

    def fits(self, model: str, version: str) -> bool:
        """Note the version that has just answered; False when the vectors of this process belong to another one."""
        with self._lock:
            if self._begun.get(model) is None:
                self._begun[model] = version
            seen = self._seen.setdefault(model, _Seen())
            if seen.current != version:
                seen.current = version
                if version not in seen.known:
                    seen.known.append(version)
                self._save(model, version)
            return self._begun[model] == version

    def _save(self, model: str, version: str) -> None:
        """Write beside what other processes have noted since."""
        merged = _read(self._path)
        other = merged.setdefault(model, _Seen())
        if version not in other.known:
            other.known.append(version)
        other.current = version
        document = {name: {"known": seen.known, "current": seen.current} for name, seen in merged.items()}
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=self._path.parent, prefix=f".{self._path.name}.")
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(document, file, ensure_ascii=False, indent=1)
            Path(temporary).replace(self._path)
        except OSError as error:
            _log.warning(
                "the version of an embedding model cannot be noted; an exchange of it may go unseen",
                extra={"path": str(self._path), "reason": str(error)},
            )


def _read(path: Path) -> dict[str, _Seen]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        return {
            str(model): _Seen([str(version) for version in entry["known"]], str(entry["current"]))
            for model, entry in document.items()
        }
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        _log.warning(
            "the noted versions of embedding models cannot be read", extra={"path": str(path), "reason": str(error)}
        )
        return {}
