"""Where the tests find their material."""

from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
SHARED_AUDIO = REPO / "bench" / "callers"
"""Recorded callers that the tests and the benchmark share."""
