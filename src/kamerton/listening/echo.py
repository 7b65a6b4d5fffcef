"""The assistant's own voice, when it comes back: found, followed and taken for silence; a caller above it is not.

While our voice is on the line, and for the longest delay after it, each window that is not silent is compared with what
was said. Where no echo is known yet, patterns are compared at every delay (`echo_pattern`). Three windows found at one
delay make a path, and from then on it is expected (`echo_path`): only what exceeds the usual deviation is a caller.
When nothing was said in time, nothing is taken for an echo, whatever was learned before.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

import numpy as np

from kamerton.listening.echo_bands import BANDS, NOTHING_DB, BandMeter
from kamerton.listening.echo_memory import CONTEXT, HOPS, HOPS_PER_WINDOW, HeardLine, SentVoice
from kamerton.listening.echo_path import LEEWAY, EchoPath, expect
from kamerton.listening.echo_pattern import DELAYS, FRESH, Fit, Patterns, compare, every_delay
from kamerton.listening.silero import WINDOW_SHAPES, Floats, WindowShape

log = logging.getLogger(__name__)

REACH_S: Final = 0.7
"""How long after our voice its echo may arrive: the longest delay and a room's tail."""

_NEW_WINDOWS: Final = 45
"""A line on which that many windows (1.4 s) were silent within reach of our voice has no echo, until one is found."""
_FIRST_LIMIT: Final = 0.40
"""What a pattern may leave unexplained to be an echo: in the first window of a sound, on a new line."""
_NEW_LIMIT: Final = 0.50
"""In its further windows."""
_UNLIKELY_LIMIT: Final = 0.30
"""On a line that had no echo so far."""
_LEAST_LOSS_DB: Final = 7.0
"""Hybrids and loudspeakers lose more (ITU-T G.168 reckons with 6 dB at the worst). What seems to come back louder is a
caller's voice that is by chance a little like ours: of 180 callers on a line without an echo 15 were taken for one,
with this limit 4."""
_LOUD_FRESH_LIMIT: Final = 0.20
"""What the newest windows alone may leave of an echo that would be louder than that."""
_FRESH_LIMIT: Final = 0.50
"""What the newest windows alone may leave."""
_KNOWN_LIMIT: Final = 0.36
"""Where an echo is known, to be that echo moved or grown louder although it looks like a caller."""
_KNOWN_FRESH_LIMIT: Final = 0.40
"""What the newest windows alone may leave when it is neither."""
_LOUDER_DB: Final = 5.0
"""An echo that is louder by that much is a new one (somebody turned the loudspeaker up)."""
_FINDS: Final = 3
"""Windows found at one delay that make a path."""
_FIND_LIFE_S: Final = 3.0
"""How long a find counts towards one."""
_ALIKE_HOPS: Final = 2
"""How far apart they may be."""
_RECHECK_WINDOWS: Final = 8
"""On a line without an echo every eighth window of a sound is compared, in case that it has got one."""
_RECHECK_REACH_S: Final = 0.3
"""How much of the reach must be left for that: an answer that begins as our voice has ended is not compared."""
_SOUND_ENDS_WINDOWS: Final = 4
_SILENT_TOGETHER: Final = 32

_LEAST_NOISE_DB: Final = -80.0
_LEAST_FLOOR_DB: Final = -72.0
"""Nothing below it is compared."""
_ABOVE_NOISE_DB: Final = 4.0
"""How far noise reaches above its mean in a band."""

_NOTHING_SENT: Final[Floats] = np.full((HOPS, BANDS), NOTHING_DB, dtype=np.float32)
_AROUND: Final = np.arange(-LEEWAY - 1, LEEWAY + 2)
"""Delays at which a known echo may be found."""


@dataclass(frozen=True, slots=True)
class EchoEstimate:
    """What is known of a call's echo."""

    delay_ms: float
    """From the instant of sending to its return, the far end's buffers included."""
    return_loss_db: float
    """How much softer it is than what was sent."""


class _Find(NamedTuple):
    at_s: float
    delay: int
    gains_db: Floats


class CallEcho:
    """One call's echo: what was said and heard lately, and what is known of the way between them."""

    __slots__ = (
        "_finds",
        "_floor_windows",
        "_noise_db",
        "_quiet",
        "_silent",
        "_unanswered",
        "heard",
        "path",
        "reaches_s",
        "sent",
        "shape",
        "sound",
    )

    def __init__(self, shape: WindowShape) -> None:
        self.shape = shape
        self.sent = SentVoice(shape)
        self.heard = HeardLine(shape)
        self.path: EchoPath | None = None
        self.reaches_s = 0.0
        """Up to when what arrives may be an echo."""
        self.sound = 0
        """Windows of the sound that now goes on."""
        self._quiet = 0
        self._unanswered = 0
        self._silent: list[tuple[bytes, float]] = []
        """Silent windows that arrived within reach and are not counted yet."""
        self._finds: deque[_Find] = deque(maxlen=2 * _FINDS)
        self._noise_db: Floats = np.full(BANDS, _LEAST_NOISE_DB, dtype=np.float32)
        self._floor_windows = 0

    @property
    def estimate(self) -> EchoEstimate | None:
        """The echo as it is known; None while there is none."""
        path = self.path
        if path is None:
            return None
        delay_ms = path.delay_hops * self.shape.window_ms / HOPS_PER_WINDOW
        return EchoEstimate(round(delay_ms, 1), round(path.return_loss_db, 1))

    @property
    def floor_db(self) -> Floats:
        """What the line's noise alone reaches in each band."""
        floor: Floats = np.maximum(self._noise_db + np.float32(_ABOVE_NOISE_DB), np.float32(_LEAST_FLOOR_DB))
        return floor

    def said(self, pcm: bytes, now_s: float) -> None:
        """A frame of our voice leaves."""
        self.sent.said(pcm, now_s)
        self.reaches_s = now_s + REACH_S

    def arrived(self, pcm: bytes, at_s: float, silent: bool) -> bool:
        """A window arrived within reach; True when it is to be compared with what was said."""
        if silent:
            self.fell_silent((pcm, at_s))
            if self.path is None:
                return False
        if self._silent:
            self._count_silent()
        if silent:
            return True
        self.heard.arrived(pcm, at_s, silent)
        self._quiet = 0
        self.sound += 1
        if self.path is not None or self._new:
            return True
        if not self.sound % _RECHECK_WINDOWS and at_s < self.reaches_s - _RECHECK_REACH_S:
            return True
        while self._finds and self.heard.end_s - self._finds[0].at_s > _FIND_LIFE_S:
            self._finds.popleft()
        return bool(self._finds)

    def fell_silent(self, window: tuple[bytes, float]) -> None:
        """A silent window arrived within reach, at an instant. While no echo is known nothing follows from it yet."""
        self._silent.append(window)
        if len(self._silent) >= _SILENT_TOGETHER:
            self._count_silent()

    def _count_silent(self) -> None:
        for pcm, at_s in self._silent:
            self.heard.arrived(pcm, at_s, True)
        self._quiet += len(self._silent)
        self._unanswered += len(self._silent)
        self._silent.clear()
        if self._quiet >= _SOUND_ENDS_WINDOWS:
            self.sound = 0

    def measured(self, bands: Floats) -> None:
        """The bands of the windows that arrived since the last time."""
        noise = self._noise_db
        silent = self.heard.keep(bands)
        for row, is_silent in zip(np.maximum(bands, np.float32(_LEAST_NOISE_DB)), silent, strict=True):
            if is_silent:
                self._floor_windows += 1
                noise += np.float32(max(0.1, 1 / self._floor_windows)) * (row - noise)
            else:
                noise += np.minimum(np.float32(0.3) * (row - noise), np.float32(0.03))

    def found(self, fit: Fit) -> bool:
        """Whether a window is an echo that is not known, or that is no longer as it was known."""
        path = self.path
        if fit.left >= self._limit() or fit.left_fresh >= _FRESH_LIMIT:
            return False
        if fit.return_loss_db < _LEAST_LOSS_DB and fit.left_fresh >= _LOUD_FRESH_LIMIT:
            return False
        if path is not None and abs(fit.delay - path.delay_hops) <= LEEWAY + 1:
            louder_db = float((fit.gains_db - path.gains_db).mean())
            if louder_db <= _LOUDER_DB:
                return fit.left_fresh < _KNOWN_FRESH_LIMIT
        # On a line without an echo so far, one such window proves nothing, and a caller must not wait.
        believed = path is not None or self._new
        self._find(fit)
        return believed

    def _limit(self) -> float:
        if self.path is not None:
            return _KNOWN_LIMIT
        if not self._new:
            return _UNLIKELY_LIMIT
        return _NEW_LIMIT if self.sound >= FRESH else _FIRST_LIMIT

    def lost(self) -> None:
        """The echo is gone."""
        self.path = None
        self._finds.clear()

    @property
    def _new(self) -> bool:
        """Whether the line has not had the time to show an echo."""
        return self._unanswered < _NEW_WINDOWS

    def _find(self, fit: Fit) -> None:
        self._finds.append(_Find(self.heard.end_s, fit.delay, fit.gains_db))
        alike = [find for find in self._finds if abs(find.delay - fit.delay) <= _ALIKE_HOPS]
        if len(alike) >= _FINDS:
            delay_hops = sum(find.delay for find in alike) / len(alike)
            gains_db: Floats = np.stack([find.gains_db for find in alike]).mean(axis=0)
            self.path = EchoPath(delay_hops, -float(gains_db.mean()), gains_db)
            self._finds.clear()
            self._unanswered = 0


class Silenceable(Protocol):
    """A window that can be told that it is our own voice."""

    def silence(self) -> None:
        """It is our own voice."""
        ...


class EchoWindow(NamedTuple):
    """A window that arrived while an echo may come."""

    call: CallEcho
    pcm: bytes
    arrived_s: float
    sound: Silenceable | None
    """Told when it is an echo; None when the gate has called the window silence."""


class EchoEar:
    """Judges the windows of all calls at once; everything that is remembered belongs to the calls."""

    def __init__(self) -> None:
        self._meters = {rate: BandMeter(rate, shape.window) for rate, shape in WINDOW_SHAPES.items()}
        self.failures = 0
        """Rounds of windows that could not be judged, and counted as the caller's."""
        self._failing = False

    def judge(self, windows: Sequence[EchoWindow]) -> None:
        """Silence those windows that are nothing but our own voice. All are of one rate, those of a call in order."""
        while windows:
            later: list[EchoWindow] = []
            asked: list[_Look] = []
            seen: set[CallEcho] = set()
            for window in windows:
                if window.call in seen:
                    later.append(window)
                    continue
                seen.add(window.call)
                if window.call.arrived(window.pcm, window.arrived_s, window.sound is None):
                    asked.append(_Look(window.call, window.sound))
            if asked:
                self._judge_guarded(asked)
            windows = later

    def _judge_guarded(self, looks: list[_Look]) -> None:
        try:
            self._judge(looks)
        except Exception:  # the boundary to what all calls share: without it windows count as the caller's
            self.failures += 1
            if not self._failing:
                log.exception("the echo of our own voice cannot be judged; it may interrupt us")
            self._failing = True
            return
        if self._failing:
            log.warning("the echo of our own voice is judged again")
        self._failing = False

    def _judge(self, looks: list[_Look]) -> None:
        self._measure(looks)
        callers = _follow([look for look in looks if look.call.path is not None])
        _search([look for look in looks if look.sound is not None and look.call.path is None] + callers)

    def _measure(self, looks: list[_Look]) -> None:
        """Measure what has not been measured yet, heard and sent, in one go."""
        meter = self._meters[looks[0].call.shape.rate_hz]
        heard = [look.call.heard.unmeasured() for look in looks]
        hops = [look.call.sent.hop_at(look.call.heard.end_s) for look in looks]
        sent = [look.call.sent.unmeasured(hop) for look, hop in zip(looks, hops, strict=True)]
        arrived = np.frombuffer(b"".join([pcm for pcms in heard for pcm in pcms]), "<i2").astype(np.float32)
        bands = meter.measure(np.concatenate([arrived.reshape(-1, looks[0].call.shape.window), *sent]))
        at = 0
        for look, pcms in zip(looks, heard, strict=True):
            look.call.measured(bands[at : at + len(pcms)])
            at += len(pcms)
        for look, hop, windows in zip(looks, hops, sent, strict=True):
            look.call.sent.keep(hop, bands[at : at + len(windows)])
            at += len(windows)
            look.sent = look.call.sent.block(hop)


class _Look:
    """One window that is being judged."""

    __slots__ = ("call", "sent", "sound")

    def __init__(self, call: CallEcho, sound: Silenceable | None) -> None:
        self.call = call
        self.sound = sound
        self.sent = _NOTHING_SENT


def _follow(looks: list[_Look]) -> list[_Look]:
    """Judge windows of calls whose echo is known; returns those in which a caller seems to speak."""
    known = [(look, path) for look in looks if (path := look.call.path) is not None]
    if not known:
        return []
    patterns = _patterns(looks)
    expected = expect([path for _, path in known], patterns.sent, patterns.heard[:, -1], patterns.floor)
    around = np.array([round(path.delay_hops) for _, path in known])[:, None] + _AROUND
    comparison = compare(patterns, np.clip(around, 0, DELAYS - 1))
    callers = []
    for row, (look, path) in enumerate(known):
        off_db = float(expected.off_db[row])
        shown = not np.isnan(off_db)
        if shown and not path.fits(off_db):
            look.call.lost()
        elif look.sound is None:
            path.silence()
        elif path.caller(float(expected.excess_db[row]), float(comparison.left_loose[row])):
            callers.append(look)
        else:
            look.sound.silence()
            fit = comparison.best(row)
            if fit.left < _FRESH_LIMIT:
                path.approach(fit.delay, fit.return_loss_db)
            if shown:
                path.learn(expected.gains_db[row])
    return callers


def _search(looks: list[_Look]) -> None:
    """Compare windows with everything that was said, at every delay."""
    if not looks:
        return
    comparison = compare(_patterns(looks), every_delay(len(looks)))
    for row, look in enumerate(looks):
        if look.sound is not None and look.call.found(comparison.best(row)):
            look.sound.silence()


def _patterns(looks: list[_Look]) -> Patterns:
    calls = [look.call for look in looks]
    place = np.arange(CONTEXT, 0, -1)
    known = np.array([call.heard.known for call in calls])
    fresh = np.minimum(np.array([call.sound for call in calls]), FRESH)
    return Patterns(
        np.stack([call.heard.bands for call in calls]),
        (place[None, :] <= known[:, None]).astype(np.float32),
        (place[None, :] <= fresh[:, None]).astype(np.float32),
        np.stack([look.sent for look in looks]),
        np.stack([call.floor_db for call in calls]),
    )
