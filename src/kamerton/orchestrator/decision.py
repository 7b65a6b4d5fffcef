"""What was decided to answer a turn; a value without side effects, so it may be made ahead and dropped."""

from __future__ import annotations

from dataclasses import dataclass, field

from kamerton.domain.dialogue import Entities, FaqResult, FlowResult, FlowStep, IntentResult, PlaylistItem, SessionState
from kamerton.domain.notices import TurnPath


@dataclass(frozen=True, slots=True)
class ModelQuestion:
    """What the language model is to answer."""

    text: str
    """The caller's words."""
    situation: str = ""
    """What the scenario is doing, for the model to know."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What to answer, and the session to keep once the answer is heard."""

    path: TurnPath
    session: SessionState
    playlist: tuple[PlaylistItem, ...]
    """What to say; after the model's answer, when there is a `question`."""
    text: str = ""
    """The reading of the turn that was acted upon."""
    intent: IntentResult | None = None
    entities: Entities = field(default_factory=Entities)
    faq: FaqResult | None = None
    question: ModelQuestion | None = None
    result: FlowResult = FlowResult.SUCCESS
    action: str | None = None
    interruptible: bool = True
    fillers: tuple[PlaylistItem, ...] = ()
    detail: str = ""


def scripted(path: TurnPath, step: FlowStep, text: str, intent: IntentResult | None) -> Decision:
    """What a step of the scenario says."""
    return Decision(
        path=path,
        session=step.session,
        playlist=step.playlist,
        text=text,
        intent=intent,
        entities=intent.entities if intent else Entities(),
        result=step.result,
        action=step.action,
        interruptible=step.interruptible,
        fillers=step.fillers,
        detail=step.detail,
    )
