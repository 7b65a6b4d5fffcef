"""How an OpenAI-compatible embedding server is chosen, set and opened."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal
from urllib.parse import urlsplit

import anyio.to_thread

from kamerton.domain.errors import ConfigurationError
from kamerton.embeddings.addresses import require_address
from kamerton.embeddings.service_limits import ServiceLimits
from kamerton.vendors.accounts.openai import OpenAIAccount
from kamerton.vendors.accounts.yandex import YandexAccount
from kamerton.vendors.check import Check
from kamerton.vendors.engine import EngineContext, EngineType
from kamerton.vendors.secrets import read_secret, require_secret

if TYPE_CHECKING:
    from kamerton.embeddings.credentials import Credentials
    from kamerton.embeddings.service import Service, ServiceEmbedder

_SECTION: Final = "understanding.openai"
_VENDOR: Final = "api.openai.com"


@dataclass(frozen=True, slots=True)
class OpenAIEmbeddingOptions:
    """Settings of `understanding.openai`."""

    base_url: str = "https://api.openai.com/v1"
    """With the version: `http://localhost:11434/v1`, `https://ai.api.cloud.yandex.net/v1`."""
    account: Literal["openai", "yandex", "none"] = "openai"
    """Whose key is sent: `accounts.openai`, `accounts.yandex` (its API key, and its folder as project), or none at all,
    for servers of one's own."""
    ca_file: Path | None = None
    """PEM of the authorities that sign the server's certificate; None: those of the machine."""
    model: str = "text-embedding-3-small"
    """As the server calls it; Yandex: `emb://FOLDER/text-search-query/latest`."""
    dimensions: int | None = None
    """Asked for when set, for models that can shorten their vectors; None: the model's own."""
    batch: int = 64
    """Texts per request, 1 to 2048; 1 for servers that take a single text (Yandex's)."""
    query_prefix: str = ""
    """Before what callers say and an assistant's own wordings: `query: ` for e5 models."""
    passage_prefix: str = ""
    """Before documents: `passage: ` for e5 models."""
    query_ms: float = 150.0
    """Longest wait of a turn for a vector; then the next embedder of the chain is asked."""
    connect_s: float = 2.0
    """To open a connection."""
    read_s: float = 10.0
    """Longest silence of the service within a request."""
    total_s: float = 20.0
    """Longest a request takes; only the indexing of known texts waits so long."""
    requests_per_s: float = 50.0
    """A fifth of it is kept for callers while known texts are indexed."""
    at_once: int = 8
    """Requests under way, 2 to 64; indexing takes half of them at most."""
    cached: int = 100_000
    """Vectors of known texts on disk; 8 KB each with 1536 dimensions. Beyond it the least recently used go."""

    def __post_init__(self) -> None:
        """Refuse what cannot work.

        Raises:
            ConfigurationError: says which value and why.
        """
        require_address(self.base_url, f"{_SECTION}: base_url")
        if not self.model.strip():
            raise ConfigurationError(f"{_SECTION}: no model is named; set model")
        if self.dimensions is not None and not 1 <= self.dimensions <= 16384:
            raise ConfigurationError(f"{_SECTION}: dimensions is {self.dimensions}; set 1 to 16384, or leave it out")
        if not 1 <= self.batch <= 2048:
            raise ConfigurationError(f"{_SECTION}: batch is {self.batch}; set 1 to 2048")
        self.limits.refuse_nonsense(_SECTION, self.connect_s, self.read_s)

    @property
    def limits(self) -> ServiceLimits:
        """The bounds as the embedder takes them."""
        return ServiceLimits(self.query_ms / 1000, self.total_s, self.requests_per_s, self.at_once, self.cached)


def _credentials(options: OpenAIEmbeddingOptions, context: EngineContext) -> Credentials:
    """What lets us in. Blocking.

    Raises:
        ConfigurationError: a key is missing where one is needed.
    """
    from kamerton.embeddings.credentials import Credentials

    if options.account == "none":
        return Credentials("Bearer", None, {})
    account: OpenAIAccount | YandexAccount
    if options.account == "yandex":
        account = context.account(YandexAccount)
        project, needed = account.folder, True
    else:
        account = context.account(OpenAIAccount)
        project, needed = account.project, urlsplit(options.base_url).hostname == _VENDOR
    what, file = f"accounts.{options.account}.api_key", account.api_key_file
    read = require_secret if needed else read_secret
    key = read(account.api_key, file, what)
    renew = (lambda: read_secret(None, file, what) or "") if file is not None else None
    return Credentials("Bearer", key, {"openai-project": project} if project else {}, renew)


def _service(options: OpenAIEmbeddingOptions, context: EngineContext) -> Service:
    from kamerton.embeddings.json_endpoint import EndpointSettings, JsonEndpoint
    from kamerton.embeddings.openai.protocol import OpenAIEmbeddingApi
    from kamerton.embeddings.service import Service

    url = f"{options.base_url.rstrip('/')}/embeddings"
    where = EndpointSettings("the embedding server", url, options.ca_file, options.connect_s, options.read_s)
    api = OpenAIEmbeddingApi(
        url=url,
        name=options.model.strip(),
        dimensions=options.dimensions,
        batch=options.batch,
        query_prefix=options.query_prefix,
        passage_prefix=options.passage_prefix,
    )
    return Service("openai", api, JsonEndpoint(where, _credentials(options, context)), options.limits)


async def _open(options: OpenAIEmbeddingOptions, context: EngineContext) -> ServiceEmbedder:
    from kamerton.embeddings.service import ServiceEmbedder

    return await anyio.to_thread.run_sync(lambda: ServiceEmbedder(_service(options, context), context))


async def _check(options: OpenAIEmbeddingOptions, context: EngineContext) -> Check:
    from kamerton.embeddings.service_check import check_service

    return await check_service(partial(_service, options, context), context)


ENGINE: Final = EngineType("openai", OpenAIEmbeddingOptions, _open, _check)
