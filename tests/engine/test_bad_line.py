"""The real network on bad lines: ten recorded sentences in noise, hum, offset, zeros, whispered, clipped."""

from __future__ import annotations

import pytest
from bad_line import OPEN_GATE, OTHER_SENTENCES, SENTENCES, Figures, five_sentences, judge, lines, listen

from kamerton.listening.gate import VadSettings
from kamerton.listening.silero import SileroModel, find_silero
from kamerton.testing.virtual_loop import VirtualLoop

pytestmark = [pytest.mark.anyio, pytest.mark.engine]


@pytest.fixture
def anyio_backend() -> object:
    return ("asyncio", {"loop_factory": VirtualLoop})


@pytest.fixture(scope="module")
def silero() -> SileroModel:
    return SileroModel(find_silero())


async def figures(line: str, model: SileroModel, vad: VadSettings | None = None) -> list[Figures]:
    found = []
    for names in (SENTENCES, OTHER_SENTENCES):
        script = five_sentences(names)
        events, judged = await listen(lines()[line](script), model, vad)
        found.append(judge(events, script.spans, judged))
    return found


@pytest.mark.parametrize("line", lines())
async def test_the_gate_costs_no_sentence_and_adds_no_pauses(line: str, silero: SileroModel) -> None:
    gated = await figures(line, silero)
    ungated = await figures(line, silero, OPEN_GATE)
    assert [row.found for row in gated] == [5, 5]
    assert [(row.cut_short, row.unended, row.false_starts, row.false_ducks) for row in gated] == [(0, 0, 0, 0)] * 2
    # A single pause more in ten sentences is let pass: with so few the ratio says nothing.
    pauses = sum(row.false_pauses for row in ungated)
    assert sum(row.false_pauses for row in gated) <= max(pauses + 1, 1.5 * pauses)
    assert max(row.judged for row in gated) <= 0.55 < min(row.judged for row in ungated)


@pytest.mark.parametrize("line", ["clean", "offset -26"])
async def test_an_offset_changes_nothing(line: str, silero: SileroModel) -> None:
    for row in await figures(line, silero):
        assert row.worst_onset_ms <= 40
        assert row.worst_end_ms <= 60
