"""A pure segmenter: judged windows in, "suspected, started, paused, resumed" out. No clock, no I/O.

Durations are counted in audio, instants are those at which the audio arrived.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from kamerton.listening.vad_channel import VadWindow


@dataclass(frozen=True, slots=True)
class SegmenterSettings:
    """Thresholds of the segmenter."""

    start_probability: float = 0.5
    """A window at or above it sounds like speech."""
    stop_probability: float = 0.35
    """A window below it sounds like no speech."""
    start_ms: float = 90.0
    """Speech needed before it counts as started (three windows)."""
    loud_lead_ms: float = 300.0
    """How far before the first speech-like window unbroken sound may move the onset: «с», «ш», «х» are loud well
    before the network calls them speech."""
    loud_gap_ms: float = 120.0
    """Quiet inside that lead that does not break it (the closure of «т» in «сто»)."""
    loud_credit_ms: float = 60.0
    """How much of that lead counts towards `start_ms`."""
    sound_ms: float = 60.0
    """A plain sound this long is suspected to be speech before the network says so."""
    sound_patience_ms: float = 400.0
    """How long a sound that the network does not call speech stays suspected."""
    suspicion_gap_ms: float = 130.0
    """Silence after which a suspicion is dropped."""
    pause_ms: float = 80.0
    """Silence after which speech counts as paused (three windows, two and a bit of true silence)."""


@dataclass(frozen=True, slots=True)
class SpeechSuspected:
    """A first window sounds like speech; it began around `onset_s`."""

    onset_s: float


@dataclass(frozen=True, slots=True)
class SuspicionDropped:
    """It was a click, a cough or nothing."""


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """Somebody speaks since `onset_s`."""

    onset_s: float


@dataclass(frozen=True, slots=True)
class SpeechPaused:
    """No speech since `ended_s`; the turn may or may not be over."""

    ended_s: float
    spoken_ms: float
    """Length of the stretch from onset to here."""


@dataclass(frozen=True, slots=True)
class SpeechResumed:
    """Speech goes on after a pause."""

    at_s: float


SegmentEvent = SpeechSuspected | SuspicionDropped | SpeechStarted | SpeechPaused | SpeechResumed


class Phase(Enum):
    """Where the segmenter stands."""

    SILENCE = "silence"
    SUSPICION = "suspicion"
    SPEECH = "speech"
    PAUSE = "pause"


class SegmenterState(NamedTuple):
    """Everything the segmenter remembers. A tuple, since a changed copy is made for most windows of speech."""

    phase: Phase = Phase.SILENCE
    onset_s: float = 0.0
    last_speech_end_s: float = 0.0
    speech_ms: float = 0.0
    silence_ms: float = 0.0
    loud_since_s: float | None = None
    """Where the sound that now goes on rose above the line's noise."""

    @property
    def at_rest(self) -> bool:
        """One more window of silence would change nothing."""
        return self.phase is Phase.SILENCE and self.loud_since_s is None


def step(
    state: SegmenterState, window: VadWindow, settings: SegmenterSettings
) -> tuple[SegmenterState, SegmentEvent | None]:
    """Take one window into account.

    The end of speech is placed inside the window by its quiet tail: the network's probability lags the true end by
    up to three windows, energy does not.
    """
    speech = window.probability >= settings.start_probability
    silence = window.probability < settings.stop_probability
    start_s = window.end_s - window.length_ms / 1000
    ended_s = window.end_s - window.quiet_tail_ms / 1000
    match state.phase:
        case Phase.SILENCE:
            return _silence(state, window, settings, speech)
        case Phase.SUSPICION:
            return _suspicion(state, window, settings, speech, ended_s)
        case Phase.SPEECH:
            return _speech(state, window, settings, silence, ended_s)
        case Phase.PAUSE:
            if not speech:
                return state._replace(silence_ms=state.silence_ms + window.length_ms), None
            resumed = state._replace(phase=Phase.SPEECH, silence_ms=0.0, last_speech_end_s=ended_s)
            return resumed, SpeechResumed(start_s)


def _silence(
    state: SegmenterState, window: VadWindow, settings: SegmenterSettings, speech: bool
) -> tuple[SegmenterState, SegmentEvent | None]:
    start_s = window.end_s - window.length_ms / 1000
    gated = window.quiet_tail_ms >= window.length_ms
    since_s = start_s if state.loud_since_s is None else state.loud_since_s
    if speech:
        onset_s = max(since_s, start_s - settings.loud_lead_ms / 1000)
        credit_ms = min((start_s - onset_s) * 1000, settings.loud_credit_ms)
        suspected = SegmenterState(Phase.SUSPICION, onset_s, window.end_s, window.length_ms + credit_ms)
        return suspected, SpeechSuspected(onset_s)
    if gated:
        if state.loud_since_s is None:
            return state, None
        quiet_ms = state.silence_ms + window.length_ms
        return (state._replace(silence_ms=quiet_ms) if quiet_ms < settings.loud_gap_ms else SegmenterState()), None
    sounding = state._replace(loud_since_s=since_s, silence_ms=0.0)
    sound_ms = (window.end_s - since_s) * 1000
    # Only a sound that has just begun: one that was suspected in vain is not suspected again while it lasts.
    if window.loud and settings.sound_ms <= sound_ms < settings.sound_ms + 2 * window.length_ms:
        return SegmenterState(Phase.SUSPICION, since_s, window.end_s), SpeechSuspected(since_s)
    return sounding, None


def _suspicion(
    state: SegmenterState, window: VadWindow, settings: SegmenterSettings, speech: bool, ended_s: float
) -> tuple[SegmenterState, SegmentEvent | None]:
    if not speech:
        sound_ms = (window.end_s - state.onset_s) * 1000
        if window.loud and sound_ms < settings.sound_patience_ms:
            return state._replace(silence_ms=0.0), None
        silence_ms = state.silence_ms + window.length_ms
        if silence_ms >= settings.suspicion_gap_ms:
            return SegmenterState(loud_since_s=state.onset_s if window.loud else None), SuspicionDropped()
        return state._replace(silence_ms=silence_ms), None
    start_s = window.end_s - window.length_ms / 1000
    lead_ms = min((start_s - state.onset_s) * 1000, settings.loud_credit_ms) if not state.speech_ms else 0.0
    speech_ms = state.speech_ms + window.length_ms + lead_ms
    grown = state._replace(speech_ms=speech_ms, silence_ms=0.0, last_speech_end_s=ended_s)
    if speech_ms < settings.start_ms:
        return grown, None
    return grown._replace(phase=Phase.SPEECH), SpeechStarted(state.onset_s)


def _speech(
    state: SegmenterState, window: VadWindow, settings: SegmenterSettings, silence: bool, ended_s: float
) -> tuple[SegmenterState, SegmentEvent | None]:
    if not silence:
        # Energy says where sound ends even while the network still says speech.
        silence_ms = window.quiet_tail_ms
        return state._replace(silence_ms=silence_ms, last_speech_end_s=ended_s), None
    silence_ms = state.silence_ms + window.length_ms
    if silence_ms < settings.pause_ms:
        return state._replace(silence_ms=silence_ms), None
    spoken_ms = (state.last_speech_end_s - state.onset_s) * 1000
    return state._replace(phase=Phase.PAUSE, silence_ms=silence_ms), SpeechPaused(state.last_speech_end_s, spoken_ms)
