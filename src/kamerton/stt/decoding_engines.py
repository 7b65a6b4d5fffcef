"""How many turns a local recogniser decodes side by side."""

from __future__ import annotations

import os


def decoding_engines(wanted: int | None) -> int:
    """Engines of a local recogniser: as many as wanted, else one per core that this process may use.

    Of every eighth core one is left out. Everything else about a call (0.3 CPU s per minute at fifty calls) costs a
    tenth of its recognition, and on few cores the work between decodes fits in beside them.
    """
    if wanted is not None:
        return wanted
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return cores - cores // 8
