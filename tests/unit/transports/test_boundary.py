from __future__ import annotations

import uuid

import anyio
import pytest

from kamerton.testing.loopback_media import LoopbackMedia
from kamerton.transports.boundary import CallBoundary

pytestmark = pytest.mark.anyio


def boundary() -> CallBoundary:
    return CallBoundary(str(uuid.uuid4()), lambda reason: None, leave_timeout_s=0.0)


async def test_a_handler_that_does_not_return_is_cut_off_and_told(caplog: pytest.LogCaptureFixture) -> None:
    border = boundary()

    async def hangs(_: object) -> None:
        border.line_down()
        await anyio.sleep_forever()

    with anyio.fail_after(5):
        await border.run(hangs, LoopbackMedia.__new__(LoopbackMedia))
    assert "its handler does not return" in caplog.text


async def test_a_connection_whose_handler_never_ran_is_no_fault(caplog: pytest.LogCaptureFixture) -> None:
    boundary().line_down()
    await anyio.sleep(0.01)
    assert not caplog.records
