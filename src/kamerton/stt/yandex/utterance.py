"""One turn on its way through a session: its audio until that is final, and its words. Pure; times are in ms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from kamerton.domain.audio import AudioFormat

SLACK_MS: Final = 60.0
"""A hypothesis that ends so little before a pause covers it: the service works in steps, and a pause begins 80 ms after
the last sound."""


@dataclass(slots=True)
class _Part:
    index: int
    raw: str
    refined: str | None = None
    firm: bool = False
    """Where it ends is known, so its audio need not be sent again."""


class Utterance:
    """What is said in one turn.

    Audio is kept until a final covers it, so that another session can be given it. Positions in the session's time
    are translated into the turn's own, which begins with its first frame.

    Args:
        turn: its number.
        language: code in which it is recognised.
        audio_format: of its audio.
        keep_ms: of audio that is not final, so much is kept; the oldest goes.
    """

    def __init__(self, turn: int, language: str, audio_format: AudioFormat, keep_ms: float) -> None:
        self.turn = turn
        self.language = language
        self._byte_ms = audio_format.duration_ms(1) / 2
        self._keep_bytes = 2 * audio_format.samples(keep_ms)
        self._audio = bytearray()
        self._sent_bytes = 0
        self._from_ms = 0.0
        self._start_ms = 0.0
        self._irrecoverable_ms = 0.0
        self._parts: list[_Part] = []
        self._hypothesis = ""
        self.pushed_ms = 0.0
        self.covers_ms = 0.0
        """Hypotheses and finals so far speak of so much of the turn."""
        self.begun_ms: float | None = None
        """Where in the session its audio began; None while nothing was sent."""
        self.paused_ms: float | None = None
        """How much had been pushed when the caller paused."""
        self.stable_told = False
        """The hypothesis that this pause asked for was told."""
        self.flush = False
        """Send also what does not fill a message."""
        self.ended_s: float | None = None
        self.dropped = False
        """It was no turn: its words are not wanted."""
        self.end_sent_ms: float | None = None
        """Where in the session we said that it is over; None before that."""
        self.end_sent_s = 0.0

    @property
    def ended(self) -> bool:
        """Nothing more will be pushed."""
        return self.ended_s is not None

    @property
    def unsent_bytes(self) -> int:
        """Audio that this session was not given."""
        return len(self._audio) - self._sent_bytes

    @property
    def text(self) -> str:
        """All its words so far."""
        parts = [part.raw if part.refined is None else part.refined for part in self._parts]
        return " ".join(text for text in (*parts, self._hypothesis) if text)

    @property
    def covered(self) -> bool:
        """Whether the words speak of all that was said."""
        return self.covers_ms >= self.pushed_ms - SLACK_MS

    @property
    def refined(self) -> bool:
        """Whether no normalised words are missing."""
        return all(part.refined is not None for part in self._parts)

    def push(self, pcm: bytes) -> float:
        """Add audio; returns how much went that the service never got, in ms."""
        self._audio += pcm
        self.pushed_ms += len(pcm) * self._byte_ms
        excess = len(self._audio) - self._keep_bytes
        if excess <= 0:
            return 0.0
        sent = min(excess, self._sent_bytes)
        self._irrecoverable_ms += sent * self._byte_ms
        self._advance(sent)
        unsent = excess - sent
        del self._audio[:unsent]
        self._from_ms += unsent * self._byte_ms
        return unsent * self._byte_ms

    def take(self, message_bytes: int, at_ms: float) -> bytes:
        """The audio of the next message; empty when there is not enough for one yet.

        Args:
            message_bytes: of a full message.
            at_ms: where in the session it will be.
        """
        unsent = self.unsent_bytes
        if not unsent or (unsent < message_bytes and not self.flush and not self.ended):
            return b""
        pcm = bytes(self._audio[self._sent_bytes : self._sent_bytes + message_bytes])
        if self.begun_ms is None:
            self.begun_ms = self._start_ms = at_ms
        self._sent_bytes += len(pcm)
        self.flush = self.flush and bool(self.unsent_bytes)
        return pcm

    def interposed(self, silence_ms: float) -> None:
        """Silence was sent behind its audio so far: what follows is that much later in the session."""
        self._start_ms += silence_ms

    def cover(self, session_ms: float) -> bool:
        """The service is so far in the session; False when that is behind what is known already."""
        sent_ms = self._sent_bytes * self._byte_ms
        covers_ms = self._from_ms + min(max(session_ms - self._start_ms, 0.0), sent_ms)
        if covers_ms < self.covers_ms:
            return False
        self.covers_ms = covers_ms
        return True

    def hypothesis(self, text: str, session_ms: float | None) -> bool:
        """What is said after the last final, as it seems; False when an earlier session was farther.

        Where it ends is None when that is not known.
        """
        if session_ms is not None and not self.cover(session_ms):
            return False
        self._hypothesis = text
        return True

    def final(self, index: int, text: str, session_ms: float, *, trusted: bool) -> None:
        """Words up to this place of the session are final; the place counts only when it is `trusted`."""
        self._hypothesis = ""
        self._parts.append(_Part(index, text))
        cut = int((session_ms - self._start_ms) / self._byte_ms) // 2 * 2 if trusted else 0
        if not 0 < cut <= self._sent_bytes:
            return
        self._advance(cut)
        self._irrecoverable_ms = 0.0
        self.covers_ms = max(self.covers_ms, self._from_ms)
        for part in self._parts:
            part.firm = True

    def refine(self, index: int, text: str) -> bool:
        """The normalised words of a final; False when it has no such final."""
        for part in self._parts:
            if part.index == index and part.refined is None:
                part.refined = text
                return True
        return False

    def drop(self) -> None:
        """It was no turn: forget what was not sent."""
        self.dropped = True
        del self._audio[self._sent_bytes :]

    def start_over(self) -> float:
        """The session is gone: what is not final waits to be sent anew.

        Returns:
            Audio that is not kept any more although it has no final.
        """
        loose = [part.refined or part.raw for part in self._parts if not part.firm]
        self._hypothesis = " ".join(text for text in (*loose, self._hypothesis) if text)
        self._parts = [part for part in self._parts if part.firm]
        self.settle_raw()
        lost_ms, self._irrecoverable_ms = self._irrecoverable_ms, 0.0
        self._sent_bytes, self.begun_ms, self.end_sent_ms = 0, None, None
        self.flush = self.paused_ms is not None
        return lost_ms

    def settle_raw(self) -> Utterance:
        """No normalised words follow, and indices start anew: what has none stays as it is."""
        for part in self._parts:
            part.refined = part.raw if part.refined is None else part.refined
        return self

    def _advance(self, count: int) -> None:
        """Forget the first bytes, which were sent."""
        del self._audio[:count]
        self._sent_bytes -= count
        self._from_ms += count * self._byte_ms
        self._start_ms += count * self._byte_ms
