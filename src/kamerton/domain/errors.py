"""The tree of errors that cross package borders. Each message says what happened, where, and what to do.

KamertonError
├── ConfigurationError     a setting, file or folder is wrong; the process should not start
│   └── AssistantError     an assistant's folder is broken; `problems` lists every fault at once
├── ModelError             a model or voice is missing or corrupt
├── EngineError            an engine (STT, TTS, …) failed at run time
├── ExchangeError          a telephone exchange is not reachable, or refuses what it is asked
├── ProtocolError          a peer broke its wire protocol; ends that call only
└── CallEnded              the far end is gone
"""

from __future__ import annotations


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


class ExchangeError(KamertonError):
    """A telephone exchange (Asterisk's manager interface) is not reachable, or refuses what it is asked."""


class ProtocolError(KamertonError):
    """A peer broke its wire protocol."""


class CallEnded(KamertonError):
    """The far end of a call is gone."""
