"""How an engine makes itself known: a folder in `stt`, `tts/voices`, `llm` or `embeddings` with a module `engine`.

The module's `ENGINE` says what it is called, which options its section of the settings has, and how it is opened. It
is imported to read the settings, so it imports no SDK and no model; `open` and `check` do.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from kamerton.vendors.check import Check
from kamerton.vendors.usage import Uncounted, UsageMeter

PartT = TypeVar("PartT", covariant=True)
"""What is opened: a `SpeechToText`, a `TextToSpeech`, a `LanguageModel` or an `Embedder`."""
AccountT = TypeVar("AccountT")


@dataclass(frozen=True, slots=True)
class EngineContext:
    """What an engine is given beside its own options."""

    language: str
    """Of the assistant: `ru` or `uk`."""
    data_dir: Path
    """Where prepared models and caches may be kept; each engine in a folder of its own."""
    accounts: tuple[object, ...] = ()
    """Every account of the settings, one of each type."""
    usage: UsageMeter = field(default_factory=Uncounted)
    progress: Callable[[str], None] = lambda _: None
    """Told of work that takes over two seconds."""

    def account(self, kind: type[AccountT]) -> AccountT:
        """The account of this type: as configured, else with its defaults."""
        return next((account for account in self.accounts if isinstance(account, kind)), None) or kind()


@dataclass(frozen=True, slots=True)
class EngineType(Generic[PartT]):
    """An engine that can be chosen by name."""

    name: str
    """As it is written in the settings: `yandex`."""
    options: type[Any]
    """A frozen dataclass whose fields all have defaults: its typed section. Secrets in it are `SecretStr`."""
    open: Callable[[Any, EngineContext], Awaitable[PartT]]
    """Makes the engine from its options; may load models, but sends nothing.

    Raises:
        ConfigurationError: an option or a credential is missing or cannot work.
        ModelError: a model, a package or a voice is missing; an engine that was not asked for by name is passed over.
    """
    check: Callable[[Any, EngineContext], Awaitable[Check]] | None = None
    """Asks the service whether it would serve, at next to no cost. Never raises; None for engines without a service.

    Whoever calls it sets the deadline. Safe to cancel.
    """
    languages: tuple[str, ...] | None = None
    """Languages that it can be asked for; None: any, or known only once it is open."""

    @property
    def is_service(self) -> bool:
        """Whether it is somebody else's server, which can be away."""
        return self.check is not None
