"""The ledger of a call: of each turn, under its one number, what was asked, decided, said and heard, with its marks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from kamerton.domain.dialogue import SessionState
from kamerton.domain.notices import SpeculationRecord, TurnFinished, TurnPath
from kamerton.observability.timeline import Timeline
from kamerton.orchestrator.decision import Decision
from kamerton.orchestrator.model_reply import ModelReply
from kamerton.orchestrator.turn_events import Ending
from kamerton.orchestrator.utterance import Settled

_KEPT: Final = 16
"""Turns that may still be spoken of: the answered one, the one that goes on with it, prompts in between."""
_SENTENCE_ENDS: Final = ".!?… "


@dataclass(slots=True, eq=False)
class Turn:
    """One exchange while it goes on: a caller's turn, a typed number, the greeting, or a system phrase.

    Used by the tasks of its call only.
    """

    number: int
    path: TurnPath
    state_before: str = ""
    timeline: Timeline = field(default_factory=Timeline)
    continues: Turn | None = None
    """The unanswered turn that this one goes on with: its words come first."""
    own: tuple[str, ...] = ()
    """The possible transcripts of this turn alone, best first."""
    audio_from_s: float = 0.0
    """Instant of the first audio that the recogniser was given of it."""
    ended_because: str = ""
    decision: Decision | None = None
    session_before: SessionState | None = None
    """The session before the decision moved it; None while it has not."""
    utterance_id: int | None = None
    """The utterance that answers; its outcome finishes the turn."""
    model_reply: ModelReply | None = None
    speculation: SpeculationRecord = field(default_factory=SpeculationRecord)
    phrases: tuple[str, ...] = ()
    """System phrases that stand for its answer, instead of a decision."""
    ending: Ending = Ending.GO_ON
    """Of the call, after these phrases."""
    taken_back: bool = False
    """The caller went on: its words belong to the next turn, and what was said to it counts for nothing."""

    @property
    def readings(self) -> tuple[str, ...]:
        """What the caller may have said, with the words of the unanswered turn before it put in front."""
        return self.with_before(self.own)

    def with_before(self, own: tuple[str, ...]) -> tuple[str, ...]:
        """Possible transcripts of this turn, put behind the words that it goes on with."""
        before = self.continues.readings if self.continues is not None else ()
        if not before:
            return own
        # The recogniser took a pause for the end of a sentence, which it was not.
        first = before[0].rstrip(_SENTENCE_ENDS)
        joined = tuple(f"{first} {reading}" for reading in own) or before
        return tuple(dict.fromkeys((*joined, *own)))

    @property
    def user_text(self) -> str:
        """What the caller said: the reading that was acted upon, else the best one."""
        if self.decision and self.decision.text:
            return self.decision.text
        return next(iter(self.readings), "")

    def goes_on_at(self, onset_s: float, premature_s: float, reaction_s: float) -> bool:
        """Whether speech that began at `onset_s` goes on with this turn: it can be no reaction to its answer.

        It came before anything of the answer was heard, too soon after the turn's end, or before anybody could have
        reacted to the answer's first sound.
        """
        ended_s, first_s = self.timeline.at_s("t_eos"), self.timeline.at_s("t6")
        if ended_s is None or self.phrases:
            return False
        return first_s is None or onset_s - ended_s <= premature_s or onset_s < first_s + reaction_s

    def finished(self, settled: Settled, state_after: str) -> TurnFinished:
        """The record to publish, now that the answer is settled."""
        decision = self.decision
        intent = decision.intent if decision else None
        return TurnFinished(
            index=self.number,
            path=decision.path if decision else self.path,
            user_text=self.user_text,
            intent=intent.intent if intent else None,
            confidence=intent.confidence if intent else 0.0,
            entities=decision.entities.as_dict() if decision else {},
            state_before=self.state_before,
            state_after=state_after,
            reply_text=settled.text,
            heard_text=settled.heard_text,
            outcome=settled.outcome,
            ended_because=self.ended_because,
            marks=self.timeline.marks,
            response_ms=self.timeline.response_ms,
            spoken_from_s=settled.first_sent_s,
            spoken_to_s=settled.ended_s,
            speculation=self.speculation,
        )


class Ledger:
    """The turns of one call by number; of older ones nothing is needed any more, and nothing is kept."""

    def __init__(self) -> None:
        self._turns: dict[int, Turn] = {}

    def open(self, number: int, path: TurnPath, state: str) -> Turn:
        """Begin an entry, or begin it anew."""
        turn = self._turns[number] = Turn(number, path, state)
        while len(self._turns) > _KEPT:
            del self._turns[next(iter(self._turns))]
        return turn

    def find(self, number: int) -> Turn | None:
        """The entry under a number, if it is still kept."""
        return self._turns.get(number)

    def spoken_as(self, utterance_id: int) -> Turn | None:
        """The entry that an utterance answers."""
        return next((turn for turn in self._newest_first() if turn.utterance_id == utterance_id), None)

    def _newest_first(self) -> Iterator[Turn]:
        return reversed(self._turns.values())
