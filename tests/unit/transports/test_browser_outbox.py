"""What waits for a page: bounded, ordered, recallable."""

import anyio
import anyio.lowlevel
import pytest

from kamerton.transports.browser.outbox import MAX_AUDIO_MESSAGES, MAX_TEXT_MESSAGES, Outbox


def drain(outbox: Outbox) -> list[str | bytes]:
    messages = []
    while (message := outbox.take()) is not None:
        messages.append(message)
    return messages


def test_messages_leave_in_order() -> None:
    outbox = Outbox()
    outbox.put_audio(b"1")
    outbox.put_text("a")
    outbox.put_audio(b"2")
    assert len(outbox) == 3
    assert drain(outbox) == [b"1", "a", b"2"]


def test_too_much_audio_is_dropped_and_counted() -> None:
    outbox = Outbox()
    taken = [outbox.put_audio(bytes((number,))) for number in range(MAX_AUDIO_MESSAGES + 5)]
    assert taken == [True] * MAX_AUDIO_MESSAGES + [False] * 5
    assert outbox.dropped_frames == 5
    outbox.take()
    assert outbox.put_audio(b"room again")


def test_recalling_drops_audio_only_and_announces_itself_first() -> None:
    outbox = Outbox()
    for number in range(MAX_AUDIO_MESSAGES):
        outbox.put_audio(bytes((number,)))
    outbox.put_text("a")
    outbox.put_text("b")
    outbox.recall_audio("cleared")
    assert outbox.put_audio(b"new")
    assert drain(outbox) == ["cleared", "a", "b", b"new"]
    assert outbox.dropped_frames == 0


def test_text_has_a_limit_of_its_own() -> None:
    outbox = Outbox()
    outbox.put_audio(b"1")
    for _ in range(MAX_TEXT_MESSAGES - 1):
        outbox.put_text("a")
    assert not outbox.text_full
    outbox.put_text("a")
    assert outbox.text_full


@pytest.mark.anyio
async def test_waiting_ends_when_something_comes_or_when_woken() -> None:
    outbox = Outbox()
    outbox.put_text("there already")
    with anyio.fail_after(1):
        await outbox.wait()
    outbox.take()
    async with anyio.create_task_group() as group:
        group.start_soon(outbox.wait)
        await anyio.lowlevel.checkpoint()
        outbox.put_audio(b"1")
    outbox.take()
    async with anyio.create_task_group() as group:
        group.start_soon(outbox.wait)
        await anyio.lowlevel.checkpoint()
        outbox.wake()
