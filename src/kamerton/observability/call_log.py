"""Writes what happens in a call to the log, one line for each thing that matters."""

from __future__ import annotations

import logging
from typing import Any, Final

from kamerton.domain.notices import (
    BargeInDecided,
    CallFinished,
    CallStarted,
    ConditionNoted,
    ErrorOccurred,
    Notice,
    TurnFinished,
)
from kamerton.observability.timeline import REPORTED_NAMES, mark_at_s, response_ms

logger: Final = logging.getLogger(__name__)


class LoggingObserver:
    """A `CallObserver` that logs calls, turns, barge-ins and errors; marks are in seconds on the loop clock."""

    def observe(self, call_id: str, notice: Notice) -> None:
        """Log one notice; notices that would flood a log (mind states, transcripts in the making) are left out."""
        match notice:
            case TurnFinished():
                logger.info("turn finished", extra={"call_id": call_id, **_turn_fields(notice)})
            case BargeInDecided():
                logger.info("barge-in decided", extra={"call_id": call_id, **_barge_in_fields(notice)})
            case CallStarted():
                started = {"assistant": notice.assistant, "transport": notice.transport, "peer": notice.peer}
                logger.info("call started", extra={"call_id": call_id, **started})
            case CallFinished():
                finished = {
                    "ended_by": notice.ended_by,
                    "reason": notice.reason,
                    "duration_s": round(notice.duration_s, 3),
                    "state": notice.state,
                    "variables": dict(notice.variables),
                    "usage": notice.bill.plain_lines(),
                    "cost": notice.bill.plain_costs(),
                }
                logger.info("call finished", extra={"call_id": call_id, **finished})
            case ErrorOccurred():
                failed = {"error": notice.message, "where": notice.where, "part": notice.part}
                logger.error("call error", extra={"call_id": call_id, **failed})
            case ConditionNoted():
                noted = {"condition": notice.condition, "amount": notice.amount, "details": notice.details}
                logger.info("call condition", extra={"call_id": call_id, **noted})
            case _:
                pass


def _turn_fields(turn: TurnFinished) -> dict[str, Any]:
    waited_ms = turn.response_ms if turn.response_ms is not None else response_ms(turn.marks)
    marks = {name: mark_at_s(turn.marks, name) for name in REPORTED_NAMES}
    return {
        "turn": turn.index,
        "path": turn.path,
        "text": turn.user_text,
        "intent": turn.intent,
        "confidence": round(turn.confidence, 3),
        "entities": dict(turn.entities),
        "state_before": turn.state_before,
        "state_after": turn.state_after,
        "reply": turn.reply_text,
        "heard": turn.heard_text,
        "outcome": turn.outcome,
        "ended_because": turn.ended_because,
        "response_ms": None if waited_ms is None else round(waited_ms, 1),
        "ahead": turn.speculation.started,
        "ahead_hit": turn.speculation.hit,
        "ahead_model": turn.speculation.model_started,
        "ahead_model_hit": turn.speculation.model_hit,
        "saved_ms": round(turn.speculation.saved_ms, 1),
        **{name: None if at is None else round(at, 4) for name, at in marks.items()},
    }


def _barge_in_fields(decided: BargeInDecided) -> dict[str, Any]:
    def since_onset_ms(at_s: float | None) -> float | None:
        return None if at_s is None else round((at_s - decided.onset_at_s) * 1000, 1)

    return {
        "verdict": decided.verdict,
        "text": decided.text,
        "onset_at_s": round(decided.onset_at_s, 4),
        "duck_ms": since_onset_ms(decided.ducked_at_s),
        "silence_ms": since_onset_ms(decided.silenced_at_s),
    }
