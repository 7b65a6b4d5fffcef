"""What to do about an address that cannot be listened on."""

from __future__ import annotations

import errno

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
