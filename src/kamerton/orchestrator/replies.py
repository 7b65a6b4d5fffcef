"""The bot's side of an exchange: deciding, speaking, fillers and prompts, and what became of each of them."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace

import anyio
from anyio.abc import TaskGroup

from kamerton.domain.dialogue import END_CALL, TRANSFER
from kamerton.domain.errors import EngineError
from kamerton.domain.media import CallMedia
from kamerton.domain.notices import (
    ErrorOccurred,
    LLMTextReceived,
    MindState,
    MindStateChanged,
    Notice,
    TranscriptUpdated,
    TurnPath,
)
from kamerton.orchestrator.call_events import CallEvent, ReplyFailed, ReplyStarted
from kamerton.orchestrator.conversation import Conversation
from kamerton.orchestrator.decision import Decision, ModelQuestion
from kamerton.orchestrator.exchange import Exchange
from kamerton.orchestrator.fillers import FillerSchedule, FillerWait
from kamerton.orchestrator.model_reply import FreeTalk, ModelReply
from kamerton.orchestrator.playout import Playout
from kamerton.orchestrator.services import CallServices
from kamerton.orchestrator.speaker import Speaker
from kamerton.orchestrator.utterance import Settled, Source, Utterance

log = logging.getLogger(__name__)

PROMPT_PATHS: dict[str, TurnPath] = {
    "still_there": "silence",
    "silence_goodbye": "silence",
    "not_heard": "fallback",
    "max_length": "silence",
    "apology": "error",
}


class Replies:
    """Answers the turns of one call. Replies are prepared in tasks of the call's group, one at a time."""

    def __init__(
        self,
        media: CallMedia,
        services: CallServices,
        conversation: Conversation,
        playout: Playout,
        post: Callable[[CallEvent], None],
        publish: Callable[[Notice], None],
        free_talk: FreeTalk | None = None,
    ) -> None:
        self._services = services
        self._free_talk = free_talk
        self._conversation = conversation
        self._format = media.info.format
        self._post = post
        self._publish = publish
        self._speaker = Speaker(services.voice, playout, self._format, publish, services.call.patience.voice_stall_s)
        self._fillers = FillerSchedule(services.fillers)
        self._tasks: TaskGroup | None = None
        self._thinking = anyio.CancelScope()
        self._speculating = anyio.CancelScope()
        self._spoken: dict[int, Exchange] = {}
        self._finished = 0
        self.current: Exchange | None = None
        """The exchange that is being answered, or was answered last."""

    def start(self, tasks: TaskGroup) -> None:
        """Say the greeting; from now on replies run in this group."""
        self._tasks = tasks
        if self._free_talk is not None:
            self._free_talk.start(tasks)
        exchange = Exchange(0, "greeting", self._conversation.session.current_state_id)
        exchange.decision = self._conversation.opening
        self._launch(exchange, "greeting")

    def think(self, exchange: Exchange, failed: bool) -> None:
        """Answer a turn; when its words are not known, ask for it again."""
        if failed or not exchange.readings:
            self.drop_ahead()
            exchange.path = "fallback"
            self._launch(exchange, "prompt", (self._services.phrases["not_heard"],))
        else:
            self._launch(exchange, "reply")

    def prompt(self, key: str, closing: bool) -> None:
        """Say a system phrase."""
        exchange = Exchange(0, PROMPT_PATHS.get(key, "silence"), self._conversation.session.current_state_id)
        self._launch(exchange, "prompt", (self._services.phrases[key],), closing)

    def filler(self, first: bool, exchange: Exchange | None) -> bool:
        """Cover the wait for an answer, if the assistant has something at hand for it; returns whether it has.

        Args:
            first: nothing was said in this wait yet.
            exchange: the one whose answer is awaited; its words may not be known yet.
        """
        decision = exchange.decision if exchange is not None else None
        path = decision.path if decision is not None else None
        remaining_ms = self._services.waits.remaining_ms(path, self._waited_ms(exchange))
        own = tuple(item.text for item in decision.fillers) if decision is not None else ()
        wait = FillerWait(first, remaining_ms, own, _topic(decision))
        filler = self._fillers.next(wait, self._speaker.at_hand)
        if filler is not None:
            self._speaker.say_filler(filler)
        return filler is not None

    def cancel(self) -> None:
        """Drop the reply that is being prepared: it will not be asked for again."""
        self.stop()
        if self.current is not None and not _sounded(self.current):
            self.current.taken_back = True
        self.current = None

    def stop(self) -> None:
        """Prepare no more of the reply."""
        self._thinking.cancel()

    def ahead(self, readings: tuple[str, ...], whole: bool) -> None:
        """Prepare the answer to words that may turn out to be the whole turn; `whole`: they sound like it."""
        if self._conversation.prepares(readings, whole=whole):
            return
        self._speculating.cancel()
        self._speculating = anyio.CancelScope()
        if self._tasks is not None:
            self._tasks.start_soon(self._speculate, readings, whole, self._speculating)

    def drop_ahead(self) -> None:
        """The turn came to nothing: what was prepared for it is not wanted."""
        self._speculating.cancel()
        self._conversation.drop_ahead()

    def commit(self, exchange: Exchange) -> None:
        """The answer starts to sound: the conversation moves on."""
        if exchange.decision is not None and exchange.path != "greeting":
            self._conversation.commit(exchange.decision)

    def unfinished_turn(self, onset_s: float) -> bool:
        """Take the last decision back when speech at `onset_s` was no reaction to its answer.

        It came too soon for that, or while the answer waited for a filler to end.
        """
        exchange = self.current
        ended_s = exchange.timeline.at_s("t_eos") if exchange is not None else None
        limit_s = self._services.call.patience.premature_ms / 1000
        if exchange is None or ended_s is None or exchange.decision is None:
            return False
        if onset_s - ended_s > limit_s and _sounded(exchange):
            return False
        self._conversation.take_back(exchange.readings)
        exchange.taken_back = True
        return True

    def on_started(self, utterance: Utterance) -> None:
        """Playout sends the first frame of an utterance."""
        self._publish(MindStateChanged(MindState.SPEAKING, utterance.source))
        exchange = self._spoken.get(utterance.id)
        if exchange is not None:
            exchange.timeline.mark("t6", anyio.current_time())
            self._publish(TranscriptUpdated("bot", utterance.text, final=False, turn=exchange.index))

    def settled(self, settled: Settled) -> None:
        """An utterance has its outcome: publish the exchange that it answered."""
        exchange = self._spoken.pop(settled.utterance_id, None)
        if exchange is None:
            return
        self._publish(TranscriptUpdated("bot", settled.heard_text, final=True, turn=exchange.index))
        decision = exchange.decision
        self._remember(exchange, settled)
        state_after = decision.session.current_state_id if decision else self._conversation.session.current_state_id
        exchange.index = self._finished
        self._finished += 1
        self._publish(exchange.finished(settled, state_after))

    def _remember(self, exchange: Exchange, settled: Settled) -> None:
        """Only what the caller heard enters the history, and only an answer heard to its end may be given again."""
        if self._free_talk is not None and not exchange.taken_back:
            self._free_talk.remember(exchange.user_text, settled.heard_text)
        reply, learner = exchange.model_reply, self._services.model_answers
        played = settled.outcome == "played"
        if reply is not None and reply.whole and played and learner is not None and self._tasks is not None:
            personal = tuple(self._conversation.session.variables.values())
            self._tasks.start_soon(learner.learn, reply.question.text, reply.text, personal)

    def _launch(
        self, exchange: Exchange, source: Source, texts: Sequence[str] | None = None, closing: bool = False
    ) -> None:
        self.stop()
        self._thinking = anyio.CancelScope()
        self.current = exchange
        if self._tasks is not None:
            generation = self._speaker.generation
            self._tasks.start_soon(self._answer, exchange, source, texts, closing, self._thinking, generation)

    async def _answer(
        self,
        exchange: Exchange,
        source: Source,
        texts: Sequence[str] | None,
        closing: bool,
        scope: anyio.CancelScope,
        generation: int,
    ) -> None:
        with scope:
            try:
                interruptible = True
                decision: Decision | None = None
                if texts is None:
                    decision = exchange.decision or await self._decide(exchange)
                    closing = decision.action == END_CALL
                    interruptible = decision.interruptible

                def ready(utterance: Utterance) -> None:
                    self._spoken[utterance.id] = exchange
                    if exchange.decision is not None:
                        self._services.waits.note(exchange.decision.path, self._waited_ms(exchange))
                    self._post(ReplyStarted(exchange, interruptible, closing))

                async with aclosing(self._parts(exchange, decision, texts or ())) as parts:
                    await self._speaker.say(source, parts, exchange, ready, generation)
            except EngineError as error:
                self._post(ReplyFailed(exchange, str(error)))

    async def _decide(self, exchange: Exchange) -> Decision:
        exchange.timeline.mark("t3", anyio.current_time())
        self._publish(MindStateChanged(MindState.CHECKING_CACHE))
        decision = await self._conversation.decide(exchange.readings)
        exchange.decision = decision
        exchange.speculation = self._conversation.speculated
        if decision.path == "error":
            self._publish(ErrorOccurred("Шаг сценария не выполнился.", decision.detail))
        return decision

    async def _parts(
        self, exchange: Exchange, decision: Decision | None, texts: Sequence[str]
    ) -> AsyncGenerator[str | ModelReply, None]:
        """What to say, one after the other: system phrases, or the model's answer and the scenario's playlist."""
        for text in texts:
            yield text
        if decision is None:
            return
        reply = self._conversation.model_reply(decision)
        if reply is not None:
            try:
                async with aclosing(self._model_parts(exchange, reply)) as parts:
                    async for part in parts:
                        yield part
            finally:
                reply.drop()
        for item in decision.playlist:
            yield item.text
        if decision.action == TRANSFER:
            # No transport here can transfer a call yet, and the caller must not be left waiting for a person.
            yield self._services.phrases["operator_unavailable"]

    async def _model_parts(self, exchange: Exchange, reply: ModelReply) -> AsyncGenerator[str | ModelReply, None]:
        """The model's answer, and what is said when there is none."""
        phrases = self._services.phrases
        exchange.model_reply = reply
        exchange.timeline.mark("t4", reply.asked_s)
        self._publish(MindStateChanged(MindState.ROUTING_TO_LLM, reply.question.text))
        self._render_echo(reply.question)
        reply.take(lambda piece: self._publish(LLMTextReceived(piece)))
        yield reply
        if reply.failure is not None:
            self._publish(ErrorOccurred("Языковая модель не ответила.", reply.failure))
            if exchange.utterance_id is None and exchange.decision is not None:
                exchange.decision = replace(exchange.decision, path="fallback")
            yield phrases.get("model_failed", phrases["offer"])
        elif reply.refused:
            yield phrases.get("non_secure_response", phrases["offer"])

    def _render_echo(self, question: ModelQuestion) -> None:
        """Have a filler that takes the question up made, while the model thinks."""
        echo = self._fillers.echo(question.text.rstrip(" .?!…"))
        if echo is not None and self._tasks is not None and not self._speaker.at_hand(echo):
            self._tasks.start_soon(self._prepared, echo)

    async def _prepared(self, text: str) -> None:
        try:
            await self._services.voice.clip(text, self._format)
        except EngineError as error:
            log.warning("a filler could not be made", extra={"reason": str(error)})

    @staticmethod
    def _waited_ms(exchange: Exchange | None) -> float:
        ended_s = exchange.timeline.at_s("t_eos") if exchange is not None else None
        return 0.0 if ended_s is None else max(0.0, (anyio.current_time() - ended_s) * 1000)

    async def _speculate(self, readings: tuple[str, ...], whole: bool, scope: anyio.CancelScope) -> None:
        with scope:
            try:
                await self._conversation.speculate(readings, self._format, whole=whole)
            except EngineError as error:
                # The reply itself will meet the same fault and answer for it.
                self._publish(ErrorOccurred("Не получилось подготовить ответ заранее.", str(error)))


def _sounded(exchange: Exchange) -> bool:
    """Whether the caller may have heard anything of the answer."""
    return exchange.timeline.at_s("t6") is not None


def _topic(decision: Decision | None) -> str:
    """What the caller asked the model about, in their own words."""
    return decision.question.text.rstrip(" .?!…") if decision is not None and decision.question is not None else ""
