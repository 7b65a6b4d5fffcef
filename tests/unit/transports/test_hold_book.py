"""Whose channel holds: known from the dialplan's event, a channel's name, a link, a bridge or the list of channels."""

from kamerton.transports.asterisk.ami_codec import AmiMessage
from kamerton.transports.asterisk.hold_book import ChannelUnknown, HoldBook, HoldChanged

CALL = "34ea34fb-ba7a-4af0-91cd-9300a6333c8b"
OTHER = "f48c2ce9-25f3-4903-bb6b-25c206102735"


def message(event: str, **values: str) -> AmiMessage:
    return AmiMessage((("Event", event), *values.items()))


def hold(channel: str, linked: str = "", event: str = "Hold") -> AmiMessage:
    return message(event, Uniqueid=channel, Linkedid=linked or channel)


def announced(channel: str, call_id: str = CALL, linked: str = "") -> AmiMessage:
    return message("UserEvent", UserEvent="KamertonCall", UUID=call_id, Uniqueid=channel, Linkedid=linked or channel)


def row(channel: str, application: str = "", data: str = "", *, name: str = "PJSIP/x-1", **more: str) -> AmiMessage:
    values = {"Channel": name, "Linkedid": channel, "Application": application, "ApplicationData": data, **more}
    return message("CoreShowChannel", Uniqueid=channel, **values)


def test_a_call_that_the_dialplan_announced_is_held_and_taken_back() -> None:
    book = HoldBook()
    assert book.take(announced("1.1", CALL.upper())) is None
    assert book.take(hold("1.1")) == HoldChanged(CALL, True)
    assert book.take(hold("1.1")) is None
    assert book.take(hold("1.1", event="Unhold")) == HoldChanged(CALL, False)
    assert book.take(hold("1.1", event="Unhold")) is None


def test_user_events_of_others_and_without_a_uuid_say_nothing() -> None:
    book = HoldBook()
    book.take(message("UserEvent", UserEvent="Other", UUID=CALL, Uniqueid="1.1", Linkedid="1.1"))
    book.take(announced("1.1", "none"))
    assert book.take(hold("1.1")) == ChannelUnknown(hold("1.1"))


def test_a_phone_behind_another_channel_is_known_by_its_link() -> None:
    book = HoldBook()
    book.take(announced("1.2", linked="1.0"))
    assert book.take(hold("1.0", "1.0")) == HoldChanged(CALL, True)


def test_a_link_to_two_calls_tells_nothing() -> None:
    book = HoldBook()
    book.take(announced("1.2", CALL, linked="1.0"))
    book.take(announced("1.3", OTHER, linked="1.0"))
    assert isinstance(book.take(hold("1.0", "1.0")), ChannelUnknown)


def test_the_channel_of_a_dial_carries_the_call_in_its_name() -> None:
    book = HoldBook()
    book.take(message("Newchannel", Channel=f"AudioSocket/127.0.0.1:9092-{CALL}", Uniqueid="1.5", Linkedid="1.4"))
    book.take(message("Newchannel", Channel="PJSIP/phone-7", Uniqueid="1.7", Linkedid="1.7"))
    assert book.take(hold("1.4")) == HoldChanged(CALL, True)


def test_the_list_of_channels_tells_what_no_event_told() -> None:
    book = HoldBook()
    book.listed(
        (
            row("1.1", "AudioSocket", f"{CALL},127.0.0.1:9092"),
            row("1.4", "Dial", f"AudioSocket/127.0.0.1:9092/{OTHER}/c(slin16),,g"),
            row("1.9", "Dial", f"PJSIP/{OTHER}"),
        )
    )
    assert book.take(hold("1.1")) == HoldChanged(CALL, True)
    assert book.take(hold("1.4")) == HoldChanged(OTHER, True)
    assert isinstance(book.take(hold("1.9")), ChannelUnknown)


def test_the_peer_in_a_bridge_belongs_to_the_call() -> None:
    book = HoldBook()
    dialled = row("1.5", "AppDial", "(Outgoing Line)", name=f"AudioSocket/127.0.0.1:9092-{CALL}", BridgeId="b")
    book.listed((row("2.1", "Queue", "sales", BridgeId="b"), dialled, row("3.1", "Echo")))
    assert book.take(hold("2.1")) == HoldChanged(CALL, True)
    assert isinstance(book.take(hold("3.1")), ChannelUnknown)


def test_a_stranger_is_asked_about_once_until_it_is_gone() -> None:
    book = HoldBook()
    event = hold("7.7")
    assert book.take(event) == ChannelUnknown(event)
    book.listed((row("7.7", "Echo"),), event)
    assert book.take(event) is None
    assert book.take(message("Hangup", Uniqueid="7.7")) is None
    assert book.take(event) == ChannelUnknown(event)


def test_a_stranger_that_becomes_a_call_is_one() -> None:
    book = HoldBook()
    book.listed((), hold("7.7"))
    book.take(announced("7.7"))
    assert book.take(hold("7.7")) == HoldChanged(CALL, True)


def test_who_hangs_up_holds_nobody_any_more() -> None:
    book = HoldBook()
    book.take(announced("1.2", linked="1.0"))
    book.take(hold("1.0", "1.0"))
    assert book.take(message("Hangup", Uniqueid="1.0", Linkedid="1.0")) == HoldChanged(CALL, False)
    assert book.take(message("Hangup", Uniqueid="1.2", Linkedid="1.0")) is None
    assert isinstance(book.take(hold("1.2", "1.0")), ChannelUnknown)


def test_when_the_connection_is_lost_every_held_call_is_taken_back() -> None:
    book = HoldBook()
    book.take(announced("1.1"))
    book.take(announced("1.2", OTHER))
    book.take(hold("1.1"))
    assert book.release() == (HoldChanged(CALL, False),)
    assert book.release() == ()
    assert isinstance(book.take(hold("1.2")), ChannelUnknown)
