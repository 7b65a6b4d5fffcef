"""As much of SIP (RFC 3261) and SDP (RFC 4566) as a telephone on a local network needs: text to values and back."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, NamedTuple

from kamerton.testing.phone.rtp import KEY_PAYLOAD_TYPE, PhoneCodec

ALLOWED: Final = "INVITE, ACK, BYE, CANCEL, OPTIONS, INFO, UPDATE, NOTIFY"
_REASONS: Final = {200: "OK", 481: "Call/Transaction Does Not Exist", 488: "Not Acceptable Here"}
_ADDRESS: Final = re.compile(r"<([^>]+)>")
_TAG: Final = re.compile(r";tag=([^;>\s]+)")


@dataclass(frozen=True, slots=True)
class SipMessage:
    """A request or a response. Header names are in lower case; the values of one name stay in order."""

    first_line: str
    headers: dict[str, list[str]]
    body: str = ""

    @property
    def status(self) -> int:
        """Of a response; 0 for a request."""
        return int(self.first_line.split()[1]) if self.first_line.startswith("SIP/2.0 ") else 0

    @property
    def method(self) -> str:
        """Of the request, or the one that a response answers."""
        return self.first_line.split()[0] if not self.status else self.header("cseq").split()[-1]

    @property
    def number(self) -> int:
        """The CSeq number."""
        return int(self.header("cseq").split()[0])

    def header(self, name: str) -> str:
        """The first value of a header; empty when it is not there."""
        return self.headers.get(name, [""])[0]

    @property
    def to_tag(self) -> str:
        """The tag of the called side."""
        found = _TAG.search(self.header("to"))
        return found.group(1) if found else ""

    @property
    def contact(self) -> str:
        """Where further requests go; empty when it is not told."""
        found = _ADDRESS.search(self.header("contact"))
        return found.group(1) if found else ""


def parse_sip(data: bytes) -> SipMessage | None:
    """Read a datagram; None for what is no SIP message."""
    head, _, body = data.decode("utf-8", "replace").partition("\r\n\r\n")
    first, *lines = head.split("\r\n")
    if "SIP/2.0" not in first or len(first.split()) < 2:
        return None
    headers: dict[str, list[str]] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if colon:
            headers.setdefault(name.strip().lower(), []).append(value.strip())
    number = headers.get("cseq", [""])[0].split()
    return SipMessage(first, headers, body) if len(number) == 2 and number[0].isdigit() else None


def write_sip(first_line: str, headers: list[tuple[str, str]], body: str = "") -> bytes:
    """Bytes of a message; its lengths and the type of its body are added."""
    lines = [first_line, *(f"{name}: {value}" for name, value in headers)]
    if body:
        lines.append("Content-Type: application/sdp")
    lines.append(f"Content-Length: {len(body.encode())}")
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


def write_response(request: SipMessage, status: int, to_tag: str, contact: str, body: str = "") -> bytes:
    """The answer to a request."""
    to = request.header("to")
    headers = [("Via", via) for via in request.headers.get("via", [])]
    headers += [
        ("From", request.header("from")),
        ("To", to if ";tag=" in to else f"{to};tag={to_tag}"),
        ("Call-ID", request.header("call-id")),
        ("CSeq", request.header("cseq")),
        ("Contact", f"<{contact}>"),
    ]
    return write_sip(f"SIP/2.0 {status} {_REASONS[status]}", headers, body)


class MediaAddress(NamedTuple):
    """Where the far end wants its sound."""

    host: str
    port: int


def write_sdp(host: str, port: int, codec: PhoneCodec, version: int, *, direction: str, keys: bool) -> str:
    """An offer of one codec; `direction` is `sendrecv`, or `sendonly` to put the far end on hold."""
    types = f"{codec.payload_type} {KEY_PAYLOAD_TYPE}" if keys else f"{codec.payload_type}"
    lines = [
        "v=0",
        f"o=phone 1 {version} IN IP4 {host}",
        "s=-",
        f"c=IN IP4 {host}",
        "t=0 0",
        f"m=audio {port} RTP/AVP {types}",
        f"a=rtpmap:{codec.payload_type} {codec.name}",
    ]
    if keys:
        lines += [f"a=rtpmap:{KEY_PAYLOAD_TYPE} telephone-event/8000", f"a=fmtp:{KEY_PAYLOAD_TYPE} 0-15"]
    lines += ["a=ptime:20", f"a={direction}"]
    return "\r\n".join(lines) + "\r\n"


def media_address(sdp: str) -> MediaAddress | None:
    """The address in an answer; None when it has none, or declines the sound."""
    media = re.search(r"^m=audio (\d+) ", sdp, re.MULTILINE)
    host = re.search(r"^c=IN IP4 (\S+)", sdp, re.MULTILINE)
    if media is None or host is None or media.group(1) == "0":
        return None
    return MediaAddress(host.group(1), int(media.group(1)))
