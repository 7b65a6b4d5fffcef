"""What of a catalogue was loaded the last time, to say what changed since."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from kamerton.answers.catalogue import AnswerEntry
from kamerton.domain.errors import ConfigurationError

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Changes:
    """Ids of answers, in the order of the catalogue."""

    added: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]
    unchanged: tuple[str, ...]

    def summary(self) -> str:
        """All four counts in a line."""
        kinds = (("added", self.added), ("changed", self.changed), ("removed", self.removed))
        return ", ".join(f"{len(ids)} {kind}" for kind, ids in (*kinds, ("unchanged", self.unchanged)))

    def listed(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        """What is different, by kind; kinds without an id are left out."""
        for kind, ids in (("added", self.added), ("changed", self.changed), ("removed", self.removed)):
            if ids:
                yield kind, ids


@dataclass(frozen=True, slots=True)
class Manifest:
    """A hash per answer, over everything its author wrote and its recording."""

    digests: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, entries: Sequence[AnswerEntry], recordings: Path) -> Manifest:
        """The manifest of a catalogue; `recordings` is the folder of its WAV files. Blocking: reads them.

        Raises:
            ConfigurationError: a recording cannot be read.
        """
        return cls({entry.answer_id: _digest(entry, recordings) for entry in entries})

    @classmethod
    def read(cls, path: Path) -> Manifest:
        """The manifest in a file; an empty one when there is none or it is broken, which is logged."""
        if not path.exists():
            return cls()
        try:
            digests = json.loads(path.read_text(encoding="utf-8"))
            return cls({str(answer_id): str(digest) for answer_id, digest in digests.items()})
        except (OSError, ValueError, AttributeError) as error:
            _log.warning(
                "the manifest of prepared answers is broken; all of them count as added",
                extra={"path": str(path), "reason": str(error)},
            )
            return cls()

    def write(self, path: Path) -> None:
        """Store it.

        Raises:
            ConfigurationError: the file cannot be written.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(dict(self.digests), indent=1) + "\n", encoding="utf-8")
        except OSError as error:
            raise ConfigurationError(f"{path}: the manifest cannot be written: {error}; check data_dir") from error

    def changes(self, now: Manifest) -> Changes:
        """What is different in `now`."""
        known = [answer_id for answer_id in now.digests if answer_id in self.digests]
        same = {answer_id for answer_id in known if now.digests[answer_id] == self.digests[answer_id]}
        return Changes(
            added=tuple(answer_id for answer_id in now.digests if answer_id not in self.digests),
            changed=tuple(answer_id for answer_id in known if answer_id not in same),
            removed=tuple(answer_id for answer_id in self.digests if answer_id not in now.digests),
            unchanged=tuple(answer_id for answer_id in known if answer_id in same),
        )


def _digest(entry: AnswerEntry, recordings: Path) -> str:
    digest = hashlib.sha256(entry.digest.encode())
    if entry.wav is not None:
        path = recordings / entry.wav
        try:
            digest.update(path.read_bytes())
        except OSError as error:
            raise ConfigurationError(f"{path}: the recording cannot be read: {error}") from error
    return digest.hexdigest()
