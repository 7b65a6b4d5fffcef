"""The bot's side of a call: answers, fillers and system phrases, and what became of each of them."""

from __future__ import annotations

import logging
import math
from typing import Final

import anyio
from anyio.abc import TaskGroup

from kamerton.domain.errors import EngineError
from kamerton.domain.notices import ErrorOccurred, MindState, MindStateChanged, TranscriptUpdated, TurnPath
from kamerton.orchestrator.decision import Decision, ModelQuestion
from kamerton.orchestrator.fillers import FillerSchedule, FillerWait
from kamerton.orchestrator.ledger import Ledger, Turn
from kamerton.orchestrator.model_reply import FreeTalk
from kamerton.orchestrator.reply import Mouth, Reply, waited_ms
from kamerton.orchestrator.turn_events import Ending, FillerStarted
from kamerton.orchestrator.utterance import Settled, Utterance

log = logging.getLogger(__name__)

PROMPT_PATHS: Final[dict[str, TurnPath]] = {
    "not_heard": "fallback",
    "cannot_hear": "fallback",
    "line_goodbye": "fallback",
    "operator_unavailable": "fallback",
    "apology": "error",
    "recognition_goodbye": "error",
}
"""How a turn was answered by a system phrase; those that answer nobody are of the path `silence`."""


_LAST_WORDS: Final = 8
"""Some three seconds of speech: an echo brings no older words back."""


class Replies:
    """Answers the turns of one call. Replies are prepared in tasks of the call's group, one at a time."""

    def __init__(self, mouth: Mouth, ledger: Ledger, fillers: FillerSchedule, free_talk: FreeTalk | None) -> None:
        self._mouth = mouth
        self._ledger = ledger
        self._fillers = fillers
        self._free_talk = free_talk
        self._tasks: TaskGroup | None = None
        self._sounding: Utterance | None = None
        self._silent_since_s = -math.inf
        self._preparing = anyio.CancelScope()
        self._speculating = anyio.CancelScope()

    def start(self, tasks: TaskGroup) -> None:
        """Say the greeting; from now on replies run in this group."""
        self._tasks = tasks
        if self._free_talk is not None:
            self._free_talk.start(tasks)
        conversation = self._mouth.conversation
        turn = self._ledger.open(0, "greeting", conversation.session.current_state_id)
        turn.decision = conversation.opening
        self._launch(Reply(self._mouth, turn, "greeting"))

    def close(self) -> None:
        """The group is over: nothing more is started, but what was said can still be settled."""
        self._tasks = None

    def think(self, number: int) -> None:
        """Answer a turn."""
        turn = self._ledger.find(number)
        if turn is not None:
            self._launch(Reply(self._mouth, turn, "prompt" if turn.phrases else "reply"))

    def prompt(self, number: int, key: str, ending: Ending) -> None:
        """Say a system phrase: as the answer to a turn, or under a number of its own."""
        path = PROMPT_PATHS.get(key, "silence")
        turn = self._ledger.find(number) or self._ledger.open(
            number, path, self._mouth.conversation.session.current_state_id
        )
        turn.path, turn.phrases, turn.ending = path, (self._mouth.services.phrases[key],), ending
        self.drop_ahead(number)
        self._launch(Reply(self._mouth, turn, "prompt"))

    def filler(self, number: int, first: bool) -> bool:
        """Cover the wait for an answer, if the assistant has something at hand for it; returns whether it has.

        Args:
            number: of the turn whose answer is awaited; its words may not be known yet.
            first: nothing was said in this wait yet.
        """
        turn = self._ledger.find(number)
        decision = turn.decision if turn is not None else None
        path = decision.path if decision is not None else None
        remaining_ms = self._mouth.services.waits.remaining_ms(path, waited_ms(turn, anyio.current_time()))
        own = tuple(item.text for item in decision.fillers) if decision is not None else ()
        filler = self._fillers.next(FillerWait(first, remaining_ms, own, _topic(decision)), self._at_hand)
        clip = self._mouth.services.voice.cached(filler.text, self._mouth.format) if filler is not None else None
        if filler is None or clip is None:
            return False
        self._mouth.playout.utter("filler", clip).plays_out = not filler.cuttable
        return True

    def stop(self) -> None:
        """Prepare no more of the answer."""
        self._preparing.cancel()

    def take_floor(self, number: int, over: int, onset_s: float) -> None:
        """A turn takes the floor from the answer to another, and goes on with that one if it can be no reaction."""
        turn, earlier = self._ledger.find(number), self._ledger.find(over)
        patience = self._mouth.services.call.patience
        if turn is None or earlier is None:
            return
        if earlier.goes_on_at(onset_s, patience.premature_ms / 1000, patience.reaction_ms / 1000):
            self._mouth.conversation.take_back(earlier)
            turn.continues = earlier
            turn.state_before = self._mouth.conversation.session.current_state_id

    def ahead(self, number: int, readings: tuple[str, ...], whole: bool) -> None:
        """Prepare the answer to words that may turn out to be the whole turn; `whole`: they sound like it."""
        if self._mouth.conversation.prepares(readings, whole=whole):
            return
        self._speculating.cancel()
        self._speculating = anyio.CancelScope()
        if self._tasks is not None:
            self._tasks.start_soon(self._speculate, number, readings, whole, self._speculating)

    def drop_ahead(self, number: int) -> None:
        """The turn came to nothing: what was prepared for it is not wanted."""
        self._mouth.conversation.drop_ahead(number)

    def commit(self, number: int) -> None:
        """The answer starts to sound: the conversation moves on."""
        turn = self._ledger.find(number)
        if turn is not None and turn.path != "greeting" and not turn.phrases:
            self._mouth.conversation.commit(turn)

    def said_lately(self, within_s: float) -> str:
        """The last words of what is being said, or was until `within_s` ago."""
        utterance = self._sounding
        if utterance is None or anyio.current_time() - self._silent_since_s > within_s:
            return ""
        return " ".join(utterance.heard_text(utterance.taken_samples).split()[-_LAST_WORDS:])

    def on_started(self, utterance: Utterance) -> None:
        """Playout sends the first frame of an utterance."""
        self._sounding, self._silent_since_s = utterance, math.inf
        self._mouth.publish(MindStateChanged(MindState.SPEAKING, utterance.source))
        if utterance.source == "filler":
            self._mouth.post(FillerStarted())
            return
        turn = self._ledger.spoken_as(utterance.id)
        if turn is not None:
            turn.timeline.mark("t6", anyio.current_time())
            self._mouth.publish(TranscriptUpdated("bot", utterance.text, final=False, turn=turn.number))

    def settled(self, settled: Settled) -> None:
        """An utterance has its outcome: publish the turn that it answered."""
        if self._sounding is not None and self._sounding.id == settled.utterance_id:
            self._silent_since_s = anyio.current_time()
        turn = self._ledger.spoken_as(settled.utterance_id)
        if turn is None:
            return
        self._mouth.publish(TranscriptUpdated("bot", settled.heard_text, final=True, turn=turn.number))
        self._remember(turn, settled)
        session = turn.decision.session if turn.decision else self._mouth.conversation.session
        self._mouth.publish(turn.finished(settled, session.current_state_id))

    def _remember(self, turn: Turn, settled: Settled) -> None:
        """Only what the caller heard enters the history, and only an answer heard to its end may be given again."""
        if self._free_talk is not None and not turn.taken_back:
            self._free_talk.remember(turn.user_text, settled.heard_text)
        reply, learner = turn.model_reply, self._mouth.services.model_answers
        played = settled.outcome == "played"
        if reply is not None and reply.whole and played and learner is not None and self._tasks is not None:
            personal = tuple(self._mouth.conversation.session.variables.values())
            self._tasks.start_soon(learner.learn, reply.question.text, reply.text, personal)

    def _launch(self, reply: Reply) -> None:
        self.stop()
        self._preparing = reply.scope
        if self._tasks is not None:
            self._tasks.start_soon(reply.run)

    def render_echo(self, question: ModelQuestion) -> None:
        """Have a filler that takes the question up made, while the model thinks."""
        echo = self._fillers.echo(question.text.rstrip(" .?!…"))
        if echo is not None and self._tasks is not None and not self._at_hand(echo):
            self._tasks.start_soon(self._prepared, echo)

    async def _prepared(self, text: str) -> None:
        try:
            await self._mouth.services.voice.clip(text, self._mouth.format)
        except EngineError as error:
            log.warning("a filler could not be made", extra={"reason": str(error)})

    def _at_hand(self, text: str) -> bool:
        """Whether a filler's audio is ready: one that must first be made comes too late to cover anything."""
        return self._mouth.services.voice.cached(text, self._mouth.format) is not None

    async def _speculate(self, number: int, readings: tuple[str, ...], whole: bool, scope: anyio.CancelScope) -> None:
        with scope:
            try:
                await self._mouth.conversation.speculate(number, readings, self._mouth.format, whole=whole)
            except EngineError as error:
                # The reply itself will meet the same fault and answer for it.
                self._mouth.publish(ErrorOccurred("Не получилось подготовить ответ заранее.", str(error), part="tts"))


def _topic(decision: Decision | None) -> str:
    """What the caller asked the model about, in their own words."""
    return decision.question.text.rstrip(" .?!…") if decision is not None and decision.question is not None else ""
