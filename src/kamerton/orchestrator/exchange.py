"""One exchange: what the caller said, what was decided, what was said back and heard, with its marks."""

from __future__ import annotations

from dataclasses import dataclass, field

from kamerton.domain.notices import SpeculationRecord, TurnFinished, TurnPath
from kamerton.observability.timeline import Timeline
from kamerton.orchestrator.decision import Decision
from kamerton.orchestrator.model_reply import ModelReply
from kamerton.orchestrator.utterance import Settled


@dataclass(slots=True, eq=False)
class Exchange:
    """The record of one exchange while it goes on. Not shared between tasks other than those of its call."""

    index: int
    path: TurnPath
    state_before: str = ""
    timeline: Timeline = field(default_factory=Timeline)
    readings: tuple[str, ...] = ()
    decision: Decision | None = None
    ended_because: str = ""
    utterance_id: int | None = None
    """The utterance that answers; its outcome finishes the exchange."""
    model_reply: ModelReply | None = None
    speculation: SpeculationRecord = field(default_factory=SpeculationRecord)
    taken_back: bool = False
    """The turn went on: its words belong to the next exchange."""

    def finished(self, settled: Settled, state_after: str) -> TurnFinished:
        """The record to publish, now that the answer is settled."""
        decision = self.decision
        intent = decision.intent if decision else None
        return TurnFinished(
            index=self.index,
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

    @property
    def user_text(self) -> str:
        """What the caller said: the reading that was acted upon, else the best one."""
        if self.decision and self.decision.text:
            return self.decision.text
        return self.readings[0] if self.readings else ""
