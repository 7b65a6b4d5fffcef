"""The report of one call: what the server decided in each turn, with the times that count at the caller's end."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final

from kamerton.domain.notices import SpeculationRecord, TurnFinished
from kamerton.observability.timeline import REPORTED_NAMES, mark_at_s, span_ms
from kamerton.observability.turn_recorder import CallRecord
from kamerton.testing.caller.line import CallerLine, Utterance
from kamerton.testing.caller.wire_measure import (
    ReceivedAudio,
    barge_in_effect,
    bot_segments,
    confirmed_drop_s,
    first_audible_after,
)

LOOK_BACK_S: Final = 0.5
"""How much earlier than the caller's onset a server may date the beginning of the turn."""
FRAME_TRAVEL_S: Final = 0.005
EFFECT_AFTER_SPEECH_S: Final = 1.0
"""How long after the end of a barge-in its effect is looked for."""

_SAID_FIELDS: Final = ("user_text", "reply_text", "heard_text", "entities")


@dataclass(frozen=True, slots=True)
class BargeIn:
    """The caller's speech into a reply: its onset since the reply began, then since that onset the bot's reaction.

    `duck_ms` is when the bot went quieter, `silence_ms` when it fell silent; None for what did not happen. With
    `in_pause` the onset fell into a pause between its words: no ducking can be seen then, and a silence of 0 is the
    pause that went on. With `finished` the reply was over before, and nothing was interrupted.
    """

    onset_ms: float | None
    duck_ms: float | None
    silence_ms: float | None
    in_pause: bool = False
    finished: bool = False


@dataclass(frozen=True, slots=True)
class Interruption:
    """What was said into a reply: when that reply had begun, and whether it was over before a word was said."""

    said: Utterance
    reply_at_s: float
    finished: bool = False


@dataclass(frozen=True, slots=True)
class ReportedTurn:
    """One exchange. Marks are milliseconds since the call was up; `t1`, `t_eos` and `t6` are the caller's own."""

    index: int
    user_text: str
    path: str
    intent: str | None
    entities: Mapping[str, Any]
    state_before: str
    state_after: str
    reply_text: str
    heard_text: str
    outcome: str
    ended_because: str
    marks: Mapping[str, float | None]
    response_ms: float | None
    speculation: SpeculationRecord


@dataclass(frozen=True, slots=True)
class CallReport:
    """Everything about one call; `as_json` is the shape written to a file."""

    call_id: str
    assistant: str
    ended_by: str
    turns: tuple[ReportedTurn, ...]
    barge_ins: tuple[BargeIn, ...]
    state: Mapping[str, Any]
    line: Mapping[str, Any] | None = None
    """What was wrong with the caller's line; None for a clean one."""
    usage: Sequence[Mapping[str, Any]] = ()
    """What the call used of services: part, vendor, model, unit, amount, and cost where there is a price."""
    cost: Mapping[str, float] = field(default_factory=dict)
    """What that cost, by currency."""

    def with_values(self, shown: Callable[[dict[str, Any]], Mapping[str, Any]]) -> CallReport:
        """The report with everything that people said or that was kept of it as `shown` gives it back.

        This is the one place that knows which values these are: mask here. `shown` gets them all at once, as `turns`
        (texts and `entities` of each) and `state`, so that what is hidden in one of them can be hidden in the others.
        """
        told = [{name: getattr(turn, name) for name in _SAID_FIELDS} for turn in self.turns]
        values = shown({"turns": told, "state": dict(self.state)})
        turns = (replace(turn, **said) for turn, said in zip(self.turns, values["turns"], strict=True))
        return replace(self, turns=tuple(turns), state=values["state"])

    def as_json(self) -> dict[str, Any]:
        """Plain values for `json.dumps`."""
        return asdict(self)


def make_report(line: CallerLine, record: CallRecord | None, interruptions: Sequence[Interruption]) -> CallReport:
    """Put together what the server recorded and what the caller's wire shows.

    Args:
        line: The caller's side of the ended call.
        record: The server's notices, where they are known.
        interruptions: What was said into replies.
    """
    received = line.received
    finished = record.finished if record else None
    return CallReport(
        call_id=str(line.call_id),
        assistant=record.started.assistant if record and record.started else "",
        ended_by=finished.ended_by if finished else (line.ended_by or "caller"),
        turns=tuple(_reported_turns(line, record.turns if record else (), received)),
        barge_ins=tuple(_barge_in(received, each, record) for each in interruptions),
        state=dict(finished.variables) if finished else {},
        line=line.impairment.damage.as_json() if line.impairment else None,
        usage=finished.bill.plain_lines() if finished else (),
        cost=finished.bill.plain_costs() if finished else {},
    )


def _reported_turns(line: CallerLine, turns: Sequence[TurnFinished], received: ReceivedAudio) -> list[ReportedTurn]:
    begun_s = line.connected_at_s or 0.0
    reported = []
    for position, turn in enumerate(turns):
        said = _utterance_of(turn, line.utterances)
        later = turns[position + 1 :]
        split = said is not None and any(_utterance_of(other, line.utterances) is said for other in later)
        marks = _wire_marks(turn, None if split else said, received)
        reported.append(
            ReportedTurn(
                index=turn.index,
                user_text=turn.user_text,
                path=turn.path,
                intent=turn.intent,
                entities=dict(turn.entities),
                state_before=turn.state_before,
                state_after=turn.state_after,
                reply_text=turn.reply_text,
                heard_text=turn.heard_text,
                outcome=turn.outcome,
                ended_because=turn.ended_because,
                marks={name: _rounded(_since_ms(begun_s, mark_at_s(marks, name))) for name in REPORTED_NAMES},
                response_ms=_rounded(span_ms(marks, "t_eos", "t6")),
                speculation=turn.speculation,
            )
        )
    return reported


def _utterance_of(turn: TurnFinished, said: Sequence[Utterance]) -> Utterance | None:
    """The utterance that a server's turn transcribed: the last one that had begun when the turn began."""
    begun_s = mark_at_s(turn.marks, "t1")
    if begun_s is None:
        begun_s = mark_at_s(turn.marks, "t2")
    if begun_s is None:
        return None
    begun = [each for each in said if each.onset_at_s is not None and each.onset_at_s <= begun_s + LOOK_BACK_S]
    return begun[-1] if begun else None


def _wire_marks(turn: TurnFinished, said: Utterance | None, received: ReceivedAudio) -> dict[str, float]:
    """The turn's marks with the caller's own onset, end of speech and first reply frame in place of the server's.

    A turn that was split off an utterance before its end (`said` is None) keeps the server's `t1` and has no true end.
    """
    marks = {name: at_s for name, at_s in turn.marks.items() if name not in ("t_eos", "t6")}
    if said is not None:
        if said.onset_at_s is not None:
            marks["t1"] = said.onset_at_s
        if said.end_at_s is not None:
            marks["t_eos"] = said.end_at_s
    reply_at_s = _reply_heard_s(turn, said, received)
    if reply_at_s is not None:
        marks["t6"] = reply_at_s
    return marks


def _reply_heard_s(turn: TurnFinished, said: Utterance | None, received: ReceivedAudio) -> float | None:
    """First audible frame of the reply: after the server's `t6`, else the first thing begun after the onset."""
    sent_s = turn.marks.get("t6", turn.spoken_from_s)
    if sent_s is not None:
        return first_audible_after(received, sent_s - FRAME_TRAVEL_S)
    if said is None or said.onset_at_s is None:
        return None
    return reply_start_s(received, said.onset_at_s, said.end_at_s or said.onset_at_s)


def reply_start_s(received: ReceivedAudio, onset_s: float, end_s: float) -> float | None:
    """Start of the first thing the bot began to say after the caller's onset and did not give up before their end."""
    begun = [part for part in bot_segments(received) if part.start_s > onset_s]
    return next((part.start_s for part in begun if part.start_s >= end_s or part.end_s > end_s), None)


def _barge_in(received: ReceivedAudio, interruption: Interruption, record: CallRecord | None) -> BargeIn:
    said, onset_s = interruption.said, interruption.said.onset_at_s
    if onset_s is None:
        return BargeIn(None, None, None)
    onset_ms = _rounded(_since_ms(interruption.reply_at_s, onset_s))
    if interruption.finished or _was_over(record, interruption.reply_at_s, onset_s):
        return BargeIn(onset_ms, None, None, finished=True)
    end_s = said.end_at_s or onset_s
    last_s = received.arrivals_s[-1] if len(received.arrivals_s) else onset_s
    effect = barge_in_effect(received, onset_s, min(end_s + EFFECT_AFTER_SPEECH_S, float(last_s)))
    told_s = [
        each.ducked_at_s
        for each in (record.barge_ins if record else ())
        if each.ducked_at_s is not None and onset_s <= each.ducked_at_s <= end_s + EFFECT_AFTER_SPEECH_S
    ]
    confirmed_s = confirmed_drop_s(received, onset_s, told_s[0]) if told_s else None
    return BargeIn(
        onset_ms=onset_ms,
        duck_ms=_rounded(effect.duck_ms if confirmed_s is None else _since_ms(onset_s, confirmed_s)),
        silence_ms=_rounded(effect.silence_ms),
        in_pause=effect.in_pause,
    )


def _was_over(record: CallRecord | None, reply_at_s: float, onset_s: float) -> bool:
    """True when the server says that it had spoken the reply to its end before the onset."""
    return record is not None and any(
        turn.outcome == "played" and turn.spoken_to_s is not None and reply_at_s < turn.spoken_to_s <= onset_s
        for turn in record.turns
    )


def _since_ms(begun_s: float, instant_s: float | None) -> float | None:
    return None if instant_s is None else (instant_s - begun_s) * 1000


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)
