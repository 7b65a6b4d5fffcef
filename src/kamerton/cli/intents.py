"""`kamerton intents`: how fast an assistant understands on this machine."""

from __future__ import annotations

from statistics import quantiles
from time import perf_counter
from typing import Annotated

import anyio
import typer

from kamerton.cache.opening import open_store
from kamerton.cli.common import ConfigFile, explained, progress_line
from kamerton.config.assistant_folder import Assistant, find_assistant, load_assistant
from kamerton.config.brain import open_brain
from kamerton.config.settings import Settings, load_settings
from kamerton.orchestrator.workers import ThreadWorker

app = typer.Typer(help="Understanding of an assistant.", no_args_is_help=True)


@app.callback()
def intents() -> None:
    """Understanding of an assistant."""


@app.command("time")
def time_(
    assistant: Annotated[str | None, typer.Option(help="Name of the assistant; by default the configured one.")] = None,
    config: ConfigFile = None,
) -> None:
    """Time decisions on sentences that were never seen: classification, prepared answers and scenario together."""
    with explained():
        settings = load_settings(config, **({"assistant": assistant} if assistant else {}))
        chosen = load_assistant(find_assistant(settings.assistant, settings.assistant_folders))
        progress_line("loading the classifier")
        spent_ms = anyio.run(_timed, chosen, settings)
    cuts = quantiles(spent_ms, n=20)
    print(f"{len(spent_ms)} sentences: p50 {cuts[9]:.1f} ms, p95 {cuts[18]:.1f} ms")


async def _timed(assistant: Assistant, settings: Settings) -> list[float]:
    spent_ms = []
    with ThreadWorker(2, "brain") as worker:
        async with (
            open_store(settings.store) as store,
            open_brain(assistant, settings, store, worker) as brain,
        ):
            session = brain.router.begin("timing").session
            for sentence in sentences(assistant):
                begun = perf_counter()
                await brain.router.decide(session, (sentence,))
                spent_ms.append((perf_counter() - begun) * 1000)
    return spent_ms


def sentences(assistant: Assistant) -> list[str]:
    """The examples of an assistant, each changed so that no table and no cache knows it."""
    known = [example for intent in assistant.intents for example in intent.examples]
    known += [entry.question for entry in assistant.faq]
    return [f"{text.rstrip('?.!')}, скажите пожалуйста это мне" for text in known]
