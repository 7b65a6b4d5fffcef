"""Opens a WebSocket of the vendor's, or tells why it cannot be.

`websockets` is imported with this module: it is loaded when a voice is opened, not when the settings are read.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable
from dataclasses import dataclass

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidHandshake, InvalidStatus, InvalidURI

from kamerton.domain.errors import VendorError
from kamerton.tts.voices.elevenlabs import faults, protocol
from kamerton.tts.voices.elevenlabs.socket import CLOSE_S, Socket, SocketCounts, SocketSettings

_wire_log = logging.getLogger(f"{__name__}.wire")
_wire_log.setLevel(logging.WARNING)
"""The library logs the headers, and the key with them, below this level."""


class _Connect(connect):
    """A connection that goes nowhere else: a redirect would carry the key to whatever address it names."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        """Refuse it."""
        return exc


@dataclass(frozen=True, slots=True)
class SocketOpener:
    """Opens WebSockets of one voice at one rate."""

    url: str
    settings: SocketSettings
    tls: ssl.SSLContext | None
    counts: SocketCounts
    longest_bytes: int

    async def open(self, changed: Callable[[], None]) -> Socket:
        """A WebSocket; the caller sets the deadline. Safe to cancel.

        Raises:
            VendorError: it could not be opened; the reason names the address, never the key.
        """
        link, failure = await self._connected()
        if link is None:
            raise failure or faults.of_fault(self.settings.where, "connection", "it opens no WebSocket")
        return Socket(link, self.settings, self.counts, changed, self.longest_bytes)

    async def _connected(self) -> tuple[ClientConnection | None, VendorError | None]:
        """The link, or why there is none. The library's own error is left behind: it holds what the vendor echoed."""
        where, key = self.settings.where, self.settings.key
        try:
            link = await _Connect(
                self.url,
                additional_headers={"xi-api-key": key},
                ssl=self.tls if self.url.startswith("wss:") else None,
                compression=None,
                open_timeout=None,
                ping_interval=self.settings.ping_s,
                ping_timeout=self.settings.ping_s,
                close_timeout=CLOSE_S,
                max_size=protocol.MAX_MESSAGE_BYTES,
                logger=_wire_log,
            )
        except InvalidStatus as refused:
            response = refused.response
            retry_after = response.headers.get("retry-after")
            return None, faults.of_handshake(where, response.status_code, bytes(response.body), retry_after, key)
        except ssl.SSLError as error:
            what = f"TLS failed ({error.reason or 'unknown'}); check `url`, the clock and `ca_file`"
            return None, faults.of_fault(where, "connection", what)
        except (InvalidHandshake, InvalidURI, ValueError, EOFError) as error:
            return None, faults.broken(where, f"it opens no WebSocket ({type(error).__name__})")
        except OSError as error:
            what = f"cannot be reached ({error.strerror or type(error).__name__}); check `url` and the network"
            return None, faults.of_fault(where, "connection", what)
        return link, None
