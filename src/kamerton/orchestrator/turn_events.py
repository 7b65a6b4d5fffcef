"""What the turn machine learns (past tense) and what it asks for (imperative). Values only.

Everything a call exchanges has one number: a caller's turn, a number typed on the keys, the greeting (0), a system
phrase. The machine gives the numbers; the `Ledger` keeps what belongs to each.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum

from kamerton.domain.dialogue import Completeness
from kamerton.listening.segmenter import SegmentEvent


class Ending(Enum):
    """What becomes of the call after an answer was said: a decision's action, unchanged until it is carried out."""

    GO_ON = "go_on"
    HANG_UP = "hang_up"
    """The scenario's END_CALL, or a good-bye of ours that nothing takes back."""
    HANG_UP_UNLESS_ANSWERED = "hang_up_unless_answered"
    """The good-bye to a silent caller: whoever answers it is still there."""
    TRANSFER = "transfer"

    @property
    def closes(self) -> bool:
        """The call ends after it."""
        return self in (Ending.HANG_UP, Ending.HANG_UP_UNLESS_ANSWERED)


@dataclass(frozen=True, slots=True)
class WordsHeard:
    """Words of the open turn became known."""

    turn: int
    completeness: Completeness
    backchannel: bool
    """Nothing but «угу», «ага» …, or no words at all."""
    covers_s: float = math.inf
    """Instant up to which the caller's audio is covered by these words; infinity: all of it."""


@dataclass(frozen=True, slots=True)
class EngineEndedUtterance:
    """The recogniser itself takes the open turn to be over."""

    turn: int


@dataclass(frozen=True, slots=True)
class FinalHeard:
    """The transcript of an ended turn is there; `words` is False when it is empty, `failed` when there is none."""

    turn: int
    words: bool
    failed: bool = False
    own_voice: bool = False
    """It was nothing but our own voice, come back."""


@dataclass(frozen=True, slots=True)
class RecogniserGone:
    """The recogniser is lost and cannot be opened again."""


@dataclass(frozen=True, slots=True)
class TimerFired:
    """An armed timer is due."""

    name: str


@dataclass(frozen=True, slots=True)
class ReplyReady:
    """The answer to `turn` has audio and starts to play."""

    turn: int
    interruptible: bool
    ending: Ending


@dataclass(frozen=True, slots=True)
class ReplyFailed:
    """The answer to `turn` could not be given."""

    turn: int


@dataclass(frozen=True, slots=True)
class FillerStarted:
    """A filler can be heard."""


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
    """The caller pressed a key of the phone; the keys stand as a turn of their own once the gap has passed."""

    finished: bool = False
    """It was «#», which ends a number at once."""


@dataclass(frozen=True, slots=True)
class HoldChanged:
    """The far end put the call on hold, or took it back."""

    held: bool


@dataclass(frozen=True, slots=True)
class ServiceStopping:
    """The service wants to end: this call is to be ended politely."""


MachineEvent = (
    SegmentEvent
    | WordsHeard
    | EngineEndedUtterance
    | FinalHeard
    | RecogniserGone
    | TimerFired
    | ReplyReady
    | ReplyFailed
    | FillerStarted
    | BotSettled
    | StopPressed
    | KeysPressed
    | HoldChanged
    | ServiceStopping
)


@dataclass(frozen=True, slots=True)
class OpenTurn:
    """Let the recogniser hear a turn."""

    turn: int
    onset_s: float


@dataclass(frozen=True, slots=True)
class PauseTurn:
    """Tell the recogniser that the caller paused."""


@dataclass(frozen=True, slots=True)
class ResumeTurn:
    """Tell the recogniser that the caller goes on."""


@dataclass(frozen=True, slots=True)
class EndTurn:
    """The turn is over: ask for its final transcript."""

    turn: int
    because: str
    ended_s: float


@dataclass(frozen=True, slots=True)
class AbandonTurn:
    """The open turn was none."""


@dataclass(frozen=True, slots=True)
class ForgetTurn:
    """The ended turn held no words: nothing is to be answered."""

    turn: int


@dataclass(frozen=True, slots=True)
class OpenKeys:
    """A number begins to be typed."""

    turn: int


@dataclass(frozen=True, slots=True)
class EndKeys:
    """The typed number is complete: it stands as the turn's words."""

    turn: int


@dataclass(frozen=True, slots=True)
class DropKeys:
    """The typed digits count no more: the caller speaks instead."""


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
    """Stop for good whatever the bot says or is about to say, and prepare no more of it."""


@dataclass(frozen=True, slots=True)
class FadeFiller:
    """End a filler that can be heard, and those that wait."""


@dataclass(frozen=True, slots=True)
class FinishSentence:
    """Say no more than the clause that is being said."""


@dataclass(frozen=True, slots=True)
class TakeFloor:
    """The open turn takes the floor from the answer to the turn `over`, which it may turn out to go on with."""

    turn: int
    over: int
    onset_s: float


@dataclass(frozen=True, slots=True)
class Think:
    """Prepare and play the answer to a turn."""

    turn: int


@dataclass(frozen=True, slots=True)
class SayFiller:
    """Cover the wait for the answer to a turn."""

    turn: int
    first: bool


@dataclass(frozen=True, slots=True)
class SayPrompt:
    """Say a system phrase, under a number of its own or as the answer to a turn."""

    turn: int
    key: str
    ending: Ending = Ending.GO_ON


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
    """Hang up. `failed`: not as anybody wished."""

    reason: str
    failed: bool = False


Effect = (
    OpenTurn
    | PauseTurn
    | ResumeTurn
    | EndTurn
    | AbandonTurn
    | ForgetTurn
    | OpenKeys
    | EndKeys
    | DropKeys
    | Duck
    | Unduck
    | Hold
    | Resume
    | Cut
    | FadeFiller
    | FinishSentence
    | TakeFloor
    | Think
    | SayFiller
    | SayPrompt
    | Verdict
    | Arm
    | Disarm
    | EndCall
)
