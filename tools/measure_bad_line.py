"""Prints how well calls are heard on bad lines: `PYTHONPATH=src:tests/support python tools/measure_bad_line.py`.

Each line carries ten recorded sentences. "open" rows have no gate: the network hears everything.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence

from bad_line import OPEN_GATE, OTHER_SENTENCES, Figures, five_sentences, judge, lines, listen

from kamerton.listening.silero import SileroModel, find_silero
from kamerton.testing.virtual_loop import VirtualLoop


def _print(*cells: str) -> None:
    sys.stdout.write(" ".join(cells) + "\n")


def main() -> None:
    """Print the table."""
    model = SileroModel(find_silero())
    scripts = five_sentences(), five_sentences(OTHER_SENTENCES)
    header = ["found", "pauses", "cut", "starts", "ducks", "unended", "onset", "end", "judged"]
    _print(f"{'line':26}", *(f"{name:>8}" for name in header))
    for name, make in lines().items():
        for label, vad in (("", None), ("  open", OPEN_GATE)):
            rows = []
            for script in scripts:
                with asyncio.Runner(loop_factory=VirtualLoop) as runner:
                    events, share = runner.run(listen(make(script), model, vad))
                rows.append(judge(events, script.spans, share))
            _print(f"{name + label:26}", *(f"{cell:>8}" for cell in _cells(rows)))


def _cells(rows: Sequence[Figures]) -> list[str]:
    counts = ("found", "false_pauses", "cut_short", "false_starts", "false_ducks", "unended")
    return [
        *(str(sum(getattr(row, name) for row in rows)) for name in counts),
        f"{max(row.worst_onset_ms for row in rows):.0f}",
        f"{max(row.worst_end_ms for row in rows):.0f}",
        f"{100 * sum(row.judged for row in rows) / len(rows):.0f} %",
    ]


if __name__ == "__main__":
    main()
