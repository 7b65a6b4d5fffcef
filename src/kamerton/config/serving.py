"""Puts an engine behind its transports: AudioSocket for phones, the web server for the page."""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import anyio
import psutil

from kamerton.config.answers import Progress
from kamerton.config.capacity import call_limits
from kamerton.config.composition import CALL_FORMATS, Engine
from kamerton.config.door_metrics import DoorMetrics
from kamerton.config.files import OpenFiles, Shares, share_files
from kamerton.config.service_watch import ServiceWatch
from kamerton.config.settings import Settings
from kamerton.transports.admission import CallGate, CallLimits
from kamerton.transports.asterisk.hold_watch import HoldWatch
from kamerton.transports.audiosocket.server import AudioSocketTransport
from kamerton.transports.browser.server import BrowserTransport
from kamerton.transports.refusal import BusyLine
from kamerton.webapi.app import AssistantCard, StandCatalogue, build_app
from kamerton.webapi.samples import load_samples
from kamerton.webapi.server import WebServer

TELL_EVERY_S: Final = 3.0
"""Between two lines on how many calls are left."""


class Doors:
    """Where callers come in, and how that ends."""

    def __init__(self, engine: Engine, gate: CallGate, audiosocket: AudioSocketTransport, web_port: int) -> None:
        self._engine = engine
        self._gate = gate
        self._audiosocket = audiosocket
        self.audiosocket_port = audiosocket.port
        """The port that Asterisk connects to."""
        self.web_port = web_port
        """The page's port; 0 without a web server."""

    async def drain(self, progress: Progress) -> None:
        """Take no further call, and let each running one finish its sentence, say good-bye and hang up.

        Readiness says no from now on. Waits until the calls are gone, `limits.drain_s` at most; safe to cancel: what
        is left ends with the doors. AudioSocket is not listened on any more, so that Asterisk can turn elsewhere at
        once; pages that call hear the phrase `busy`.
        """
        gate = self._gate
        gate.close()
        self._audiosocket.stop_listening()
        self._engine.services.stopping.begin()
        if not gate.live:
            progress("stopping: there are no calls")
            return
        progress(
            f"stopping: {_calls(gate)} finish their sentence and say good-bye, for {gate.limits.drain_s:g} s at most; "
            "the same signal again ends them at once"
        )
        with anyio.move_on_after(gate.limits.drain_s):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_tell_how_many, gate, progress)
                await gate.emptied()
                tasks.cancel_scope.cancel()
        progress(f"stopping: {_calls(gate)} did not end in time" if gate.live else "stopping: all calls have ended")


async def _tell_how_many(gate: CallGate, progress: Progress) -> None:
    while True:
        await anyio.sleep(TELL_EVERY_S)
        progress(f"stopping: {_calls(gate)} left")


def _calls(gate: CallGate) -> str:
    return "1 call" if gate.live == 1 else f"{gate.live} calls"


@asynccontextmanager
async def open_doors(
    engine: Engine, settings: Settings, *, web: bool = True, watch: ServiceWatch | None = None
) -> AsyncIterator[Doors]:
    """Accept calls while the context is open; leaving it ends every call that is left, telling it.

    Args:
        engine: what answers.
        settings: the validated settings.
        web: whether the page and the API are served.
        watch: looks at the services; runs while the context is open.

    Raises:
        ConfigurationError: a port is taken, or too few files may be opened; the message says what to do.
    """
    files = OpenFiles()
    wanted = Shares(settings.limits, settings.audiosocket, settings.browser, settings.web)
    per_call = 2 if settings.model.chain else 1
    shares = share_files(wanted, files.limit - files.open, per_call)
    chosen = settings.limits.max_calls != CallLimits().max_calls
    gate = CallGate(call_limits(shares.limits, engine.recognizer(), chosen=chosen))
    refuse = await _busy_line(engine)
    audiosocket = AudioSocketTransport(shares.audiosocket, gate=gate, refuse=refuse)
    browser = BrowserTransport(shares.browser, gate=gate, refuse=refuse)

    def troubles() -> Mapping[str, str]:
        services = watch.troubles if watch is not None else {}
        return {**what_keeps_calls_away(engine, gate, files), **services}

    app = build_app(
        browser,
        shares.web,
        _catalogue(engine, settings),
        registry=engine.metrics.registry,
        not_ready=lambda: [f"{part}: {why}" for part, why in troubles().items()],
        runtime=lambda: runtime_figures(engine, gate),
    )
    server = WebServer(app, browser, shares.web)
    counters = {"audiosocket": audiosocket.counters, "browser": browser.counters, "http": server.http_counters}
    gauges = {
        "calls_limit": ("Calls that are served at the same time", lambda: float(gate.limits.max_calls)),
        "files_open": ("Files that the process has open", lambda: float(files.open)),
        "files_limit": ("Files that the process may open", lambda: float(files.limit)),
    }
    _follow_figures(engine)
    metrics = DoorMetrics(counters, troubles, gauges)
    engine.metrics.registry.register(metrics)
    try:
        async with anyio.create_task_group() as doors:
            await doors.start(audiosocket.serve, engine.handler)
            if watch is not None:
                doors.start_soon(watch.run)
            manager = settings.ami.client()
            if manager is not None:
                doors.start_soon(HoldWatch(manager, audiosocket.hold).run)
            web_port = await doors.start(server.serve, engine.handler) if web else 0
            yield Doors(engine, gate, audiosocket, web_port)
            doors.cancel_scope.cancel()
    finally:
        engine.metrics.registry.unregister(metrics)


def what_keeps_calls_away(engine: Engine, gate: CallGate, files: OpenFiles) -> Mapping[str, str]:
    """Why a further call could not be served, by part; nothing when all is well. Told by readiness and metrics."""
    parts = {
        "stopping": "the service is stopping" if gate.closed else "",
        "files": files.trouble,
        "vad": engine.services.vad.trouble,
        "recogniser": engine.recognizer().trouble,
    }
    return {part: why for part, why in parts.items() if why}


def _follow_figures(engine: Engine) -> None:
    """Figures that are counted where they arise, shown at `/metrics` as well."""
    metronome, vad, figures = engine.services.metronome, engine.services.vad, engine.metrics.figures
    guessed = "Windows judged by loudness, since the voice activity network did not answer"
    figures.count("kamerton_vad_windows_guessed", guessed, lambda: vad.windows_guessed)
    dropped = "Windows of callers' audio pushed out by newer ones, since judging was held up"
    figures.count("kamerton_vad_windows_dropped", dropped, lambda: vad.windows_dropped)
    deafened = "Calls that lost their ears to a fault of their own"
    figures.count("kamerton_calls_deafened", deafened, lambda: vad.sink_failures)
    unjudged = "Rounds of windows whose echo could not be judged"
    figures.count("kamerton_echo_failures", unjudged, lambda: vad.echo_failures)
    late = "Frames sent more than a frame after their instant"
    figures.count("kamerton_frames_late", late, lambda: metronome.late_frames)
    skipped = "Frames never sent, since the process was held up for too long"
    figures.count("kamerton_frames_skipped", skipped, lambda: metronome.skipped_frames)


def runtime_figures(engine: Engine, gate: CallGate) -> Mapping[str, Any]:
    """What the process is doing: for load tests and people on call."""
    metronome = engine.services.metronome
    vad = engine.services.vad
    return {
        "calls": gate.live,
        "max_calls": gate.limits.max_calls,
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
        "vad_windows_guessed": vad.windows_guessed,
        "recognizer": asdict(engine.recognizer()),
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
