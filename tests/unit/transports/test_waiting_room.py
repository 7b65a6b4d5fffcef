"""Who has to go when too many wait."""

from hypothesis import given
from hypothesis import strategies as st

from kamerton.transports.waiting_room import WaitingRoom


def test_the_oldest_of_the_busiest_address_goes() -> None:
    room: WaitingRoom[str] = WaitingRoom(4)
    assert [room.enter("asterisk", "a1"), room.enter("flood", "f1"), room.enter("flood", "f2")] == [None] * 3
    assert room.enter("asterisk", "a2") is None
    assert room.enter("flood", "f3") == "f1"
    assert room.enter("page", "p1") == "a1"
    assert len(room) == 4


def test_who_speaks_is_the_newest_again_and_who_leaves_makes_room() -> None:
    room: WaitingRoom[str] = WaitingRoom(2)
    room.enter("here", "a")
    room.enter("here", "b")
    assert room.enter("here", "a") is None
    assert room.enter("here", "c") == "b"
    room.leave("a")
    room.leave("a")
    assert room.enter("here", "d") is None


def test_a_room_without_places_sends_everybody_away() -> None:
    assert WaitingRoom[str](0).enter("here", "a") == "a"


@given(st.integers(1, 5), st.lists(st.tuples(st.integers(0, 3), st.integers(0, 20), st.booleans())))
def test_there_are_never_more_than_the_limit(limit: int, steps: list[tuple[int, int, bool]]) -> None:
    room: WaitingRoom[int] = WaitingRoom(limit)
    inside: set[int] = set()
    for address, guest, comes in steps:
        if comes:
            sent = room.enter(str(address), guest)
            inside.add(guest)
            assert sent is None or sent in inside
            inside.discard(-1 if sent is None else sent)
        else:
            room.leave(guest)
            inside.discard(guest)
        assert len(room) == len(inside) <= limit
