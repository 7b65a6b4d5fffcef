"""Puts an engine behind its transports: AudioSocket for phones, the web server for the page."""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import psutil

from kamerton.config.composition import CALL_FORMATS, Engine
from kamerton.config.settings import Settings
from kamerton.transports.admission import CallGate
from kamerton.transports.asterisk.hold_watch import HoldWatch
from kamerton.transports.audiosocket.server import AudioSocketTransport
from kamerton.transports.browser.server import BrowserTransport
from kamerton.transports.refusal import BusyLine
from kamerton.webapi.app import AssistantCard, StandCatalogue, build_app
from kamerton.webapi.samples import load_samples
from kamerton.webapi.server import WebServer


@dataclass(frozen=True, slots=True)
class Doors:
    """Where callers come in: the ports that are really listened on; 0 where a door is closed."""

    audiosocket_port: int
    web_port: int


@asynccontextmanager
async def open_doors(engine: Engine, settings: Settings, *, web: bool = True) -> AsyncIterator[Doors]:
    """Accept calls while the context is open; leaving it ends every call politely.

    Raises:
        ConfigurationError: a port is taken; the message says which and what to do.
    """
    gate = CallGate(settings.limits)
    refuse = await _busy_line(engine)
    audiosocket = AudioSocketTransport(settings.audiosocket, gate=gate, refuse=refuse)
    browser = BrowserTransport(settings.browser, gate=gate, refuse=refuse)
    async with anyio.create_task_group() as doors:
        phone_port = await doors.start(audiosocket.serve, engine.handler)
        manager = settings.ami.client()
        if manager is not None:
            doors.start_soon(HoldWatch(manager, audiosocket.hold).run)
        web_port = 0
        if web:
            app = build_app(
                browser,
                settings.web,
                _catalogue(engine, settings),
                registry=engine.metrics.registry,
                not_ready=lambda: (),
                runtime=lambda: runtime_figures(engine, gate),
            )
            web_port = await doors.start(WebServer(app, browser, settings.web).serve, engine.handler)
        yield Doors(phone_port, web_port)
        doors.cancel_scope.cancel()


def runtime_figures(engine: Engine, gate: CallGate) -> Mapping[str, Any]:
    """What the process is doing: for load tests and people on call."""
    metronome = engine.services.metronome
    vad = engine.services.vad
    return {
        "calls": gate.live,
        "tasks": len(anyio.get_running_tasks()),
        "rss_bytes": psutil.Process().memory_info().rss,
        "gc_pauses_ms": engine.watch.gc_pauses_ms,
        "gc_objects": len(gc.get_objects(0)),
        "loop_lag_p99_ms": engine.watch.loop_lag_p99_ms,
        "decisions": engine.metrics.decisions,
        "decisions_ms": engine.metrics.decisions_ms,
        "late_frames": metronome.late_frames,
        "skipped_frames": metronome.skipped_frames,
        "vad_inferences": vad.inferences,
        "vad_windows": vad.windows_judged,
    }


async def _busy_line(engine: Engine) -> BusyLine:
    text = engine.assistant.phrases["busy"]
    clips = {fmt.rate_hz: (await engine.services.voice.clip(text, fmt)).pcm for fmt in CALL_FORMATS}
    return BusyLine(clips, text)


def _catalogue(engine: Engine, settings: Settings) -> StandCatalogue:
    samples: Path = engine.assistant.folder / "samples"
    return StandCatalogue(
        assistants=(_card(engine),),
        samples=load_samples(samples) if samples.is_dir() else (),
        page_folder=settings.page_folder,
    )


def _card(engine: Engine) -> AssistantCard:
    assistant = engine.assistant
    return AssistantCard(assistant.name, assistant.title, assistant.language)
