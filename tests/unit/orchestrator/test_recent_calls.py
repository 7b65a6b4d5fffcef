from __future__ import annotations

from kamerton.domain.dialogue import SessionState
from kamerton.orchestrator.recent_calls import KEPT_S, RecentCalls


def test_what_nobody_came_back_to_is_not_kept_for_longer_than_said() -> None:
    now_s = 0.0
    calls = RecentCalls(lambda: now_s)
    for number in range(3):
        calls.keep(SessionState(f"call-{number}", "lab", "talk"))
    now_s = KEPT_S + 1
    calls.keep(SessionState("call-3", "lab", "talk"))
    assert len(calls) == 1
    assert calls.take("call-3") is not None
    assert calls.take("call-0") is None
