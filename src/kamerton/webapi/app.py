"""The web application: page, API, health, metrics and the call WebSocket."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response, WebSocket
from fastapi.responses import FileResponse, JSONResponse, PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.staticfiles import StaticFiles

from kamerton.domain.errors import ConfigurationError
from kamerton.transports.browser.server import BrowserTransport
from kamerton.webapi.samples import SampleCaller
from kamerton.webapi.security import SiteGuard
from kamerton.webapi.settings import WebSettings
from kamerton.webapi.websocket import StarletteLink


@dataclass(frozen=True, slots=True)
class AssistantCard:
    """An assistant, as the API lists it."""

    name: str
    title: str
    language: str


@dataclass(frozen=True, slots=True)
class StandCatalogue:
    """What the live stand offers."""

    assistants: Sequence[AssistantCard] = ()
    samples: Sequence[SampleCaller] = ()
    page_folder: Path | None = None
    """Folder with `index.html`, served at `/`; without it there is only the API."""


def build_app(
    calls: BrowserTransport,
    settings: WebSettings,
    catalogue: StandCatalogue,
    *,
    registry: CollectorRegistry,
    not_ready: Callable[[], Sequence[str]],
    runtime: Callable[[], Mapping[str, Any]] = dict,
) -> FastAPI:
    """Put the application together.

    `not_ready` names what is still missing for calls to be served (nothing: ready); `runtime` gives figures of the
    process for load tests. Both must be quick.

    Raises:
        ConfigurationError: the page folder holds no `index.html`.
    """
    app = FastAPI(title="Kamerton", docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(SiteGuard, allowed_hosts=settings.allowed_hosts, allowed_origins=settings.allowed_origins)
    _add_health(app, registry, not_ready, runtime)
    _add_catalogue(app, catalogue)

    @app.websocket("/api/v1/call")
    async def call(websocket: WebSocket) -> None:
        await websocket.accept()
        client = websocket.client
        await calls.connect(StarletteLink(websocket), f"{client.host}:{client.port}" if client else "")

    _add_page(app, catalogue.page_folder)
    return app


def _add_health(
    app: FastAPI,
    registry: CollectorRegistry,
    not_ready: Callable[[], Sequence[str]],
    runtime: Callable[[], Mapping[str, Any]],
) -> None:
    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/readyz")
    async def readyz() -> JSONResponse:
        missing = list(not_ready())
        return JSONResponse({"ready": not missing, "missing": missing}, 503 if missing else 200)

    @app.get("/api/v1/debug/runtime")
    async def figures() -> dict[str, Any]:
        return dict(runtime())

    @app.get("/metrics")
    async def metrics() -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


def _add_catalogue(app: FastAPI, catalogue: StandCatalogue) -> None:
    by_name = {sample.name: sample for sample in catalogue.samples}

    @app.get("/api/v1/assistants")
    async def assistants() -> list[dict[str, str]]:
        return [asdict(card) for card in catalogue.assistants]

    @app.get("/api/v1/samples")
    async def samples() -> list[dict[str, str]]:
        return [
            {"name": sample.name, "text": sample.text, "url": f"./api/v1/samples/{sample.name}.wav"}
            for sample in catalogue.samples
        ]

    @app.get("/api/v1/samples/{name}.wav")
    async def sample(name: str) -> Response:
        if name not in by_name:
            return PlainTextResponse("There is no such sample caller; /api/v1/samples lists them.\n", 404)
        return FileResponse(by_name[name].path, media_type="audio/wav")


def _add_page(app: FastAPI, folder: Path | None) -> None:
    if folder is None:

        @app.get("/")
        async def no_page(request: Request) -> Response:
            return PlainTextResponse(f"Kamerton serves no page here. Calls: {request.url.netloc}/api/v1/call\n")

        return
    if not (folder / "index.html").is_file():
        raise ConfigurationError(f"web server: {folder} has no index.html; set the page folder to the built page")
    app.mount("/", StaticFiles(directory=folder, html=True), name="page")
