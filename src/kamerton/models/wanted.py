"""What catalogue and host know of a file before it is fetched, and whether that fits together."""

from __future__ import annotations

from dataclasses import dataclass

from kamerton.domain.errors import ModelError
from kamerton.models.catalogue import ModelFile
from kamerton.models.hub import RemoteFile


@dataclass(frozen=True, slots=True)
class Wanted:
    """A file to be fetched, and all that is known of it."""

    file: ModelFile
    remote: RemoteFile
    size: int
    digests: tuple[str, ...]

    @property
    def identity(self) -> str:
        """What tells this file from every other one."""
        return self.digests[0]


def wanted_of(file: ModelFile, remote: RemoteFile) -> Wanted:
    """Everything that is known of a file, if it fits together.

    Raises:
        ModelError: catalogue and host tell of different files, or nobody tells enough to check it.
    """
    size = file.size if file.size is not None else remote.size
    digests = tuple(dict.fromkeys(digest for digest in (file.digest, remote.digest) if digest))
    kinds = {digest.partition(":")[0] for digest in digests}
    if len(kinds) < len(digests) or (remote.size is not None and remote.size != size):
        raise ModelError(
            f"{remote.url} is another file than the catalogue knows ({remote.digest or f'{remote.size} bytes'} instead "
            f"of {file.digest or f'{file.size} bytes'}): nothing is fetched; update Kamerton, or check models.mirror"
        )
    if size is None or not digests:
        raise ModelError(
            f"{remote.url} cannot be checked: the catalogue has no hash of it, and the host tells none; "
            "use the hub itself, or copy the file by hand (docs/models.md)"
        )
    return Wanted(file, remote, size, digests)
