"""The gate before the lines."""

import anyio
import pytest

from kamerton.domain.errors import ConfigurationError
from kamerton.transports.admission import Admission, CallGate, CallLimits


def test_lines_then_refusals_then_nothing() -> None:
    gate = CallGate(CallLimits(max_calls=2, max_refusals=1))
    verdicts = [gate.admit(name) for name in "abcd"]
    assert verdicts == [Admission.SERVED, Admission.SERVED, Admission.REFUSED, Admission.TURNED_AWAY]
    assert (gate.live, gate.refusing) == (2, 1)


def test_a_line_is_free_again_when_its_call_leaves() -> None:
    gate = CallGate(CallLimits(max_calls=1, max_refusals=1))
    gate.admit("a")
    gate.admit("b")
    gate.leave("b")
    assert gate.admit("c") is Admission.REFUSED
    gate.leave("a")
    gate.leave("a")
    assert gate.admit("d") is Admission.SERVED
    assert (gate.live, gate.refusing) == (1, 1)


def test_a_live_calls_id_cannot_be_taken() -> None:
    gate = CallGate(CallLimits(max_calls=1, max_refusals=1))
    assert gate.admit("a") is Admission.SERVED
    assert gate.admit("b") is Admission.REFUSED
    assert gate.admit("a") is Admission.DUPLICATE
    assert gate.admit("b") is Admission.DUPLICATE
    gate.leave("a")
    assert gate.admit("a") is Admission.SERVED


@pytest.mark.parametrize(("calls", "refusals"), [(0, 1), (-5, 1), (1, -1)])
def test_limits_that_make_no_sense_are_refused(calls: int, refusals: int) -> None:
    with pytest.raises(ConfigurationError, match="max_calls"):
        CallLimits(calls, refusals)


def test_a_closed_gate_serves_nobody_and_still_refuses_politely() -> None:
    gate = CallGate(CallLimits(max_calls=2, max_refusals=1))
    assert gate.admit("a") is Admission.SERVED
    gate.close()
    assert [gate.admit(name) for name in "bca"] == [Admission.REFUSED, Admission.TURNED_AWAY, Admission.DUPLICATE]
    assert gate.closed


@pytest.mark.anyio
async def test_who_waits_for_a_call_or_for_all_of_them_to_leave_is_told() -> None:
    gate = CallGate(CallLimits(max_calls=2, max_refusals=1))
    told: list[str] = []

    async def wait(name: str) -> None:
        await gate.left(name)
        told.append(name)

    async def wait_for_all() -> None:
        await gate.emptied()
        told.append("all")

    for name in "abr":
        gate.admit(name)
    async with anyio.create_task_group() as waiting:
        waiting.start_soon(wait, "a")
        waiting.start_soon(wait, "a")
        waiting.start_soon(wait, "never")
        waiting.start_soon(wait_for_all)
        await anyio.wait_all_tasks_blocked()
        assert told == ["never"]
        gate.leave("a")
        await anyio.wait_all_tasks_blocked()
        assert told == ["never", "a", "a"]
        gate.leave("b")
    assert told == ["never", "a", "a", "all"]
    assert gate.refusing == 1


def test_a_drain_time_below_zero_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="drain_s"):
        CallLimits(drain_s=-1)
