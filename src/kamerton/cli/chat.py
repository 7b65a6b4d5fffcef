"""`kamerton chat`: the brain of the calls in text, for authors: the same router, without ears and voice."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from io import TextIOWrapper
from typing import Annotated, Any

import typer
from anyio.from_thread import start_blocking_portal

from kamerton.cache.opening import open_store
from kamerton.cli.common import ConfigFile, explained, progress_line
from kamerton.cli.flow import folder_of
from kamerton.config.assistant_folder import Assistant, load_assistant
from kamerton.config.brain import Brain, open_brain, open_model
from kamerton.config.settings import Settings, load_settings
from kamerton.domain.dialogue import END_CALL, TRANSFER, SessionState
from kamerton.domain.errors import EngineError
from kamerton.orchestrator.decision import Decision, ModelQuestion
from kamerton.orchestrator.workers import ThreadWorker

app = typer.Typer(help="Talk to an assistant in text.")

CALL_ID = "chat"


@dataclass(frozen=True, slots=True)
class Exchange:
    """One line of the author and what came of it."""

    user_text: str
    before: SessionState | None
    decision: Decision
    reply: str

    def as_dict(self) -> dict[str, Any]:
        """Everything that was decided, for `--json`."""
        decision, intent = self.decision, self.decision.intent
        return {
            "user_text": self.user_text,
            "reply_text": self.reply,
            "path": decision.path,
            "intent": intent.intent if intent else None,
            "leader": intent.leader if intent else None,
            "confidence": round(intent.confidence, 3) if intent else None,
            "gap": round(intent.gap, 3) if intent else None,
            "reason": intent.reason if intent else "",
            "entities": decision.entities.as_dict(),
            "faq_id": decision.faq.faq_id if decision.faq else None,
            "state_before": self.before.current_state_id if self.before else "",
            "state_after": decision.session.current_state_id,
            "variables": dict(decision.session.variables),
            "result": decision.result,
            "action": decision.action,
            "detail": decision.detail,
        }

    def explanation(self) -> Iterator[str]:
        """How the reply came about, for `--explain`."""
        seen = self.as_dict()
        if self.before is not None:
            yield f"{seen['path']}: {seen['state_before']} → {seen['state_after']}, {seen['result']}"
            figures = f"confidence {seen['confidence']}, lead {seen['gap']}"
            yield f"intent {seen['intent']} ({figures}; leader {seen['leader']}; {seen['reason'] or 'no reason'})"
            if seen["entities"]:
                yield f"entities {seen['entities']}"
            if self.decision.faq is not None:
                yield f"prepared answer {self.decision.faq.faq_id} (confidence {self.decision.faq.confidence:.3f})"
        if seen["variables"]:
            yield f"variables {seen['variables']}"
        if seen["detail"]:
            yield str(seen["detail"])


class TextCall:
    """A call in text: holds the session, asks the router and the language model, and says what a call would say."""

    def __init__(self, brain: Brain, assistant: Assistant) -> None:
        self._router = brain.router
        self._talk = brain.talk(CALL_ID) if brain.talk is not None else None
        self._phrases = assistant.phrases
        greeting = self._router.begin(CALL_ID)
        self.session = greeting.session
        self.greeting = Exchange("", None, greeting, _spoken(greeting))
        self.is_over = greeting.action == END_CALL

    async def say(self, *readings: str) -> Exchange:
        """Take a turn; several readings stand for a recogniser's alternatives, best first.

        Raises:
            EngineError: the embedding model failed.
        """
        before = self.session
        decision = await self._router.decide(before, readings)
        self.session = decision.session
        self.is_over = decision.action == END_CALL
        reply = _spoken(decision)
        if decision.question is not None:
            answer, problem = await self._asked(decision.question)
            reply = f"{answer} {reply}"
            decision = replace(decision, detail=problem)
        if decision.action == TRANSFER:
            reply = f"{reply} {self._phrases['operator_unavailable']}"
        if self._talk is not None:
            self._talk.remember(readings[0], reply)
        return Exchange(readings[0], before, decision, reply)

    async def close(self) -> None:
        """Free what the talk with the model holds."""
        if self._talk is not None:
            await self._talk.shutdown()

    async def _asked(self, question: ModelQuestion) -> tuple[str, str]:
        """The model's answer, or what is said instead of it, and what went wrong."""
        if self._talk is None:
            return self._phrases["offer"], "no language model is configured"
        written: list[str] = []
        try:
            async with aclosing(self._talk.process_user_turn(question.text, situation=question.situation)) as chunks:
                async for chunk in chunks:
                    written.append(chunk.text)
                    if not chunk.is_safe:
                        written.append(" " + self._phrases.get("non_secure_response", self._phrases["offer"]))
        except EngineError as error:
            written.append(" " + self._phrases.get("model_failed", self._phrases["offer"]))
            return "".join(written).strip(), str(error)
        return "".join(written).strip(), ""


@asynccontextmanager
async def open_call(assistant: Assistant, settings: Settings) -> AsyncIterator[TextCall]:
    """A call in text on the assistant's brain."""
    with ThreadWorker(2, "brain") as worker:
        async with (
            open_store(settings.store) as store,
            open_model(settings, assistant.language, progress_line) as model,
            open_brain(assistant, settings, store, worker, model, progress_line) as brain,
        ):
            call = TextCall(brain, assistant)
            try:
                yield call
            finally:
                await call.close()


@app.callback(invoke_without_command=True)
def chat(
    assistant: Annotated[
        str | None, typer.Option("--assistant", metavar="NAME|PATH", help="By default the configured one.")
    ] = None,
    config: ConfigFile = None,
    explain: Annotated[bool, typer.Option("--explain", help="Show how each reply came about.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object per exchange instead of text.")] = False,
) -> None:
    """Talk to an assistant in text: one line is one turn, from the keyboard or a pipe; Ctrl-D ends it.

    The brain is that of the calls. Exits with 1 when the assistant cannot be loaded, with 130 on Ctrl-C.
    """
    with explained():
        settings = load_settings(config)
        loaded = load_assistant(folder_of(assistant or settings.assistant, settings.assistant_folders))
        with (
            start_blocking_portal() as portal,
            portal.wrap_async_context_manager(open_call(loaded, settings)) as call,
        ):
            _show(call.greeting, explain=explain, as_json=as_json)
            lines = _lines(quiet=as_json)
            while not call.is_over and (line := next(lines, None)) is not None:
                _show(portal.call(call.say, line), explain=explain, as_json=as_json)


def _lines(*, quiet: bool) -> Iterator[str]:
    """Lines from standard input; piped ones are echoed so that the output reads as a dialogue."""
    if isinstance(sys.stdin, TextIOWrapper):
        sys.stdin.reconfigure(errors="replace")
    typed = sys.stdin.isatty()
    while True:
        if typed:
            print("> ", end="", flush=True)
        line = sys.stdin.readline()
        if not line:
            return
        if not typed and not quiet:
            print(f"> {line.strip()}")
        yield line.strip()


def _show(exchange: Exchange, *, explain: bool, as_json: bool) -> None:
    if as_json:
        print(json.dumps(exchange.as_dict(), ensure_ascii=False), flush=True)
        return
    print(exchange.reply, flush=True)
    if explain:
        for line in exchange.explanation():
            print(f"    {line}", flush=True)


def _spoken(decision: Decision) -> str:
    return " ".join(item.text for item in decision.playlist)
