"""Dialogue values: session, expectations, entities, what the classifier and the scenario decide."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, Literal


class TurnState(StrEnum):
    """Whose turn it is."""

    BOT_TURN = "BOT_TURN"
    USER_TURN = "USER_TURN"


@dataclass(frozen=True, slots=True)
class SessionState:
    """Everything the scenario knows about a call. A step makes a new one; a failed step changes nothing."""

    call_id: str
    assistant: str
    current_state_id: str
    variables: Mapping[str, Any] = field(default_factory=dict)
    state_history: tuple[str, ...] = ()
    previous_intent_leader: str | None = None
    turn_state: TurnState = TurnState.BOT_TURN
    misses: int = 0
    """Turns in a row that the current state did not understand."""


_EXACT_TO: Final = 2**53
"""Up to here a float holds every whole number exactly."""


class EntityKind(StrEnum):
    """Kinds of answers a state may expect."""

    NUMBER = "number"
    YES_NO = "yes_no"
    PHONE = "phone"


@dataclass(frozen=True, slots=True)
class Expectation:
    """What a state expects of the caller: used by endpointing, the recogniser's hint and entity extraction."""

    entity: EntityKind | None = None
    variable: str | None = None
    """Session variable that the answer fills."""
    minimum: float | None = None
    maximum: float | None = None
    units: tuple[str, ...] = ()
    """Words that may follow the number («лошадиных сил»)."""
    phrases: tuple[str, ...] = ()
    """Typical answers; hints for the recogniser."""
    intents: tuple[str, ...] = ()
    """Intents with a transition from this state."""
    ending: frozenset[str] = frozenset()
    """Those of them after which the call ends: they need plain words, since nothing can be asked afterwards."""
    consenting: frozenset[str] = frozenset()
    """Those besides `yes` that lead where `yes` leads: no refusal and no doubt may be taken for one of them."""


@dataclass(frozen=True, slots=True)
class Entities:
    """What was extracted from one utterance. `numbers` keeps their order of mention."""

    numbers: tuple[float, ...] = ()
    number_unit: str | None = None
    """The unit word said with the last number, if any of the known ones."""
    yes_no: bool | None = None
    phone: str | None = None
    negated_numbers: tuple[float, ...] = ()
    """Numbers that were rejected («не сто, а сто пятьдесят»)."""

    def as_dict(self) -> dict[str, Any]:
        """The entities that are present, for scenario code and reports: `number` is the last one said.

        Whole numbers are integers there: «150» and typed keys are no fractions.
        """
        found: dict[str, Any] = {}
        if self.numbers:
            found["number"] = _plain(self.numbers[-1])
            found["numbers"] = [_plain(number) for number in self.numbers]
        for name in ("number_unit", "yes_no", "phone"):
            value = getattr(self, name)
            if value is not None:
                found[name] = value
        if self.negated_numbers:
            found["negated_numbers"] = [_plain(number) for number in self.negated_numbers]
        return found


def _plain(number: float) -> float:
    return int(number) if float(number).is_integer() and abs(number) <= _EXACT_TO else number


class Completeness(StrEnum):
    """How finished an utterance sounds for what is expected; grades the pause that ends the turn."""

    COMPLETE = "complete"
    """Nothing could sensibly follow («да», «сто двадцать пять»)."""
    PLAUSIBLE = "plausible"
    """A whole thought, which may still go on («сорок» → «сорок два»)."""
    OPEN = "open"
    """Something is missing («сто …», «мне нужно …»)."""
    UNKNOWN = "unknown"
    """No text yet."""


@dataclass(frozen=True, slots=True)
class IntentResult:
    """The classifier's verdict. `intent` is None when a gate refused the leader; `reason` says which."""

    intent: str | None
    confidence: float
    gap: float = 0.0
    leader: str | None = None
    reason: str = ""
    text: str = ""
    """The reading of the utterance (transcript or one of its alternatives) that was judged."""
    entities: Entities = field(default_factory=Entities)


@dataclass(frozen=True, slots=True)
class FaqResult:
    """An answer found among the assistant's prepared ones."""

    faq_id: str
    question: str
    answer: str
    confidence: float
    gap: float = 0.0


class FlowResult(StrEnum):
    """How a scenario step went."""

    SUCCESS = "SUCCESS"
    EXECUTION_ERROR = "EXECUTION_ERROR"
    MISSING_ENTITY = "MISSING_ENTITY"


@dataclass(frozen=True, slots=True)
class PlaylistItem:
    """One thing to say: `cache` names a prepared phrase, `filler` a filler phrase, `tts` carries finished text.

    For all kinds `text` is what will be said; `key` is the phrase's name for `cache` and `filler`.
    """

    type: Literal["cache", "filler", "tts"]
    text: str
    key: str | None = None


@dataclass(frozen=True, slots=True)
class UserTurn:
    """One finished turn of the caller, as the scenario sees it."""

    text: str
    intent: IntentResult
    entities: Entities


@dataclass(frozen=True, slots=True)
class FlowStep:
    """Outcome of one scenario step. `matched` is False when the scenario has no line for the turn.

    When it is not matched, `session` is the session to keep if nobody else answers, and `playlist` the state's
    own «не расслышал» line for that case.
    """

    result: FlowResult
    session: SessionState
    playlist: tuple[PlaylistItem, ...]
    matched: bool = True
    action: str | None = None
    """`END_CALL` or `TRANSFER` after the playlist was played."""
    interruptible: bool = True
    fillers: tuple[PlaylistItem, ...] = ()
    """The state's own fillers, played out in order while its work takes long."""
    detail: str = ""


END_CALL = "END_CALL"
TRANSFER = "TRANSFER"
