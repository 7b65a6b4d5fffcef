"""`kamerton intents`: how fast an assistant understands on this machine."""

from __future__ import annotations

from functools import partial
from statistics import quantiles
from time import perf_counter
from typing import Annotated, Final

import anyio
import typer

from kamerton.cache.opening import open_store
from kamerton.cli.common import ConfigFile, explained, progress_line
from kamerton.config.assistant_folder import Assistant, find_assistant, load_assistant
from kamerton.config.brain import open_brain
from kamerton.config.settings import Settings, load_settings
from kamerton.orchestrator.workers import ThreadWorker

_ENDINGS: Final = ("скажите пожалуйста это мне", "расскажите пожалуйста об этом")

app = typer.Typer(help="Understanding of an assistant.", no_args_is_help=True)


@app.callback()
def intents() -> None:
    """Understanding of an assistant."""


@app.command("time")
def time_(
    assistant: Annotated[str | None, typer.Option(help="Name of the assistant; by default the configured one.")] = None,
    config: ConfigFile = None,
) -> None:
    """Time sentences that were never seen: their classification alone, and whole decisions with prepared answers."""
    with explained():
        settings = load_settings(config, **({"assistant": assistant} if assistant else {}))
        chosen = load_assistant(find_assistant(settings.assistant, settings.assistant_folders))
        progress_line("loading the classifier")
        classified_ms, decided_ms = anyio.run(_timed, chosen, settings)
    for name, spent_ms in (("classification", classified_ms), ("decision", decided_ms)):
        cuts = quantiles(spent_ms, n=20)
        print(f"{name} of {len(spent_ms)} sentences: p50 {cuts[9]:.1f} ms, p95 {cuts[18]:.1f} ms")


async def _timed(assistant: Assistant, settings: Settings) -> tuple[list[float], list[float]]:
    classified_ms, decided_ms = [], []
    with ThreadWorker(2, "brain") as worker:
        async with (
            open_store(settings.store) as store,
            open_brain(assistant, settings, store, worker) as brain,
        ):
            session = brain.router.begin("timing").session
            for first, second in zip(*(sentences(assistant, ending) for ending in _ENDINGS), strict=True):
                begun = perf_counter()
                await worker.run(partial(brain.classifier.classify_intent, first, None))
                between = perf_counter()
                await brain.router.decide(session, (second,))
                classified_ms.append((between - begun) * 1000)
                decided_ms.append((perf_counter() - between) * 1000)
    return classified_ms, decided_ms


def sentences(assistant: Assistant, ending: str) -> list[str]:
    """The examples of an assistant, each changed so that no table and no cache knows it."""
    known = [example for intent in assistant.intents for example in intent.examples]
    known += [entry.question for entry in assistant.faq]
    return [f"{text.rstrip('?.!')}, {ending}" for text in known]
