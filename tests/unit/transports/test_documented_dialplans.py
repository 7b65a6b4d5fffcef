"""The dialplans of docs/asterisk.md are those that tests/asterisk calls, word for word."""

from __future__ import annotations

import re

from paths import REPO

DOCUMENTED = REPO / "docs" / "asterisk.md"
CALLED = REPO / "tools" / "asterisk" / "etc" / "kamerton.conf"


def blocks(text: str) -> list[str]:
    """Every extension: its first line and the `same =>` lines that follow it."""
    return re.findall(r"^exten => .*(?:\n same => .*)*", text, re.MULTILINE)


def test_the_document_and_the_tested_configuration_hold_the_same_dialplans() -> None:
    unindented = re.sub(r"^    ", "", DOCUMENTED.read_text(encoding="utf-8"), flags=re.MULTILINE)
    documented = blocks(unindented)
    assert len(documented) == 4
    assert documented == blocks(CALLED.read_text(encoding="utf-8"))
    loose = [line for line in unindented.splitlines() if line.startswith(" same => ")]
    assert len(loose) == sum(block.count("\n") for block in documented), "a line of a dialplan stands alone"
