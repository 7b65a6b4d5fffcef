"""One Asterisk for all tests of this folder; each module runs a Kamerton of its own on the port that it calls."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from asterisk_server import AsteriskServer, asterisk
from redis_server import free_port


@pytest.fixture(scope="session")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AsteriskServer]:
    with asterisk(tmp_path_factory.mktemp("asterisk"), free_port()) as running:
        yield running
