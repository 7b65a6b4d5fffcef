"""The answer to one turn on its way to the line: decided, put into words and audio, queued for playout."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace

import anyio

from kamerton.domain.audio import AudioFormat
from kamerton.domain.dialogue import END_CALL, TRANSFER
from kamerton.domain.errors import EngineError
from kamerton.domain.notices import ErrorOccurred, LLMTextReceived, MindState, MindStateChanged, Notice
from kamerton.domain.synthesis import SpeechChunk
from kamerton.orchestrator.call_events import AnswerFailed, CallEvent
from kamerton.orchestrator.conversation import Conversation
from kamerton.orchestrator.decision import Decision, ModelQuestion
from kamerton.orchestrator.ledger import Turn
from kamerton.orchestrator.model_reply import ModelReply
from kamerton.orchestrator.playout import Playout
from kamerton.orchestrator.services import CallServices
from kamerton.orchestrator.turn_events import Ending, ReplyReady
from kamerton.orchestrator.utterance import Source, Utterance


@dataclass(frozen=True, slots=True)
class Mouth:
    """What every answer of a call works with."""

    services: CallServices
    conversation: Conversation
    playout: Playout
    format: AudioFormat
    post: Callable[[CallEvent], None]
    publish: Callable[[Notice], None]
    asks_model: Callable[[ModelQuestion], None]
    """Told the question that the language model is about to answer."""


def ending_of(decision: Decision) -> Ending:
    """What becomes of the call after a decision's answer."""
    return {END_CALL: Ending.HANG_UP, TRANSFER: Ending.TRANSFER}.get(decision.action or "", Ending.GO_ON)


class Reply:
    """One answer, made by one task. Cancel `scope` to prepare no more of it.

    What it queued before that is the playout's: speech asked for in an earlier generation of the playout is never
    heard; an utterance that no cut has settled by then is settled as failed.

    Args:
        mouth: the call's.
        turn: what is answered.
        source: of the utterance.
    """

    def __init__(self, mouth: Mouth, turn: Turn, source: Source) -> None:
        self._mouth = mouth
        self._turn = turn
        self._source = source
        self._ending = turn.ending
        self._interruptible = True
        self._generation = mouth.playout.generation
        self._utterance: Utterance | None = None
        self.scope = anyio.CancelScope()

    async def run(self) -> None:
        """Make the answer; a fault of an engine is told as `AnswerFailed`."""
        with self.scope:
            try:
                await self._say_all()
            except EngineError as error:
                self._mouth.post(AnswerFailed(self._turn.number, str(error)))

    async def _say_all(self) -> None:
        whole = False
        try:
            async with aclosing(self._parts()) as parts:
                async for part in parts:
                    await (self._say_model_reply(part) if isinstance(part, ModelReply) else self._say_text(part))
            self._begin("cache").complete = True
            whole = True
        finally:
            if not whole and self._utterance is not None:
                self._mouth.playout.drop(self._utterance)

    async def _parts(self) -> AsyncGenerator[str | ModelReply, None]:
        """What to say, one after the other: system phrases, or the model's answer and the scenario's playlist."""
        for text in self._turn.phrases:
            yield text
        if self._turn.phrases:
            return
        decision = self._turn.decision or await self._decide()
        self._ending, self._interruptible = ending_of(decision), decision.interruptible
        reply = self._mouth.conversation.model_reply(decision)
        if reply is not None:
            try:
                async with aclosing(self._model_parts(reply)) as parts:
                    async for part in parts:
                        yield part
            finally:
                reply.drop()
        for item in decision.playlist:
            yield item.text

    async def _decide(self) -> Decision:
        turn, mouth = self._turn, self._mouth
        turn.timeline.mark("t3", anyio.current_time())
        mouth.publish(MindStateChanged(MindState.CHECKING_CACHE))
        decision = await mouth.conversation.decide(turn.readings)
        turn.decision = decision
        turn.speculation = mouth.conversation.speculated
        if decision.path == "error":
            mouth.publish(ErrorOccurred("Шаг сценария не выполнился.", decision.detail, part="flow"))
        return decision

    async def _model_parts(self, reply: ModelReply) -> AsyncGenerator[str | ModelReply, None]:
        """The model's answer, and what is said when there is none."""
        turn, mouth, phrases = self._turn, self._mouth, self._mouth.services.phrases
        turn.model_reply = reply
        turn.timeline.mark("t4", reply.asked_s)
        mouth.publish(MindStateChanged(MindState.ROUTING_TO_LLM, reply.question.text))
        mouth.asks_model(reply.question)
        reply.take(lambda piece: mouth.publish(LLMTextReceived(piece)))
        yield reply
        if reply.failure is not None:
            mouth.publish(ErrorOccurred("Языковая модель не ответила.", reply.failure, part="llm"))
            if turn.utterance_id is None and turn.decision is not None:
                turn.decision = replace(turn.decision, path="fallback")
            yield phrases.get("model_failed", phrases["offer"])
        elif reply.refused:
            yield phrases.get("non_secure_response", phrases["offer"])

    async def _say_text(self, text: str) -> None:
        voice, audio_format = self._mouth.services.voice, self._mouth.format
        clip = voice.cached(text, audio_format)
        if clip is not None:
            self._begin("cache").add(clip)
            return
        self._mouth.publish(MindStateChanged(MindState.GENERATING_SPEECH, text))
        async with aclosing(voice.stream(text, audio_format)) as chunks:
            while (chunk := await self._next(chunks)) is not None:
                self._begin("tts").add_audio(chunk.pcm, chunk.text, goes_on=chunk.goes_on)

    async def _say_model_reply(self, reply: ModelReply) -> None:
        """Say what the model writes; an answer that stalls is given up, so that the next part can say so."""
        async with aclosing(reply.chunks()) as chunks:
            try:
                while (chunk := await self._next(chunks)) is not None:
                    self._begin("tts").add_audio(chunk.pcm, chunk.text, goes_on=chunk.goes_on)
            except EngineError as error:
                reply.drop(str(error))

    async def _next(self, chunks: AsyncGenerator[SpeechChunk, None]) -> SpeechChunk | None:
        """The voice's next piece, or None at its end. How long the first may take is the turn machine's to say."""
        stall_s, utterance, limit_s = self._mouth.services.call.patience.voice_stall_s, self._utterance, math.inf
        if utterance is not None:
            unsaid_ms = self._mouth.format.duration_ms(utterance.samples - utterance.taken_samples)
            limit_s = stall_s + unsaid_ms / 1000
        try:
            with anyio.fail_after(None if math.isinf(limit_s) else limit_s):
                return await anext(chunks, None)
        except TimeoutError as error:
            message = f"the voice fell silent in mid-speech for {stall_s:g} s; check its engine"
            raise EngineError(message) from error

    def _begin(self, mark: str) -> Utterance:
        """The utterance; with its first audio the answer is ready."""
        if self._utterance is None:
            turn, mouth, now_s = self._turn, self._mouth, anyio.current_time()
            turn.timeline.mark("t5_cache" if mark == "cache" else "t5_tts", now_s)
            mouth.playout.cut_filler()
            self._utterance = mouth.playout.utter(self._source, complete=False, generation=self._generation)
            turn.utterance_id = self._utterance.id
            if turn.decision is not None:
                mouth.services.waits.note(turn.decision.path, waited_ms(turn, now_s))
            mouth.post(ReplyReady(turn.number, self._interruptible, self._ending))
        return self._utterance


def waited_ms(turn: Turn | None, now_s: float) -> float:
    """How long the answer to a turn has been awaited."""
    ended_s = turn.timeline.at_s("t_eos") if turn is not None else None
    return 0.0 if ended_s is None else max(0.0, (now_s - ended_s) * 1000)
