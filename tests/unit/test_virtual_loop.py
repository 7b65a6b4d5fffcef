import anyio
import pytest

from kamerton.testing.virtual_loop import VirtualLoop

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> object:
    return ("asyncio", {"loop_factory": VirtualLoop})


async def test_an_hour_passes_at_once_and_exactly() -> None:
    start = anyio.current_time()
    await anyio.sleep(3600)
    assert anyio.current_time() - start == 3600


async def test_deadlines_fire_at_their_instant() -> None:
    start = anyio.current_time()
    with anyio.move_on_after(1.5) as scope:
        await anyio.sleep(100)
    assert scope.cancelled_caught
    assert anyio.current_time() - start == pytest.approx(1.5, abs=1e-9)


async def test_worker_threads_are_waited_for() -> None:
    assert await anyio.to_thread.run_sync(lambda: 7) == 7
