"""Where the tests find their material."""

import shutil
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
SHARED_AUDIO = REPO / "bench" / "callers"
"""Recorded callers that the tests and the benchmark share."""


def with_prepared_vectors(data_dir: Path) -> Path:
    """A data folder that has the vectors which `./test` has prepared, so that nobody waits for them again.

    A stale or missing file costs time and nothing else: what it lacks is prepared.
    """
    prepared = REPO / "var" / "vectors"
    if prepared.is_dir():
        shutil.copytree(prepared, data_dir / "vectors", dirs_exist_ok=True)
    return data_dir
