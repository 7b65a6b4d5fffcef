"""The manager interface's byte stream: parsed the same however it is split, and never more than it is worth."""

import pytest

from kamerton.domain.errors import ProtocolError
from kamerton.transports.asterisk.ami_codec import MAX_LINE_BYTES, MAX_LINES, AmiDecoder, AmiMessage, encode_action

GREETING = b"Asterisk Call Manager/11.0.0\r\n"
STREAM = (
    GREETING
    + b"Response: Success\r\nActionID: kamerton-1\r\nMessage: Channels will follow\r\n\r\n"
    + b"\r\n"
    + "Event: Hold\r\nPrivilege: call,all\r\nChannel: PJSIP/phone-00000003\r\nCallerIDName: Иван: дом\r\n"
    "AccountCode: \r\nConnectedLineName:\r\nUniqueid: 1795656708.3\r\n\r\n".encode()
    + b"Event: UserEvent\r\nUUID: one\r\nUUID: two\r\n\r\n"
)


def decoded(pieces: list[bytes]) -> tuple[str | None, list[AmiMessage]]:
    decoder = AmiDecoder()
    messages = [message for piece in pieces for message in decoder.feed(piece)]
    return decoder.banner, messages


def test_messages_are_read() -> None:
    banner, (response, hold, user) = decoded([STREAM])
    assert banner == "Asterisk Call Manager/11.0.0"
    assert (response.succeeded, response.action_id, response.event) == (True, "kamerton-1", "")
    assert (hold.event, hold.value("uniqueid"), hold.action_id) == ("Hold", "1795656708.3", "")
    assert hold.value("CallerIDName") == "Иван: дом"
    assert (hold.value("AccountCode"), hold.value("ConnectedLineName"), hold.value("Absent")) == ("", "", "")
    assert not hold.succeeded
    assert user.value("UUID") == "one"


@pytest.mark.parametrize("at", range(1, len(STREAM)))
def test_a_split_anywhere_changes_nothing(at: int) -> None:
    assert decoded([STREAM[:at], STREAM[at:]]) == decoded([STREAM])


def test_byte_by_byte_and_with_bare_line_feeds_it_is_the_same() -> None:
    assert decoded([STREAM[at : at + 1] for at in range(len(STREAM))]) == decoded([STREAM])
    assert decoded([STREAM.replace(b"\r\n", b"\n")]) == decoded([STREAM])


def test_an_unfinished_message_is_not_told() -> None:
    assert decoded([GREETING + b"Event: Hold\r\nChannel: PJSIP/phone\r\n"])[1] == []


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n", "greets with 'HTTP/1.1 400 Bad Request'"),
        (b"SSH-2.0-OpenSSH\n", "manager port"),
        (b"x" * (MAX_LINE_BYTES + 1), "a line has more than"),
        (GREETING + b"Output: x\r\n" * (MAX_LINES + 1), "a message has more than"),
    ],
)
def test_what_is_no_manager_interface_is_refused(data: bytes, complaint: str) -> None:
    with pytest.raises(ProtocolError, match=complaint):
        AmiDecoder().feed(data)


def test_an_action_is_written_with_its_fields_in_order() -> None:
    written = encode_action("Setvar", "7", (("Channel", "PJSIP/phone-1"), ("Variable", "A"), ("Variable", "B")))
    assert written == b"Action: Setvar\r\nActionID: 7\r\nChannel: PJSIP/phone-1\r\nVariable: A\r\nVariable: B\r\n\r\n"


@pytest.mark.parametrize(
    "field", [("Channel", "x\r\nAction: Command"), ("Channel", "x\n"), ("A\r\nB", "x"), ("A: B", "x"), ("A", "\0")]
)
def test_a_value_cannot_smuggle_an_action_in(field: tuple[str, str]) -> None:
    with pytest.raises(ValueError, match="cannot be sent"):
        encode_action("Redirect", "1", (field,))
