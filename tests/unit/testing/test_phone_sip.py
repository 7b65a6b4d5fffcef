"""SIP and SDP of the test phone, against messages as Asterisk writes them."""

from __future__ import annotations

import pytest

from kamerton.testing.phone.rtp import ALAW
from kamerton.testing.phone.sip import MediaAddress, media_address, parse_sip, write_response, write_sdp, write_sip

ANSWER = (
    b"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 127.0.0.1:40000;rport=40000;received=127.0.0.1;branch=z9hG4bK1\r\n"
    b"Call-ID: 1@127.0.0.1\r\nFrom: <sip:7999@127.0.0.1:40000>;tag=ours\r\nTo: <sip:700@127.0.0.1>;tag=theirs\r\n"
    b"CSeq: 1 INVITE\r\nContact: <sip:127.0.0.1:15060>\r\nContent-Type: application/sdp\r\nContent-Length: 120\r\n\r\n"
    b"v=0\r\no=- 1 3 IN IP4 127.0.0.1\r\ns=Asterisk\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 20002 RTP/AVP 8 101\r\n"
)
GOODBYE = (
    b"BYE sip:phone@127.0.0.1:40000 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:15060;branch=z9hG4bK2\r\n"
    b"Via: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bK3\r\nFrom: <sip:700@127.0.0.1>;tag=theirs\r\n"
    b"To: <sip:7999@127.0.0.1>;tag=ours\r\nCall-ID: 1@127.0.0.1\r\nCSeq: 5 BYE\r\nReason: Q.850;cause=16\r\n\r\n"
)


def test_an_answer_is_read() -> None:
    answer = parse_sip(ANSWER)
    assert answer is not None
    assert (answer.status, answer.method, answer.number) == (200, "INVITE", 1)
    assert (answer.to_tag, answer.contact) == ("theirs", "sip:127.0.0.1:15060")
    assert media_address(answer.body) == MediaAddress("127.0.0.1", 20002)


def test_a_request_is_read_and_answered() -> None:
    request = parse_sip(GOODBYE)
    assert request is not None
    assert (request.status, request.method, request.number) == (0, "BYE", 5)
    response = parse_sip(write_response(request, 200, "ours", "sip:phone@127.0.0.1:40000"))
    assert response is not None
    assert (response.status, response.method, response.body) == (200, "BYE", "")
    assert response.headers["via"] == request.headers["via"]
    assert response.header("to") == request.header("to")


def test_an_answer_to_a_first_request_gets_our_tag() -> None:
    request = parse_sip(GOODBYE.replace(b";tag=ours", b""))
    assert request is not None
    response = parse_sip(write_response(request, 481, "new", "sip:phone@127.0.0.1"))
    assert response is not None
    assert (response.status, response.to_tag) == (481, "new")


def test_what_is_written_is_read_back_with_its_length() -> None:
    sdp = write_sdp("127.0.0.1", 40002, ALAW, 1, direction="sendonly", keys=True)
    written = write_sip("INVITE sip:700@127.0.0.1 SIP/2.0", [("CSeq", "1 INVITE"), ("To", "<sip:700@127.0.0.1>")], sdp)
    message = parse_sip(written)
    assert message is not None
    assert message.header("content-length") == str(len(sdp))
    assert message.body == sdp
    assert media_address(sdp) == MediaAddress("127.0.0.1", 40002)
    assert "m=audio 40002 RTP/AVP 8 101\r\n" in sdp
    assert "a=sendonly\r\n" in sdp


def test_a_phone_that_sends_keys_as_sound_offers_no_events() -> None:
    sdp = write_sdp("127.0.0.1", 40002, ALAW, 1, direction="sendrecv", keys=False)
    assert "telephone-event" not in sdp
    assert "m=audio 40002 RTP/AVP 8\r\n" in sdp


@pytest.mark.parametrize(
    "data", [b"", b"\r\n\r\n", b"\xff\xfe", b"HELLO\r\n\r\n", b"SIP/2.0 200 OK\r\nCSeq: x\r\n\r\n"]
)
def test_what_is_no_message_is_none(data: bytes) -> None:
    assert parse_sip(data) is None


@pytest.mark.parametrize("sdp", ["", "c=IN IP4 127.0.0.1\r\n", "c=IN IP4 127.0.0.1\r\nm=audio 0 RTP/AVP 8\r\n"])
def test_declined_sound_has_no_address(sdp: str) -> None:
    assert media_address(sdp) is None
