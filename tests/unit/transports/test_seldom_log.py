"""Warnings about strangers do not fill the log."""

import logging

import anyio
import pytest

from kamerton.testing.virtual_loop import VirtualLoop
from kamerton.transports.seldom_log import EVERY_S, SeldomLog

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> object:
    return ("asyncio", {"loop_factory": VirtualLoop})


async def test_the_first_is_logged_at_once_and_the_next_line_says_how_many_were_left_out(
    caplog: pytest.LogCaptureFixture,
) -> None:
    log = SeldomLog(logging.getLogger("kamerton.test"), "somebody knocks")
    for number in range(4):
        log.warn(peer=number)
    await anyio.sleep(EVERY_S)
    log.warn(peer=9)
    told = [vars(record) for record in caplog.records]
    assert [(record["peer"], record["left_out_before"]) for record in told] == [(0, 0), (9, 3)]
