"""What services use and cost, and how engines fare, as an operator sees it: a real server, its page and its log."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Final

import anyio
import pytest
from pydantic import SecretStr
from served import ServedKamerton, refused, served

from kamerton.domain.audio import PHONE
from kamerton.domain.call_scope import call_context
from kamerton.embeddings.chain import open_chain
from kamerton.embeddings.openai.engine import ENGINE, OpenAIEmbeddingOptions
from kamerton.embeddings.openai.wire_double import OpenAIDoubleSettings, openai_double
from kamerton.embeddings.wire_double import WireDouble
from kamerton.orchestrator.workers import ThreadWorker
from kamerton.transports.audiosocket.client import AudioSocketCaller
from kamerton.vendors.accounts.openai import OpenAIAccount
from kamerton.vendors.engine import EngineContext
from kamerton.vendors.metering import UsageLedger
from kamerton.vendors.prices import Price, PriceList

pytestmark = [pytest.mark.socket, pytest.mark.timeout(120)]

KEY: Final = "sk-stand-in"
MODEL: Final = "text-embedding-3-small"
PRICES: Final = [
    {"vendor": "openai", "model": "text-embedding-*", "unit": "input_tokens", "price": "0.5", "currency": "USD"},
]


@pytest.fixture(scope="module")
def vendor() -> Iterator[WireDouble]:
    with openai_double(OpenAIDoubleSettings(api_key=KEY, model=MODEL)) as vendor:
        yield vendor


@pytest.fixture(scope="module")
def server(vendor: WireDouble, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedKamerton]:
    env = {
        "KAMERTON_UNDERSTANDING__ENGINE": "openai",
        "KAMERTON_UNDERSTANDING__OPENAI__BASE_URL": f"{vendor.url}/v1",
        "KAMERTON_UNDERSTANDING__OPENAI__QUERY_MS": "2000",
        "KAMERTON_ACCOUNTS__OPENAI__API_KEY": KEY,
        "KAMERTON_PRICES": json.dumps(PRICES),
        "KAMERTON_DATA_DIR": str(tmp_path_factory.mktemp("data")),
    }
    with served(tmp_path_factory.mktemp("served"), "--stand-ins", env=env) as running:
        yield running


def sample(server: ServedKamerton, name: str, **labels: str) -> float | None:
    """A figure of the page."""
    written = ",".join(f'{label}="{value}"' for label, value in sorted(labels.items()))
    found = re.search(rf"^{re.escape(f'{name}{{{written}}}')} (\S+)$", server.get("/metrics")[1], re.MULTILINE)
    return float(found.group(1)) if found else None


async def until(happened: Callable[[], bool]) -> None:
    """Wait for something in another process; a `TimeoutError` when it does not come."""
    with anyio.fail_after(30):
        while True:
            if happened():
                return
            await anyio.sleep(0.05)


def tokens_of(vendor: WireDouble) -> int:
    """What the vendor would ask money for: it takes words for tokens."""
    return sum(len(text.split()) for request in vendor.requests for text in request.body["input"])


@pytest.mark.anyio
async def test_what_a_service_used_and_cost_is_on_the_page(server: ServedKamerton, vendor: WireDouble) -> None:
    usage = {"vendor": "openai", "model": MODEL}
    await until(lambda: "an embedder has joined" in server.log)  # it is indexed beside the calls
    tokens = tokens_of(vendor)
    assert tokens > 0
    assert sample(server, "kamerton_usage_total", unit="input_tokens", **usage) == tokens
    assert sample(server, "kamerton_usage_total", unit="requests", **usage) == len(vendor.requests)
    assert sample(server, "kamerton_cost_total", vendor="openai", currency="USD") == tokens / 2


def test_engines_are_on_the_page_with_their_state(server: ServedKamerton) -> None:
    for engine in ("openai", "e5"):
        assert sample(server, "kamerton_engine_state", kind="embeddings", engine=engine) == 0
    failures = {"kind": "embeddings", "what": "failures:timeout"}
    assert sample(server, "kamerton_engine_events_total", engine="openai", **failures) == 0
    assert sample(server, "kamerton_engine_events_total", engine="e5", **failures) is None, "nothing is counted of it"


@pytest.mark.anyio
async def test_the_log_tells_of_each_call_what_it_used(server: ServedKamerton) -> None:
    call_id = uuid.uuid4()
    async with await AudioSocketCaller.dial("127.0.0.1", server.audiosocket_port, call_id, PHONE) as caller:
        await caller.hear(PHONE.frame_bytes)
    await until(lambda: bool(server.log_records("call finished")))
    (ended,) = server.log_records("call finished")
    assert (ended["call_id"], ended["usage"], ended["cost"]) == (str(call_id), [], {}), "the stand-ins are free"


@pytest.mark.anyio
async def test_a_query_in_a_thread_is_counted_for_the_call_that_asked(tmp_path: Path) -> None:
    ledger = UsageLedger(PriceList((Price("openai", "input_tokens", Decimal("0.5"), "USD"),)))
    context = EngineContext("ru", tmp_path, (OpenAIAccount(SecretStr(KEY)),), ledger)
    with openai_double(OpenAIDoubleSettings(api_key=KEY, model=MODEL)) as vendor:
        options = OpenAIEmbeddingOptions(base_url=f"{vendor.url}/v1", model=MODEL, query_ms=5000)
        chain = await open_chain([(ENGINE, options)], context)
        with ThreadWorker(1, "brain") as worker, call_context("a"), ledger.account("a"), ledger.account("b"):
            await worker.run(lambda: chain.last.embedder.query(["три слова здесь"]))
            bills = ledger.bill("a"), ledger.bill("b")
        await chain.aclose()
    assert {line.unit: line.amount for line in bills[0].lines} == {"requests": 1, "input_tokens": 3}
    assert bills[0].costs == {"USD": Decimal("1.5")}
    assert bills[1].lines == ()


def test_a_vendor_that_there_is_not_stops_the_start(tmp_path: Path) -> None:
    prices = json.dumps([{**PRICES[0], "vendor": "opnai"}])
    code, told = refused(tmp_path, "--stand-ins", env={"KAMERTON_PRICES": prices})
    assert code == 1
    assert "prices.0.vendor" in told
    assert "known are anthropic, elevenlabs, google, local, openai, yandex" in told
    assert "Traceback" not in told
