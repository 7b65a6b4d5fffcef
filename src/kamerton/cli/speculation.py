"""`kamerton speculation`: what working ahead of a turn's end saves, on simulated dialogues with a real assistant."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Annotated, Any, Final

import anyio
import typer
import yaml

from kamerton.cache.opening import open_store
from kamerton.cli.common import ConfigFile, explained, progress_line
from kamerton.config.assistant_folder import Assistant, find_assistant, load_assistant, static_texts
from kamerton.config.brain import Brain, open_brain
from kamerton.config.settings import CHECKOUT, Settings, load_settings
from kamerton.domain.audio import PHONE
from kamerton.domain.errors import ConfigurationError
from kamerton.domain.notices import TurnFinished
from kamerton.intent_classifier import completeness
from kamerton.orchestrator.settings import CallSettings
from kamerton.orchestrator.speculation import SpeculationSettings
from kamerton.orchestrator.workers import InlineWorker
from kamerton.stt.standins.scripted import ScriptedSpeechToText
from kamerton.testing.call_lab import CallLab
from kamerton.testing.dialogue_lab import Dialogue, hold, script_of
from kamerton.testing.scripted_model import ScriptedAnswer, ScriptedModel
from kamerton.testing.virtual_loop import VirtualLoop
from kamerton.tts.tts_manager import TTSManager
from kamerton.tts.voices.standin import PacedToneTextToSpeech

DIALOGUES: Final = CHECKOUT / "bench" / "dialogues" / "insurance.yaml"
FIRST_TOKEN_MS: Final = 400.0
FIRST_AUDIO_MS: Final = 150.0
TOKEN_MS: Final = 10.0
ANSWER: Final = "Об этом я знаю немного, но скажу честно, что могу. Лучше вернёмся к полису."


@dataclass(frozen=True, slots=True)
class Held:
    """All exchanges of the dialogues, held with one setting."""

    turns: tuple[TurnFinished, ...]
    asked: int
    """Questions that reached the model."""

    def figures(self) -> dict[str, Any]:
        """Response times in milliseconds and what was spent on them."""
        waits = [turn.response_ms for turn in self.turns if turn.response_ms is not None]
        model_waits = [turn.response_ms for turn in self.turns if turn.path == "llm" and turn.response_ms is not None]
        used = sum(turn.path == "llm" for turn in self.turns)
        hits = [turn.speculation for turn in self.turns if turn.speculation.hit]
        return {
            "turns": len(waits),
            "response_p50_ms": _median(waits),
            "model_turns": len(model_waits),
            "model_response_p50_ms": _median(model_waits),
            "decisions_ahead": sum(turn.speculation.started for turn in self.turns),
            "decision_hits": len(hits),
            "model_calls": self.asked,
            "model_calls_ahead": sum(turn.speculation.model_started for turn in self.turns),
            "model_hits": sum(turn.speculation.model_hit for turn in self.turns),
            "model_calls_wasted": self.asked - used,
            "wasted_share": round((self.asked - used) / self.asked, 3) if self.asked else 0.0,
            "saved_p50_ms": _median([hit.saved_ms for hit in hits]),
        }


def speculation(
    dialogues: Annotated[Path, typer.Option(help="Dialogues to hold.")] = DIALOGUES,
    out: Annotated[Path | None, typer.Option("--out", help="Store the figures as JSON.")] = None,
    config: ConfigFile = None,
) -> None:
    """Hold dialogues with and without working ahead, and compare.

    The brain is the assistant's own. Recogniser, voice (150 ms to the first audio) and model (400 ms to the first
    token) are stand-ins on a virtual clock, so that every machine gives the same figures.
    """
    with explained():
        name, script = read_dialogues(dialogues)
        settings = load_settings(config, assistant=name)
        assistant = load_assistant(find_assistant(settings.assistant, settings.assistant_folders))
        progress_line("loading the brain")
        bench = _Bench(assistant, settings)
        results = {}
        for label, ahead in (
            ("nothing ahead", SpeculationSettings(enabled=False)),
            ("decisions ahead", SpeculationSettings(model_per_turn=0)),
            ("decisions and model ahead", SpeculationSettings()),
        ):
            progress_line(f"{len(script)} dialogues: {label}")
            results[label] = bench.held(script, ahead).figures()
    print("\n".join(table_of(results)))
    if out is not None:
        out.write_text(json.dumps(results, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def read_dialogues(path: Path) -> tuple[str, tuple[Dialogue, ...]]:
    """The assistant's name and the dialogues of a file.

    Raises:
        ConfigurationError: the file cannot be read, or is of another shape.
    """
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        script = tuple(
            Dialogue(one["name"], tuple(str(turn) for turn in one["turns"])) for one in document["dialogues"]
        )
        return str(document["assistant"]), script
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError) as error:
        message = f"{path}: not a file of dialogues ({error}); it needs 'assistant' and 'dialogues' with name and turns"
        raise ConfigurationError(message) from error


def table_of(results: dict[str, dict[str, Any]]) -> list[str]:
    """The figures as a table in Markdown, one column for each setting."""
    labels = list(results)
    lines = [f"| | {' | '.join(labels)} |", f"|---|{'---|' * len(labels)}"]
    values = ((key, [str(results[label][key]) for label in labels]) for key in results[labels[0]])
    return lines + [f"| {key} | {' | '.join(row)} |" for key, row in values]


class _Bench:
    """One loaded brain, and simulated calls on it."""

    def __init__(self, assistant: Assistant, settings: Settings) -> None:
        self._assistant = assistant
        self._model = ScriptedModel(otherwise=ScriptedAnswer(ANSWER), first_token_s=FIRST_TOKEN_MS / 1000)
        self._model.token_s = TOKEN_MS / 1000
        forgetful = settings.answers.model_copy(update={"remember": False})
        self._brain = anyio.run(_opened, assistant, settings.model_copy(update={"answers": forgetful}), self._model)

    def held(self, script: Sequence[Dialogue], ahead: SpeculationSettings) -> Held:
        """Hold every dialogue in a call of its own."""
        asked = len(self._model.requests)
        turns: list[TurnFinished] = []
        for dialogue in script:
            hold_one = partial(self._hold, dialogue, CallSettings(speculation=ahead))
            turns += anyio.run(hold_one, backend_options={"loop_factory": VirtualLoop})
        return Held(tuple(turns), len(self._model.requests) - asked)

    async def _hold(self, dialogue: Dialogue, settings: CallSettings) -> list[TurnFinished]:
        paced = PacedToneTextToSpeech(first_audio_ms=FIRST_AUDIO_MS)
        async with TTSManager([paced], language=self._assistant.language, worker=InlineWorker()) as voice:
            await voice.prerender(static_texts(self._assistant), (PHONE,), lambda done, total: None)
            lab = CallLab(
                ScriptedSpeechToText(script_of(dialogue)),
                router=self._brain.router,
                voice=voice,
                phrases=self._assistant.phrases,
                completeness=completeness,
                fillers=self._assistant.fillers,
                call_settings=self._assistant.call_settings(settings),
                talk=self._brain.talk,
            )
            return await hold(lab, dialogue)


async def _opened(assistant: Assistant, settings: Settings, model: ScriptedModel) -> Brain:
    """The brain of a simulated call: its work is done at once, in no time."""
    async with (
        open_store(settings.store) as store,
        open_brain(assistant, settings, store, InlineWorker(), model) as brain,
    ):
        return brain


def _median(values: Sequence[float]) -> float | None:
    return round(median(values), 1) if values else None
