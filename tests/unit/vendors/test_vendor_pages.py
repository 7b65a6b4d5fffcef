"""The index of vendors names every engine there is, and every page."""

from __future__ import annotations

import pytest
from paths import REPO

from kamerton.vendors.registry import EMBEDDINGS, MODELS, RECOGNIZERS, VOICES, engines_in

INDEX = (REPO / "docs" / "vendors.md").read_text(encoding="utf-8")
COLUMNS = {RECOGNIZERS: 1, VOICES: 2, MODELS: 3, EMBEDDINGS: 4}


@pytest.mark.parametrize("package", COLUMNS)
def test_every_engine_stands_in_the_column_of_its_kind(package: str) -> None:
    rows = [line.split("|")[1:-1] for line in INDEX.splitlines() if line.startswith("|")]
    column = " ".join(row[COLUMNS[package]] for row in rows if len(row) == 6)
    assert [name for name in engines_in(package) if f"`{name}`" not in column] == []


def test_every_page_is_linked() -> None:
    pages = sorted(page.name for page in (REPO / "docs" / "vendors").glob("*.md"))
    assert len(pages) > 5
    assert [page for page in pages if f"(vendors/{page}" not in INDEX] == []
