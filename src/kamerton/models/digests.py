"""How a file is told to be the published one: by a hash from the catalogue, and by what the hub tells of it."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Final

BLOCK_BYTES: Final = 1 << 20

_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_GIT_BLOB: Final = re.compile(r"[0-9a-f]{40}")


def digest_of_etag(etag: str) -> str:
    """The hash that the hub's entity tag is: `sha256:…` of a large file, `git:…` of a small one, else empty.

    Large files lie in Git LFS (or Xet), whose tag is their sha256; a small one's is the SHA-1 of its Git blob.
    """
    tag = etag.removeprefix("W/").strip('"').lower()
    if _SHA256.fullmatch(tag):
        return f"sha256:{tag}"
    return f"git:{tag}" if _GIT_BLOB.fullmatch(tag) else ""


def digest_of_file(path: Path, kind: str) -> str:
    """The file's hash, of the kind that a digest begins with: `sha256`, `md5` or `git`. Blocking.

    Raises:
        ValueError: there is no such kind.
    """
    if kind not in ("sha256", "md5", "git"):
        raise ValueError(f"no hash is called {kind!r}")
    digest = hashlib.new("sha1" if kind == "git" else kind, usedforsecurity=False)
    if kind == "git":
        digest.update(b"blob %d\0" % path.stat().st_size)
    with path.open("rb") as source:
        while block := source.read(BLOCK_BYTES):
            digest.update(block)
    return f"{kind}:{digest.hexdigest()}"
