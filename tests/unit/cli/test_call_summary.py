from __future__ import annotations

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from kamerton.cli.call import call, summary
from kamerton.testing.caller.call_report import BargeIn, CallReport
from kamerton.testing.caller.line_profile import line_profile

USED = {
    "part": "recognizer",
    "vendor": "yandex",
    "model": "general",
    "unit": "seconds",
    "amount": 12.34,
    "cost": 0.1234,
    "currency": "RUB",
}


def test_the_line_and_every_barge_in_are_told() -> None:
    report = CallReport(
        call_id="a",
        assistant="insurance",
        ended_by="caller",
        turns=(),
        barge_ins=(
            BargeIn(1200.0, 90.0, 260.0),
            BargeIn(1200.0, None, None),
            BargeIn(1200.0, None, 0.0, in_pause=True),
            BargeIn(4000.0, None, None, finished=True),
        ),
        state={},
        line=line_profile("echo").typical.as_json(),
        usage=(USED, USED | {"model": "", "unit": "requests", "amount": 3.0, "cost": None, "currency": ""}),
        cost={"RUB": 0.1234, "USD": 0.5},
    )
    assert list(summary(report)) == [
        "call a of 'insurance', ended by the caller",
        "  line: line = echo, echo_db = -18.0, echo_delay_ms = 200.0",
        "  barge-in quieter after 90 ms, silent after 260 ms",
        "  barge-in quieter never, silent never",
        "  barge-in into a pause between words: silent after 0 ms",
        "  barge-in after the end of the reply",
        "  used: yandex general: 12.34 seconds (0.1234 RUB)",
        "  used: yandex: 3 requests (no price)",
        "  cost: 0.1234 RUB, 0.5 USD",
    ]


@pytest.mark.parametrize("line", ["tin-can", "clean,noisy"])
def test_a_line_that_there_is_not_is_refused_before_anything_is_opened(line: str) -> None:
    app = typer.Typer()
    app.command()(call)
    recording = Path(__file__).parents[3] / "bench" / "callers" / "hello.wav"
    done = CliRunner().invoke(app, [str(recording), "--line", line])
    assert done.exit_code == 1
    assert "choose from clean, noisy, echo, lossy, mobile" in done.output
