"""What a load run measured at its callers' wire, computed when all calls are over."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import Any, Final

import numpy as np

from kamerton.domain.audio import FRAME_MS
from kamerton.testing.caller.floor_figures import REPLY_GAP_S, CallerSound, OwnReplies
from kamerton.testing.caller.load import MISSED_AFTER_S, Exchange, LoadedCall
from kamerton.testing.caller.wire_measure import (
    BotSegment,
    ReceivedAudio,
    Sound,
    barge_in_effect,
    bot_segments,
    pacing,
)

SPURIOUS_AFTER_S: Final = REPLY_GAP_S
"""Audio after a longer silence, with nothing said in between, is a turn nobody asked for."""
MURMURS: Final = frozenset({"backchannel", "cough"})
CUT_GAP_S: Final = 0.1
WENT_ON_EXTRA_S: Final = 1.4
"""A bot that goes on may have been silent for a moment and repeat up to a second."""
SPEECH_ENDS_S: Final = 0.3
MURMUR_ENDS_S: Final = 1.5
"""How long after the caller's sound the bot's own changes may still be a reaction to it: a server may wait for the
words of a short sound that fell into its speech, and has nothing to wait for after a sentence."""
_EFFECT_AFTER_S: Final = 1.0
_FIRST_FRAMES: Final = 3
"""Left out of jitter: the connection is being set up."""


@dataclass(frozen=True, slots=True)
class Spread:
    """Distribution of one measure; None of nothing."""

    count: int
    p50: float | None
    p95: float | None
    p99: float | None
    maximum: float | None

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Percentiles of a sample, to a tenth."""
        if not values:
            return cls(0, None, None, None, None)
        p50, p95, p99 = (round(float(value), 1) for value in np.percentile(values, (50, 95, 99)))
        return cls(len(values), p50, p95, p99, round(max(values), 1))


@dataclass(slots=True)
class LoadFigures:
    """The sums over all calls; times in milliseconds."""

    calls: int = 0
    call_seconds: float = 0.0
    turns: int = 0
    missed_turns: int = 0
    early_turns: int = 0
    """Replies begun before the caller's speech had ended."""
    spurious_turns: int = 0
    ended_by_bot: int = 0
    turned_away: int = 0
    """Calls that the bot ended before the caller had said anything: refused with a phrase."""
    lost_calls: int = 0
    barge_ins: int = 0
    barge_ins_without_yield: int = 0
    barge_ins_in_pause: int = 0
    """Onsets into a pause of the bot that just went on: it had yielded before it was asked to."""
    murmurs: dict[str, int] = field(default_factory=lambda: {"backchannel": 0, "cough": 0})
    went_on: dict[str, int] = field(default_factory=lambda: {"backchannel": 0, "cough": 0})
    response_ms: list[float] = field(default_factory=list)
    response_after_barge_in_ms: list[float] = field(default_factory=list)
    greeting_ms: list[float] = field(default_factory=list)
    duck_ms: list[float] = field(default_factory=list)
    silence_ms: list[float] = field(default_factory=list)
    frame_share: list[float] = field(default_factory=list)
    """Per call: frames received, of those due while it was up."""
    own: OwnReplies = field(default_factory=OwnReplies)
    missed_after_s: float = MISSED_AFTER_S

    def add_call(self, call: LoadedCall, reply_s: float | None) -> None:
        """Measure one ended call. `reply_s` is the length of a reply that nobody interrupts."""
        line, received = call.line, call.line.received
        if line.connected_at_s is None or line.ended_at_s is None:
            return
        self.calls += 1
        self.call_seconds += line.ended_at_s - line.connected_at_s
        self.ended_by_bot += line.ended_by == "bot"
        self.turned_away += line.ended_by == "bot" and not call.exchanges
        self.lost_calls += line.ended_by == "lost"
        self.frame_share.append(len(received.arrivals_s) / max(1.0, (line.ended_at_s - line.connected_at_s) * 50))
        segments = bot_segments(received)
        onsets = [each.said.onset_at_s for each in call.exchanges if each.said.onset_at_s is not None]
        if segments and not (onsets and onsets[0] < segments[0].start_s):
            self.greeting_ms.append((segments[0].start_s - line.connected_at_s) * 1000)
        for number, exchange in enumerate(call.exchanges):
            following = call.exchanges[number + 1].said.onset_at_s if number + 1 < len(call.exchanges) else None
            until_s = line.ended_at_s if following is None else following
            self._add_exchange(exchange, received, segments, until_s, reply_s)
        self.spurious_turns += count_spurious(call.exchanges, bot_segments(received, SPURIOUS_AFTER_S))
        self.own.add_call(received, reacted_to(call.exchanges), line.ended_at_s, reply_s)

    def _add_exchange(
        self,
        exchange: Exchange,
        received: ReceivedAudio,
        segments: Sequence[BotSegment],
        until_s: float,
        reply_s: float | None,
    ) -> None:
        onset_s, end_s = exchange.said.onset_at_s, exchange.said.end_at_s
        if onset_s is None or end_s is None:
            return
        if exchange.kind in MURMURS:
            if until_s > end_s + _EFFECT_AFTER_S:
                self.murmurs[exchange.kind] += 1
                self.went_on[exchange.kind] += went_on(received, onset_s, end_s, reply_s)
            return
        if exchange.kind == "barge_in" and until_s > end_s:
            self._add_barge_in(received, onset_s, min(until_s, end_s + _EFFECT_AFTER_S))
        begun = [part for part in segments if onset_s < part.start_s < until_s]
        if exchange.kind == "barge_in":  # the rest of the old reply, cut under the caller's own sentence, is no answer
            begun = [part for part in begun if part.start_s >= end_s or part.end_s > end_s + FRAME_MS / 1000]
        replied_s = begun[0].start_s if begun else None
        self._add_response(exchange, end_s, until_s, replied_s)

    def _add_response(self, exchange: Exchange, end_s: float, until_s: float, replied_s: float | None) -> None:
        if replied_s is None and until_s < end_s + self.missed_after_s:
            return
        self.turns += 1
        if replied_s is None or replied_s > end_s + self.missed_after_s:
            self.missed_turns += 1
        elif replied_s < end_s:
            self.early_turns += 1
        else:
            kept = self.response_ms if exchange.kind == "turn" else self.response_after_barge_in_ms
            kept.append((replied_s - end_s) * 1000)

    def _add_barge_in(self, received: ReceivedAudio, onset_s: float, until_s: float) -> None:
        effect = barge_in_effect(received, onset_s, until_s)
        self.barge_ins += 1
        if effect.duck_ms is not None:
            self.duck_ms.append(effect.duck_ms)
        if effect.silence_ms is None:
            self.barge_ins_without_yield += 1
        elif effect.in_pause and effect.silence_ms <= FRAME_MS:
            self.barge_ins_in_pause += 1
        else:
            self.silence_ms.append(effect.silence_ms)


def figures_of(
    calls: Sequence[LoadedCall], reply_s: float | None = None, missed_after_s: float = MISSED_AFTER_S
) -> dict[str, Any]:
    """All figures of a run, as plain values for JSON.

    Args:
        calls: the ended calls.
        reply_s: length of a reply that is spoken to its end, where it is known; measured otherwise.
        missed_after_s: a turn without a reply by then is missed.
    """
    figures = LoadFigures(missed_after_s=missed_after_s)
    usual_s = usual_reply_s(calls)
    for call in calls:
        figures.add_call(call, reply_s or usual_s)
    return {
        "calls_made": figures.calls,
        "call_minutes": round(figures.call_seconds / 60, 3),
        "calls_ended_by_bot": figures.ended_by_bot,
        "calls_turned_away": figures.turned_away,
        "calls_lost": figures.lost_calls,
        **_turn_figures(figures),
        **_floor_figures(figures),
        "usual_reply_s": None if usual_s is None else round(usual_s, 2),
        **_wire_figures(calls, figures.frame_share),
    }


def _turn_figures(figures: LoadFigures) -> dict[str, Any]:
    answered = figures.turns - figures.missed_turns - figures.early_turns
    return {
        "turns": figures.turns,
        "missed_turns": figures.missed_turns,
        "early_turns": figures.early_turns,
        "spurious_turns": figures.spurious_turns,
        "answered_share": _share(answered, figures.turns),
        "missed_share": _share(figures.missed_turns, figures.turns),
        "early_share": _share(figures.early_turns, figures.turns),
        "spurious_per_turn": _share(figures.spurious_turns, figures.turns),
        "greeting_ms": asdict(Spread.of(figures.greeting_ms)),
        "response_ms": asdict(Spread.of(figures.response_ms)),
        "response_after_barge_in_ms": asdict(Spread.of(figures.response_after_barge_in_ms)),
    }


def _floor_figures(figures: LoadFigures) -> dict[str, Any]:
    own = figures.own
    return {
        "barge_ins": figures.barge_ins,
        "barge_ins_without_yield": figures.barge_ins_without_yield,
        "barge_ins_in_pause": figures.barge_ins_in_pause,
        "duck_ms": asdict(Spread.of(figures.duck_ms)),
        "silence_ms": asdict(Spread.of(figures.silence_ms)),
        "backchannels": figures.murmurs["backchannel"],
        "backchannels_went_on_share": _share(figures.went_on["backchannel"], figures.murmurs["backchannel"]),
        "coughs": figures.murmurs["cough"],
        "coughs_went_on_share": _share(figures.went_on["cough"], figures.murmurs["cough"]),
        "bot_speech_minutes": round(own.spoken_s / 60, 3),
        "false_intrusions": own.false_intrusions,
        "false_intrusions_per_minute": round(own.false_intrusions * 60 / own.spoken_s, 2) if own.spoken_s else None,
        "replies_nobody_spoke_into": own.replies,
        "whole_replies_share": _share(own.whole_replies, own.replies),
    }


def _wire_figures(calls: Sequence[LoadedCall], shares: Sequence[float]) -> dict[str, Any]:
    paced = pacing([call.line.received.arrivals_s[_FIRST_FRAMES:] for call in calls])
    return {
        "frames": paced.frames,
        "jitter_p99_ms": None if paced.jitter_p99_ms is None else round(paced.jitter_p99_ms, 2),
        "jitter_max_ms": None if paced.jitter_max_ms is None else round(paced.jitter_max_ms, 1),
        "late_frames": paced.late_frames,
        "least_frame_share": round(min(shares), 4) if shares else None,
        "unsent_frames": sum(call.line.unsent_frames for call in calls),
        "unknown_messages": sum(call.line.unknown_messages for call in calls),
        "lost_frames": sum(call.line.impairment.lost_frames for call in calls if call.line.impairment),
        "withheld_frames": sum(call.line.impairment.withheld_frames for call in calls if call.line.impairment),
    }


def turns_of(exchanges: Sequence[Exchange]) -> list[Sound]:
    """What a caller said to its end into silence, and waited for an answer to; in order."""
    return [
        Sound(each.said.onset_at_s, each.said.end_at_s)
        for each in exchanges
        if each.kind == "turn" and each.said.onset_at_s is not None and each.said.end_at_s is not None
    ]


def reacted_to(exchanges: Sequence[Exchange]) -> list[CallerSound]:
    """What a caller said, murmured and coughed, with the time in which the bot may still react to it."""
    sounds = []
    for each in exchanges:
        onset_s = each.said.onset_at_s
        if onset_s is not None:
            end_s = each.said.end_at_s or each.said.sent_at_s[-1]
            tail_s = MURMUR_ENDS_S if each.kind in MURMURS else SPEECH_ENDS_S
            sounds.append(CallerSound(onset_s, end_s, end_s + tail_s))
    return sounds


def usual_reply_s(calls: Iterable[LoadedCall]) -> float | None:
    """Median length of the replies in which the caller kept silent."""
    lengths = []
    for call in calls:
        onsets = [each.said.onset_at_s for each in call.exchanges if each.said.onset_at_s is not None]
        ended_s = call.line.ended_at_s or 0.0
        lengths += [
            part.end_s - part.start_s
            for part in bot_segments(call.line.received)[1:]
            if part.end_s < ended_s - SPURIOUS_AFTER_S
            and not any(part.start_s <= onset_s <= part.end_s for onset_s in onsets)
        ]
    return float(np.median(lengths)) if lengths else None


def went_on(received: ReceivedAudio, onset_s: float, end_s: float, reply_s: float | None) -> bool:
    """True when the bot did not give up its reply for a murmur.

    It spoke on without a gap, or, after one, for no longer than its reply had left: a full new reply is a lost turn.
    """
    speaking = [part for part in bot_segments(received, SPURIOUS_AFTER_S) if part.start_s <= onset_s < part.end_s]
    if not speaking:
        return True
    part = speaking[0]
    effect = barge_in_effect(received, onset_s, min(end_s + _EFFECT_AFTER_S, part.end_s), CUT_GAP_S)
    if part.end_s <= end_s and reply_s is not None and part.end_s - part.start_s < reply_s - CUT_GAP_S:
        return False
    if effect.silence_ms is None:
        return True
    return reply_s is not None and reply_s - CUT_GAP_S <= part.end_s - part.start_s <= reply_s + WENT_ON_EXTRA_S


def count_spurious(exchanges: Sequence[Exchange], segments: Sequence[BotSegment]) -> int:
    """Things the bot began to say that no turn of the caller asked for (the greeting is asked for)."""
    asked_s = [
        each.said.onset_at_s
        for each in exchanges
        if each.kind in ("turn", "barge_in") and each.said.onset_at_s is not None
    ]
    begun_s = [part.start_s for part in segments]
    return sum(not any(earlier < asked <= begun for asked in asked_s) for earlier, begun in pairwise(begun_s))


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None
