"""Addresses to listen on, and what to do about one that cannot be listened on."""

from __future__ import annotations

import asyncio
import errno
import socket

from kamerton.domain.errors import ConfigurationError


def listen_error(server: str, host: str, port: int, error: OSError) -> ConfigurationError:
    """The error to raise when `server` (its name for people) cannot listen; the message says what to change."""
    if error.errno == errno.EADDRINUSE:
        fact, advice = "the port is in use", f"stop the program that uses it, or set another port for the {server}"
    elif error.errno == errno.EACCES:
        fact, advice = "the system reserves this port", f"set a port above 1023 for the {server}"
    else:
        fact = error.strerror or str(error)
        advice = f"set the host of the {server} to an address of this machine, such as 127.0.0.1 or 0.0.0.0"
    return ConfigurationError(f"the {server} cannot listen on {host} port {port}: {fact}; {advice}")


async def listening_sockets(server: str, host: str, port: int, backlog: int) -> list[socket.socket]:
    """Non-blocking sockets that listen on every address of `host`; clients may connect from now on.

    Raises:
        ConfigurationError: one cannot be listened on; none is left open.
    """
    sockets: list[socket.socket] = []
    try:
        places = await asyncio.get_running_loop().getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        for family, kind, protocol, _, address in dict.fromkeys(places):
            listening = socket.socket(family, kind, protocol)
            sockets.append(listening)
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listening.bind(address)
            listening.listen(backlog)
            listening.setblocking(False)
    except OSError as error:
        for listening in sockets:
            listening.close()
        raise listen_error(server, host, port, error) from error
    return sockets
