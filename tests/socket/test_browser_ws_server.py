"""The web server over real sockets: page, API, guards, and faults on the call's WebSocket."""

import json
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio
import httpx
import pytest
from prometheus_client import CollectorRegistry, Counter
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from kamerton.domain.errors import ConfigurationError
from kamerton.testing.media_stage import Operator
from kamerton.transports.browser.server import BrowserTransport
from kamerton.webapi.app import AssistantCard, StandCatalogue, build_app
from kamerton.webapi.samples import load_samples
from kamerton.webapi.server import WebServer
from kamerton.webapi.settings import WebSettings

pytestmark = [pytest.mark.anyio, pytest.mark.socket]

START = '{"type": "start_demo_call", "payload": {"user_name": "Анна"}}'


async def served(
    scene: Callable[[str], Awaitable[None]],
    *,
    operator: Operator | None = None,
    settings: WebSettings | None = None,
    catalogue: StandCatalogue | None = None,
    missing: tuple[str, ...] = (),
) -> None:
    """Serve while the scene plays; `scene` gets host and port."""
    settings = settings or WebSettings(port=0)
    registry = CollectorRegistry()
    Counter("turns", "Turns taken.", registry=registry).inc()
    calls = BrowserTransport()
    app = build_app(calls, settings, catalogue or StandCatalogue(), registry=registry, not_ready=lambda: missing)
    server = WebServer(app, calls, settings)
    async with anyio.create_task_group() as serving:
        port = await serving.start(server.serve, operator or Operator())
        assert server.port == port
        with anyio.fail_after(20):
            await scene(f"127.0.0.1:{port}")
        serving.cancel_scope.cancel()
    assert server.port == 0


@pytest.fixture
def page(tmp_path: Path) -> Path:
    (tmp_path / "index.html").write_text("<h1>Камертон</h1>", encoding="utf-8")
    (tmp_path / "page.js").write_text("export {};", encoding="utf-8")
    return tmp_path


async def test_page_and_api_are_served_with_security_headers(page: Path) -> None:
    catalogue = StandCatalogue(assistants=(AssistantCard("insurance", "Страхование", "ru"),), page_folder=page)

    async def scene(place: str) -> None:
        async with httpx.AsyncClient(base_url=f"http://{place}", trust_env=False) as client:
            index = await client.get("/")
            assert "Камертон" in index.text
            assert "default-src 'none'" in index.headers["content-security-policy"]
            assert index.headers["x-content-type-options"] == "nosniff"
            assert "server" not in index.headers
            assert (await client.get("/page.js")).status_code == 200
            assert (await client.get("/../pyproject.toml")).status_code == 404
            assert (await client.get("/api/v1/assistants")).json() == [
                {"name": "insurance", "title": "Страхование", "language": "ru"}
            ]
            assert (await client.get("/api/v1/samples")).json() == []
            assert (await client.get("/healthz")).json() == {"status": "ok"}
            assert (await client.get("/readyz")).json() == {"ready": True, "missing": []}
            assert "turns_total 1.0" in (await client.get("/metrics")).text

    await served(scene, catalogue=catalogue)


async def test_what_is_missing_is_named_until_ready() -> None:
    async def scene(place: str) -> None:
        async with httpx.AsyncClient(base_url=f"http://{place}", trust_env=False) as client:
            answer = await client.get("/readyz")
            assert answer.status_code == 503
            assert answer.json() == {"ready": False, "missing": ["speech model"]}
            assert "no page" in (await client.get("/")).text

    await served(scene, missing=("speech model",))


async def test_sample_callers_are_listed_and_served(tmp_path: Path) -> None:
    (tmp_path / "hello.wav").write_bytes(b"RIFF....")
    (tmp_path / "secret.wav").write_bytes(b"not listed")
    (tmp_path / "transcripts.tsv").write_text("file\ttext\nhello.wav\tздравствуйте\n", encoding="utf-8")

    async def scene(place: str) -> None:
        async with httpx.AsyncClient(base_url=f"http://{place}", trust_env=False) as client:
            listed = (await client.get("/api/v1/samples")).json()
            assert listed == [{"name": "hello", "text": "здравствуйте", "url": "./api/v1/samples/hello.wav"}]
            answer = await client.get(listed[0]["url"].lstrip("."))
            assert answer.content == b"RIFF...."
            assert answer.headers["content-type"] == "audio/wav"
            assert (await client.get("/api/v1/samples/secret.wav")).status_code == 404

    await served(scene, catalogue=StandCatalogue(samples=load_samples(tmp_path)))


async def test_unknown_host_names_are_refused_everywhere() -> None:
    async def scene(place: str) -> None:
        async with httpx.AsyncClient(base_url=f"http://{place}", trust_env=False) as client:
            answer = await client.get("/healthz", headers={"Host": "rebound.example"})
            assert answer.status_code == 400
            assert "allowed_hosts" in answer.text
        host, port = place.split(":")
        with pytest.raises(InvalidStatus) as refused:
            await connect("ws://rebound.example/api/v1/call", host=host, port=int(port), proxy=None)
        assert refused.value.response.status_code == 400

    await served(scene)


@pytest.mark.parametrize("host", ["127.0.0.1:x@evil.com", "127.0.0.1:80@evil.com", "evil.com#127.0.0.1", "[::1"])
@pytest.mark.parametrize("allowed", [("127.0.0.1", "[::1]"), ("*",)], ids=["named", "any"])
async def test_what_is_no_host_is_refused(host: str, allowed: tuple[str, ...]) -> None:
    async def scene(place: str) -> None:
        async with httpx.AsyncClient(base_url=f"http://{place}", trust_env=False) as client:
            assert (await client.get("/healthz", headers={"Host": host})).status_code == 400

    await served(scene, settings=WebSettings(port=0, allowed_hosts=allowed))


@pytest.mark.parametrize(
    ("origin", "welcome"),
    [("http://{place}", True), ("https://partner.example", True), ("https://evil.example", False), ("null", False)],
)
async def test_only_known_sites_may_call(origin: str, welcome: bool) -> None:
    async def scene(place: str) -> None:
        calling = connect(f"ws://{place}/api/v1/call", origin=origin.format(place=place), proxy=None)  # type: ignore[arg-type]
        if welcome:
            async with calling as page:
                await page.send(START)
                assert json.loads(await page.recv())["type"] == "demo_call_started"
        else:
            with pytest.raises(InvalidStatus) as refused:
                await calling
            assert refused.value.response.status_code == 403

    settings = WebSettings(port=0, allowed_origins=("https://partner.example",))
    await served(scene, settings=settings)


async def test_an_oversized_message_ends_that_call_only() -> None:
    operator = Operator()

    async def scene(place: str) -> None:
        async with connect(f"ws://{place}/api/v1/call", proxy=None) as page:
            await page.send(START)
            await operator.answer()
            await page.send(bytes(100_000))
            await page.wait_closed()
            assert page.close_code == 1009
        await operator.sink.until(lambda sink: bool(sink.hang_ups))
        operator.released.set()
        async with connect(f"ws://{place}/api/v1/call", proxy=None) as page:
            await page.send(START)
            assert json.loads(await page.recv())["type"] == "demo_call_started"

    await served(scene, operator=operator)


async def test_a_page_that_vanishes_in_mid_call_ends_it() -> None:
    operator = Operator()

    async def scene(place: str) -> None:
        page = await connect(f"ws://{place}/api/v1/call", proxy=None)
        await page.send(START)
        media = await operator.answer()
        page.transport.abort()
        await operator.sink.until(lambda sink: bool(sink.hang_ups))
        media.send(bytes(640))
        assert operator.sink.hang_ups == [("hang_up", "hung_up")]
        await page.wait_closed()

    await served(scene, operator=operator)


async def test_a_busy_port_is_explained() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        settings = WebSettings(port=port)
        calls = BrowserTransport()
        app = build_app(calls, settings, StandCatalogue(), registry=CollectorRegistry(), not_ready=lambda: ())
        with pytest.raises(ConfigurationError, match=f"port {port}: the port is in use; stop the program"):
            await WebServer(app, calls, settings).serve(Operator())


async def test_a_page_folder_without_a_page_is_explained(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"no index\.html"):
        build_app(
            BrowserTransport(),
            WebSettings(),
            StandCatalogue(page_folder=tmp_path),
            registry=CollectorRegistry(),
            not_ready=lambda: (),
        )
