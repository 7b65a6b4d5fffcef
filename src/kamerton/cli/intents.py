"""`kamerton intents`: how fast an assistant understands on this machine."""

from __future__ import annotations

from statistics import quantiles
from time import perf_counter
from typing import Annotated

import typer

from kamerton.cli.common import ConfigFile, explained, progress_line
from kamerton.config.assistant_folder import Assistant, find_assistant, load_assistant
from kamerton.config.composition import build_router
from kamerton.config.settings import load_settings

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
        router = build_router(chosen, settings)
    session = router.begin("timing").session
    spent_ms = []
    for sentence in sentences(chosen):
        begun = perf_counter()
        router.decide(session, (sentence,))
        spent_ms.append((perf_counter() - begun) * 1000)
    cuts = quantiles(spent_ms, n=20)
    print(f"{len(spent_ms)} sentences: p50 {cuts[9]:.1f} ms, p95 {cuts[18]:.1f} ms")


def sentences(assistant: Assistant) -> list[str]:
    """The examples of an assistant, each changed so that no table and no cache knows it."""
    known = [example for intent in assistant.intents for example in intent.examples]
    known += [entry.question for entry in assistant.faq]
    return [f"{text.rstrip('?.!')}, скажите пожалуйста это мне" for text in known]
