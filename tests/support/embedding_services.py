"""The two embedding services against their doubles, opened as a start opens them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import anyio
from pydantic import SecretStr

from kamerton.embeddings.openai.engine import ENGINE as OPENAI
from kamerton.embeddings.openai.engine import OpenAIEmbeddingOptions
from kamerton.embeddings.openai.wire_double import OpenAIDoubleSettings, openai_double
from kamerton.embeddings.service import ServiceEmbedder
from kamerton.embeddings.wire_double import ScriptedReply, WireDouble
from kamerton.embeddings.yandex.engine import ENGINE as YANDEX
from kamerton.embeddings.yandex.engine import YandexEmbeddingOptions
from kamerton.embeddings.yandex.wire_double import PATH, YandexDoubleSettings, yandex_double
from kamerton.vendors.accounts.openai import OpenAIAccount
from kamerton.vendors.accounts.yandex import YandexAccount
from kamerton.vendors.engine import EngineContext, EngineType
from kamerton.vendors.usage import Usage

KEY = "AQVN-very-secret-key-0123456789"
FOLDER = "b1gfolder"


@dataclass
class Meter:
    """Keeps what was used."""

    used: list[Usage] = field(default_factory=list)

    def record(self, usage: Usage) -> None:
        self.used.append(usage)

    def total(self, unit: str) -> float:
        return sum(usage.amount for usage in self.used if usage.unit == unit)


@dataclass(frozen=True)
class Vendor:
    """One of the services, and its double."""

    name: str
    engine: EngineType[Any]
    double: Callable[..., WireDouble]
    options: Callable[[str], Any]
    account: object

    def context(self, data_dir: Path, meter: Meter | None = None, told: list[str] | None = None) -> EngineContext:
        tell = told.append if told is not None else lambda _: None
        return EngineContext("ru", data_dir, (self.account,), meter or Meter(), tell)

    def embedder(
        self, url: str, data_dir: Path, meter: Meter | None = None, told: list[str] | None = None, **changed: Any
    ) -> ServiceEmbedder:
        options = replace(self.options(url), **changed)
        opened = anyio.run(self.engine.open, options, self.context(data_dir, meter, told))
        assert isinstance(opened, ServiceEmbedder)
        return opened

    @contextmanager
    def opened(
        self, data_dir: Path, script: Sequence[ScriptedReply] = (), usual: ScriptedReply | None = None, **changed: Any
    ) -> Iterator[tuple[ServiceEmbedder, WireDouble]]:
        """An embedder and its double, both gone in the end."""
        with self.double(script=script, usual=usual) as double:
            embedder = self.embedder(double.url, data_dir, **changed)
            try:
                yield embedder, double
            finally:
                embedder.close()


def _yandex_double(**given: Any) -> WireDouble:
    return yandex_double(YandexDoubleSettings(authorization=f"Api-Key {KEY}", folder=FOLDER), **given)


def _openai_double(**given: Any) -> WireDouble:
    return openai_double(OpenAIDoubleSettings(api_key=KEY), **given)


VENDORS = (
    Vendor(
        "yandex",
        YANDEX,
        _yandex_double,
        lambda url: YandexEmbeddingOptions(url=f"{url}{PATH}", query_ms=5000, requests_per_s=1000),
        YandexAccount(api_key=SecretStr(KEY), folder=FOLDER),
    ),
    Vendor(
        "openai",
        OPENAI,
        _openai_double,
        lambda url: OpenAIEmbeddingOptions(base_url=f"{url}/v1", query_ms=5000, requests_per_s=1000),
        OpenAIAccount(api_key=SecretStr(KEY)),
    ),
)
