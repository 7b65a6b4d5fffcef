"""The bundled sample callers: recordings that the page can let speak instead of a microphone."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from kamerton.domain.errors import ConfigurationError

LIST_NAME = "transcripts.tsv"


@dataclass(frozen=True, slots=True)
class SampleCaller:
    """One recording. `name` is unique and fit for a URL; `text` is what it says."""

    name: str
    text: str
    path: Path


def load_samples(folder: Path) -> tuple[SampleCaller, ...]:
    """Read a folder of WAV files with a `transcripts.tsv` (tab-separated, with at least the columns `file` and `text`).

    Raises:
        ConfigurationError: the list is missing or names a file that is not there; every fault is told at once.
    """
    listing = folder / LIST_NAME
    if not listing.is_file():
        raise ConfigurationError(f"sample callers: {listing} is missing; it lists the recordings and what they say")
    with listing.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))
    samples = []
    problems = []
    for number, row in enumerate(rows, start=2):
        name, text = row.get("file"), row.get("text")
        if not name or not text:
            problems.append(f"line {number} lacks the file's name or its text")
        elif Path(name).name != name or not (folder / name).is_file():
            problems.append(f"line {number}: {name} is not a file in that folder")
        else:
            samples.append(SampleCaller(Path(name).stem, text, folder / name))
    if len({sample.name for sample in samples}) != len(samples):
        problems.append("two recordings have the same name")
    if problems:
        raise ConfigurationError(f"sample callers: {listing}: " + "; ".join(problems))
    return tuple(samples)
