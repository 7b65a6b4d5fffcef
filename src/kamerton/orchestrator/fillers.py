"""What covers a wait: the state's own fillers in order, else one that suits the wait, then neutral ones. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from statistics import median
from typing import Final

from kamerton.domain.notices import TurnPath

SHORT_GROUP: Final = "short"
"""Sounds and single words («Угу.»); optional."""
FIRST_GROUP: Final = "thinking"
"""Phrases that open a wait («Секунду, смотрю.»)."""
ECHO_GROUP: Final = "echo"
"""Templates that take the topic up («Про {topic}, сейчас скажу.»); optional, never said without a topic."""
NEUTRAL_GROUP: Final = "still_working"
"""What is said for as long as the wait goes on."""

SHORT_BELOW_MS: Final = 1000.0
"""A wait that should end sooner than this is covered by a sound: a phrase would be cut off in its middle."""
ECHO_FROM_MS: Final = 1500.0
"""A wait that should last longer than this leaves an echo, some two seconds, time to be understood."""
MAX_TOPIC_CHARS: Final = 40
"""A longer topic is a sentence, and is not repeated to the caller."""

_TOPIC: Final = "{topic}"
_RECENT_WAITS: Final = 15
_FIRST_GUESS_MS: Final = {"scenario": 400.0, "cache": 300.0, "faq": 400.0, "llm": 1200.0, "tool": 2500.0}
_UNKNOWN_MS: Final = 1200.0


@dataclass(frozen=True, slots=True)
class Filler:
    """What to say now."""

    text: str
    cuttable: bool
    """True for one that ends, with a fade, the moment the answer has audio; a state's own filler is played out."""


@dataclass(frozen=True, slots=True)
class FillerWait:
    """A wait that a filler is asked for."""

    first: bool
    """True when nothing was asked for in this wait yet: a new wait begins."""
    remaining_ms: float
    """How much longer it should last."""
    own: Sequence[str] = ()
    """The fillers of the state that is being worked on, in order."""
    topic: str = ""
    """What the caller asked about, in the case that the templates want; empty when it is not known."""


class _Said(Enum):
    """What this wait has heard of the neutral fillers."""

    NOTHING = "nothing"
    SOUND = "sound"
    PHRASE = "phrase"


class FillerSchedule:
    """Chooses the fillers of one call: never one that sounds like the one before it, in whatever wait that was.

    The state's own fillers come first, in order. Then a first neutral one is chosen by the expected rest of the wait: a
    sound, a phrase, or an echo of the topic. A sound is followed by a phrase; after that the neutral group takes turns.
    Only what is at hand is said, and what is not is passed over.

    Args:
        groups: texts of the assistant's groups of fillers.
    """

    def __init__(self, groups: Mapping[str, Sequence[str]]) -> None:
        self._groups = groups
        self._turns: dict[str, int] = {}
        self._last = ""
        self._own_passed = 0
        self._said = _Said.NOTHING

    def next(self, wait: FillerWait, at_hand: Callable[[str], bool]) -> Filler | None:
        """The filler to say now; it counts as said. None when there is nothing else than what was said last.

        Args:
            wait: the wait that it is to cover.
            at_hand: whether a text's audio is ready.
        """
        if wait.first:
            self._own_passed = 0
            self._said = _Said.NOTHING
        while self._own_passed < len(wait.own):
            text = wait.own[self._own_passed]
            self._own_passed += 1
            if self._fresh(text) and at_hand(text):
                self._said = _Said.PHRASE
                return self._say(text, cuttable=False)
        for group in self._order(wait):
            for turn, text in self._from_group(group, wait.topic):
                if self._fresh(text) and at_hand(text):
                    self._turns[group] = turn + 1
                    self._said = _Said.SOUND if group == SHORT_GROUP else _Said.PHRASE
                    return self._say(text, cuttable=True)
        return None

    def echo(self, topic: str) -> str | None:
        """The echo that `next` would choose for a topic: render it ahead, so that it is at hand."""
        return next((text for _, text in self._from_group(ECHO_GROUP, topic) if self._fresh(text)), None)

    def _order(self, wait: FillerWait) -> tuple[str, ...]:
        """Groups in order of preference; the later ones only help out."""
        if self._said is _Said.PHRASE:
            return NEUTRAL_GROUP, FIRST_GROUP, SHORT_GROUP
        if self._said is _Said.SOUND:
            return FIRST_GROUP, NEUTRAL_GROUP, SHORT_GROUP
        if wait.remaining_ms < SHORT_BELOW_MS:
            return SHORT_GROUP, FIRST_GROUP, NEUTRAL_GROUP
        if wait.remaining_ms >= ECHO_FROM_MS:
            return ECHO_GROUP, FIRST_GROUP, NEUTRAL_GROUP, SHORT_GROUP
        return FIRST_GROUP, NEUTRAL_GROUP, SHORT_GROUP

    def _from_group(self, group: str, topic: str) -> Iterator[tuple[int, str]]:
        """Texts of a group with their turns, beginning with the one whose turn it is."""
        texts = self._groups.get(group, ())
        if group == ECHO_GROUP and not _is_topic(topic):
            return
        turn = self._turns.get(group, 0)
        for later in range(turn, turn + len(texts)):
            text = texts[later % len(texts)]
            yield later, _about(text, topic) if group == ECHO_GROUP else text

    def _fresh(self, text: str) -> bool:
        return bool(_sound(text)) and _sound(text) != _sound(self._last)

    def _say(self, text: str, *, cuttable: bool) -> Filler:
        self._last = text
        return Filler(text, cuttable)


class ExpectedWait:
    """How long answers take, learned from the last ones of each path. May be shared by the calls of an assistant."""

    def __init__(self) -> None:
        self._waits: dict[TurnPath, deque[float]] = {}

    def note(self, path: TurnPath, waited_ms: float) -> None:
        """The first audio of an answer was in hand this long after the turn ended."""
        self._waits.setdefault(path, deque(maxlen=_RECENT_WAITS)).append(waited_ms)

    def remaining_ms(self, path: TurnPath | None, waited_ms: float) -> float:
        """How much longer a wait should last.

        The median of the recent waits that were longer than this one is already. A wait that is longer than all of them
        is expected to last as long again.

        Args:
            path: where the answer comes from; None while that is not decided.
            waited_ms: how long this wait has lasted, from the end of the turn.
        """
        recent = self._waits.get(path) if path is not None else None
        waits = list(recent) if recent else [_FIRST_GUESS_MS.get(path or "", _UNKNOWN_MS)]
        longer = [wait_ms for wait_ms in waits if wait_ms > waited_ms]
        return median(longer) - waited_ms if longer else waited_ms


def _is_topic(topic: str) -> bool:
    return 0 < len(topic.strip()) <= MAX_TOPIC_CHARS and "\n" not in topic


def _about(template: str, topic: str) -> str:
    text = template.replace(_TOPIC, topic.strip())
    return text[:1].upper() + text[1:]


def _sound(text: str) -> str:
    """What of a text is heard: no case, no punctuation."""
    return "".join(character for character in text.casefold() if character.isalnum())
