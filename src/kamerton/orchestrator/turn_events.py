"""What the turn machine learns (past tense) and what it asks for (imperative). Values only."""

from __future__ import annotations

from dataclasses import dataclass

from kamerton.domain.dialogue import Completeness
from kamerton.listening.segmenter import SegmentEvent


@dataclass(frozen=True, slots=True)
class WordsHeard:
    """Words of the open turn became known."""

    turn: int
    completeness: Completeness
    backchannel: bool
    """Nothing but «угу», «ага» …, or no words at all."""


@dataclass(frozen=True, slots=True)
class FinalHeard:
    """The transcript of an ended turn is there; `words` is False when it is empty, `failed` when there is none."""

    turn: int
    words: bool
    failed: bool = False


@dataclass(frozen=True, slots=True)
class TimerFired:
    """An armed timer is due."""

    name: str


@dataclass(frozen=True, slots=True)
class ReplyReady:
    """The reply has audio and starts to play."""

    interruptible: bool
    closing: bool
    """The call ends after it."""


@dataclass(frozen=True, slots=True)
class BotSettled:
    """An utterance of the bot ended. `last` is True when nothing else of it waits to be played."""

    filler: bool
    played: bool
    last: bool


@dataclass(frozen=True, slots=True)
class StopPressed:
    """The caller pressed «stop talking»."""


@dataclass(frozen=True, slots=True)
class KeysPressed:
    """The caller typed on the phone's keys; what they typed stands as a turn of its own once the gap has passed."""

    first: bool = True
    """False for the further keys of the same number."""


MachineEvent = SegmentEvent | WordsHeard | FinalHeard | TimerFired | ReplyReady | BotSettled | StopPressed | KeysPressed


@dataclass(frozen=True, slots=True)
class OpenTurn:
    """Let the recogniser hear a turn. `continues` is True when it goes on with the turn before."""

    turn: int
    onset_s: float
    continues: bool = False


@dataclass(frozen=True, slots=True)
class PauseTurn:
    """Tell the recogniser that the caller paused."""


@dataclass(frozen=True, slots=True)
class ResumeTurn:
    """Tell the recogniser that the caller goes on."""


@dataclass(frozen=True, slots=True)
class EndTurn:
    """The turn is over: ask for its final transcript."""

    because: str
    ended_s: float


@dataclass(frozen=True, slots=True)
class AbandonTurn:
    """It was no turn."""


@dataclass(frozen=True, slots=True)
class Duck:
    """Play softer."""


@dataclass(frozen=True, slots=True)
class Unduck:
    """Play at full level again."""


@dataclass(frozen=True, slots=True)
class Hold:
    """Fall silent, ready to resume."""


@dataclass(frozen=True, slots=True)
class Resume:
    """Go on from the clause boundary."""


@dataclass(frozen=True, slots=True)
class Cut:
    """Stop for good whatever the bot says or is about to say."""


@dataclass(frozen=True, slots=True)
class CancelThinking:
    """Drop the reply that is being prepared."""


@dataclass(frozen=True, slots=True)
class Think:
    """Prepare and play the reply to the turn; `failed` when its words are not known."""

    failed: bool = False


@dataclass(frozen=True, slots=True)
class SayFiller:
    """Cover the wait."""

    first: bool


@dataclass(frozen=True, slots=True)
class SayPrompt:
    """Say a system phrase; the call ends after it when `closing`."""

    key: str
    closing: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of an intrusion: yielded, resumed or ignored."""

    verdict: str
    onset_s: float


@dataclass(frozen=True, slots=True)
class Arm:
    """Fire the timer at an instant; re-arming moves it."""

    name: str
    at_s: float


@dataclass(frozen=True, slots=True)
class Disarm:
    """Forget the timer."""

    name: str


@dataclass(frozen=True, slots=True)
class EndCall:
    """Hang up."""

    reason: str


Effect = (
    OpenTurn
    | PauseTurn
    | ResumeTurn
    | EndTurn
    | AbandonTurn
    | Duck
    | Unduck
    | Hold
    | Resume
    | Cut
    | CancelThinking
    | Think
    | SayFiller
    | SayPrompt
    | Verdict
    | Arm
    | Disarm
    | EndCall
)
