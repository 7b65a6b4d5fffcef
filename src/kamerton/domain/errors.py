"""The tree of errors that cross package borders. Each message says what happened, where, and what to do.

KamertonError
├── ConfigurationError     a setting, file or folder is wrong; the process should not start
│   └── AssistantError     an assistant's folder is broken; `problems` lists every fault at once
├── ModelError             a model or voice is missing or corrupt
├── EngineError            an engine (STT, TTS, …) failed at run time
│   └── VendorError        … that is somebody else's service; `fault` says how
├── ExchangeError          a telephone exchange is not reachable, or refuses what it is asked
├── ProtocolError          a peer broke its wire protocol; ends that call only
└── CallEnded              the far end is gone
"""

from __future__ import annotations

from typing import Literal


class KamertonError(Exception):
    """Root of Kamerton's own errors."""


class ConfigurationError(KamertonError):
    """A setting, file or folder is wrong."""


class AssistantError(ConfigurationError):
    """An assistant's folder is broken; every fault is listed."""

    def __init__(self, assistant: str, problems: tuple[str, ...]) -> None:
        self.assistant = assistant
        self.problems = problems
        count = len(problems)
        head = f"assistant '{assistant}': {count} problem{'s' if count != 1 else ''}"
        super().__init__("\n  - ".join((head, *problems)))


class ModelError(KamertonError):
    """A model or voice is missing or corrupt; the message says how to get it."""


class EngineError(KamertonError):
    """An engine failed at run time.

    Args:
        message: what happened, where, what to do.
        code: a stable word for metrics: `model_timeout`, `model_connection`, `model_http`, `model_stream` (a stream
            that broke off or is none) or `model_answer` (an answer that cannot be used); `engine` for all else.
    """

    def __init__(self, message: str, code: str = "engine") -> None:
        super().__init__(message)
        self.code = code


Fault = Literal["unauthorised", "quota", "rate_limited", "timeout", "connection", "rejected", "failed", "broken"]
"""How a service failed a request.

`unauthorised`: the credentials, or their rights. `quota`: used up, for longer than a call lasts. `rate_limited`: too
many requests at once; `timeout`: nothing came in time; `connection`: not reachable, TLS included, or cut off;
`rejected`: it refuses this request, and would again; `failed`: its own fault (5xx, overloaded); `broken`: what it sent
makes no sense.
"""


class VendorError(EngineError):
    """Somebody else's service failed.

    Args:
        message: what happened, where, what to do; without secrets.
        fault: how it failed, which decides how long it is left alone.
        retry_after_s: how long the service itself asks to be left alone.
        code: as of `EngineError`; by default the fault.
    """

    def __init__(self, message: str, fault: Fault, *, retry_after_s: float | None = None, code: str = "") -> None:
        super().__init__(message, code or fault)
        self.fault: Fault = fault
        self.retry_after_s = retry_after_s


class ExchangeError(KamertonError):
    """A telephone exchange (Asterisk's manager interface) is not reachable, or refuses what it is asked."""


class ProtocolError(KamertonError):
    """A peer broke its wire protocol."""


class CallEnded(KamertonError):
    """The far end of a call is gone."""
