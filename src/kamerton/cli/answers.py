"""`kamerton answers`: loads, tries and calibrates the prepared answers of an assistant."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final

import anyio
import anyio.to_thread
import typer

from kamerton.answers.calibration import save_calibration
from kamerton.answers.calibration_fit import (
    PARTS,
    TARGET_PRECISION,
    Fit,
    LabelledQuestion,
    Sample,
    collect,
    fit,
    judged,
    parse_labelled,
)
from kamerton.answers.catalogue import AnswerEntry
from kamerton.answers.instant import AnswerSearch, InstantAnswers
from kamerton.answers.race import Half
from kamerton.answers.report import calibration_report, figures
from kamerton.cli.answers_load import forget_kept, load_answers
from kamerton.cli.common import ConfigFile, explained, progress_line
from kamerton.config.answers import CALIBRATION_FILE, open_answers
from kamerton.config.assistant_folder import Assistant, find_assistant, load_assistant
from kamerton.config.settings import CHECKOUT, Settings, load_settings
from kamerton.config.understanding import link_folder, open_embedders
from kamerton.domain.errors import ConfigurationError
from kamerton.embeddings.chain import ChainLink
from kamerton.orchestrator.workers import ThreadWorker

app = typer.Typer(help="Answers at hand: load, try and calibrate them, forget kept ones.", no_args_is_help=True)

LABELLED_FILE: Final = "questions.json"
REPORT_FILE: Final = CHECKOUT / "docs" / "answers-calibration.md"

_SHOWN: Final = 5

AssistantOption = Annotated[str | None, typer.Option(help="Name of the assistant; by default the configured one.")]


@dataclass(frozen=True, slots=True)
class CalibrationFiles:
    """Where `calibrate` writes."""

    calibration: Path
    report: Path


@app.command()
def load(assistant: AssistantOption = None, config: ConfigFile = None) -> None:
    """Build the index and render the audio of all answers; only what changed costs time."""
    with explained():
        settings, chosen = _chosen(assistant, config)
        changed = anyio.run(load_answers, settings, chosen)
    print("\n".join(changed))


@app.command()
def forget(assistant: AssistantOption = None, config: ConfigFile = None) -> None:
    """Remove the language model's answers that were kept in Redis: the next caller gets a new one."""
    with explained():
        settings, chosen = _chosen(assistant, config)
        count = anyio.run(forget_kept, settings, chosen)
    print(f"{chosen.name}: {count} kept answers removed; running servers follow within a minute")


@app.command("test")
def try_(
    text: Annotated[str, typer.Argument(help="What a caller says.")],
    assistant: AssistantOption = None,
    config: ConfigFile = None,
) -> None:
    """Show both rankings for a text, their scores, and what is decided and why. Exits with 2 when nothing is found."""
    with explained():
        settings, chosen = _chosen(assistant, config)
        search = anyio.run(_test, settings, chosen, text)
    print("\n".join(shown(search)))
    if search.verdict is None:
        raise typer.Exit(2)


@app.command()
def calibrate(
    assistant: AssistantOption = None,
    questions: Annotated[
        Path | None, typer.Option(help="Labelled questions (JSON or JSON lines); by default the assistant's own.")
    ] = None,
    output: Annotated[Path | None, typer.Option(help="Calibration file; by default the assistant's own.")] = None,
    report: Annotated[Path, typer.Option(help="Where the report is written.")] = REPORT_FILE,
    precision: Annotated[
        float, typer.Option(min=0.5, max=0.999, help="Least share of right answers among those given.")
    ] = TARGET_PRECISION,
    config: ConfigFile = None,
) -> None:
    """Learn from labelled questions when an answer is sure enough for the configured embedding model."""
    with explained():
        settings, chosen = _chosen(assistant, config)
        labelled = read_labelled(questions or chosen.folder / LABELLED_FILE, chosen.answers)
        places = CalibrationFiles(output or chosen.folder / CALIBRATION_FILE, report)
        anyio.run(_calibrate, settings, chosen, labelled, precision, places)


def read_labelled(path: Path, entries: Sequence[AnswerEntry]) -> tuple[LabelledQuestion, ...]:
    """Labelled questions from a JSON list or from JSON lines.

    Raises:
        ConfigurationError: the file is missing, no JSON, or names answers that there are not.
    """
    try:
        content = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"{path}: labelled questions cannot be read ({error}); name the file with --questions"
        ) from error
    return parse_labelled(_parsed(content, path), str(path), [entry.answer_id for entry in entries])


def _parsed(content: str, path: Path) -> Any:
    if content.lstrip().startswith("["):
        try:
            return json.loads(content)
        except json.JSONDecodeError as error:
            raise ConfigurationError(f"{path}: is no JSON: {error}") from error
    lines: list[Any] = []
    for number, line in enumerate(content.splitlines(), start=1):
        if line.strip():
            try:
                lines.append(json.loads(line))
            except json.JSONDecodeError as error:
                raise ConfigurationError(f"{path}: line {number} is no JSON: {error}") from error
    return lines


def shown(search: AnswerSearch) -> Iterator[str]:
    """A search as text: both rankings, the evidence and the decision."""
    yield f"«{search.text}»"
    for name, half in (("words", search.words), ("meaning", search.meaning)):
        yield f"  by {name}: {_timing(half)}"
        for place, ranked in enumerate((half.ranking or ())[:_SHOWN], start=1):
            yield f"    {place}. {ranked.answer_id:<24} {ranked.score:7.3f}"
    for entry in search.evidence:
        yield (
            f"  {entry.answer_id}: cosine {entry.meaning:.3f} (lead {entry.meaning_lead:+.3f}), wordings lead "
            f"{entry.wordings_lead:+.2f}, words lead {entry.words_lead:+.2f}, coverage {entry.coverage:.2f}, "
            f"likeness {entry.likeness:.2f}"
        )
    if search.verdict is None:
        yield f"  no answer: {search.reason}; {search.took_ms:.1f} ms"
    else:
        found = search.verdict
        yield f"  answer '{found.faq_id}' ({found.confidence:.2f}): {search.reason}; {search.took_ms:.1f} ms"
        yield f"  «{found.answer}»"


def _timing(half: Half) -> str:
    return half.failure if half.ranking is None else f"{half.took_ms:.1f} ms"


def _chosen(assistant: str | None, config: Path | None) -> tuple[Settings, Assistant]:
    settings = load_settings(config, **({"assistant": assistant} if assistant else {}))
    return settings, load_assistant(find_assistant(settings.assistant, settings.assistant_folders))


async def _test(settings: Settings, assistant: Assistant, text: str) -> AnswerSearch:
    async with _answers(settings, assistant) as links:
        link, answers = links[0]
        progress_line(f"searching with {link.name}")
        await answers.evidence(text)  # loads what is loaded on first use, outside the budget
        return await answers.find(text)


@asynccontextmanager
async def _answers(settings: Settings, assistant: Assistant) -> AsyncIterator[list[tuple[ChainLink, InstantAnswers]]]:
    """The instant answers under each embedder of the chain."""
    chain = await open_embedders(settings, assistant.language, progress_line)
    try:
        with ThreadWorker(2, "answers") as worker:
            async with AsyncExitStack() as stack:
                opened = []
                for link in chain.links:
                    folder, is_first = link_folder(settings, assistant, chain, link), link is chain.links[0]
                    answers, _ = await stack.enter_async_context(
                        open_answers(
                            assistant, settings, link.patient, worker, progress_line, folder=folder, elastic=is_first
                        )
                    )
                    opened.append((link, answers))
                yield opened
    finally:
        await chain.aclose()


async def _calibrate(
    settings: Settings,
    assistant: Assistant,
    labelled: Sequence[LabelledQuestion],
    precision: float,
    places: CalibrationFiles,
) -> None:
    """Calibrate each embedder of the chain; the reports of all but the last are named after their engines."""
    async with _answers(settings, assistant) as links:
        for link, answers in links:
            told = partial(_progress, f"{link.name}: questions")
            samples = await collect(labelled, answers.evidence, told)
            fitted = await anyio.to_thread.run_sync(fit, samples, link.embedder.identity, precision)
            is_last = link is links[-1][0]
            report = places.report if is_last else places.report.with_stem(f"{places.report.stem}-{link.name}")
            _conclude(assistant, samples, fitted, CalibrationFiles(places.calibration, report))


def _conclude(assistant: Assistant, samples: Sequence[Sample], fitted: Fit, places: CalibrationFiles) -> None:
    """Write what was learned, and how well it does."""
    outcomes = judged(samples, fitted.calibration)
    on_fit, on_held = ([one for one in outcomes if one.sample.question.part == part] for part in PARTS)
    save_calibration(places.calibration, fitted.calibration)
    _write_report(places.report, calibration_report(assistant.name, fitted, on_fit, on_held))
    held = figures(on_held)
    reached = "no answer given" if held.precision is None else f"precision {held.precision:.3f}"
    print(f"{assistant.name}, {fitted.calibration.embedder}: held back {reached}, recall {held.recall:.3f}")
    print(f"  calibration {places.calibration}\n  report      {places.report}")


def _write_report(path: Path, content: str) -> None:
    try:
        path.write_text(content, encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"{path}: the report cannot be written: {error}; choose another --report") from error


def _progress(what: str, done: int, total: int) -> None:
    if done == total or done % 50 == 0:
        progress_line(f"{what}: {done} of {total}")
