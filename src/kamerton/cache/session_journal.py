"""Sessions of calls in a store, so that another process can go on with a call; writing them never holds a call up."""

from __future__ import annotations

import json
import logging
import math
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Final

import anyio

from kamerton.domain.dialogue import SessionState, TurnState
from kamerton.domain.errors import EngineError
from kamerton.domain.storage import Store

_VERSION: Final = 1
KEPT_S: Final = 3600.0
"""A session outlives its last change by this long."""
_WAITING_CALLS: Final = 1000
"""Calls whose last state waits to be written; five times as many as a process conducts."""
_MAX_BYTES: Final = 256_000
_MAX_DEPTH: Final = 20
_REST_S: Final = 1.0
"""Pause after a failed write."""
_LAST_WRITES_S: Final = 1.0
"""What is still waiting when the journal is stopped gets this long."""

_log = logging.getLogger(__name__)


class SessionJournal:
    """The last state of every call, under `session:CALL_ID`, for an hour.

    `keep` and `forget` only note what is to be written; `run`, which must be running, writes it. Of one call only the
    newest state waits. At most 1,000 calls wait: beyond that the state that has waited longest is given up.
    """

    def __init__(self, store: Store, ttl_s: float = KEPT_S) -> None:
        self._store = store
        self._ttl_s = ttl_s
        self._waiting: OrderedDict[str, bytes | None] = OrderedDict()
        self._news = anyio.Event()
        self._failing = False

    @property
    def waiting(self) -> int:
        """Calls whose last state is not written yet."""
        return len(self._waiting)

    def keep(self, session: SessionState) -> None:
        """Note the state of a call; a former one that still waits is replaced.

        Raises:
            EngineError: a variable holds something that JSON cannot hold; nothing is noted.
        """
        self._note(session.call_id, _encoded(session))

    def forget(self, call_id: str) -> None:
        """Note that the call is over: its state is removed."""
        self._note(call_id, None)

    async def load(self, call_id: str) -> SessionState | None:
        """The last state of a call, also one that still waits. Never raises: None when it cannot be read."""
        if call_id in self._waiting:
            noted = self._waiting[call_id]
            return None if noted is None else _decoded(noted, call_id)
        name = _name(call_id)
        try:
            stored = await self._store.get(name)
            if stored is None:
                return None
            session = _decoded(stored, call_id)
            if session is None:
                await self._store.delete(name)
                _log.warning("a stored session was damaged; it is removed", extra={"call": call_id})
            return session
        except EngineError as error:
            _log.warning("a stored session cannot be read", extra={"call": call_id, "reason": str(error)})
            return None

    async def run(self) -> None:
        """Write what is noted, until cancelled; what waits then gets one more second."""
        try:
            while True:
                await self._news.wait()
                if not await self._write_all():
                    await anyio.sleep(_REST_S)
        finally:
            with anyio.move_on_after(_LAST_WRITES_S, shield=True):
                await self._write_all()
            if self._waiting:
                _log.warning("sessions were not written before the end", extra={"calls": len(self._waiting)})

    def _note(self, call_id: str, content: bytes | None) -> None:
        self._waiting.pop(call_id, None)
        self._waiting[call_id] = content
        self._news.set()
        if len(self._waiting) > _WAITING_CALLS:
            given_up, _ = self._waiting.popitem(last=False)
            _log.warning("too many sessions wait to be written; the oldest is given up", extra={"call": given_up})

    async def _write_all(self) -> bool:
        """Write until nothing waits; False when the store failed."""
        while self._waiting:
            call_id, content = next(iter(self._waiting.items()))
            try:
                if content is None:
                    await self._store.delete(_name(call_id))
                else:
                    await self._store.put(_name(call_id), content, self._ttl_s)
            except EngineError as error:
                self._note_failure(error)
                return False
            if self._waiting.get(call_id, b"") is content:
                del self._waiting[call_id]
        self._news = anyio.Event()
        if self._failing:
            self._failing = False
            _log.info("sessions are written again")
        return True

    def _note_failure(self, error: EngineError) -> None:
        if not self._failing:
            self._failing = True
            _log.warning("sessions cannot be written; they wait", extra={"reason": str(error)})


def _name(call_id: str) -> str:
    return f"session:{call_id}"


def _encoded(session: SessionState) -> bytes:
    fields = {
        "version": _VERSION,
        "call_id": session.call_id,
        "assistant": session.assistant,
        "current_state_id": session.current_state_id,
        "variables": {name: _plain(value, name, session.call_id) for name, value in session.variables.items()},
        "state_history": list(session.state_history),
        "previous_intent_leader": session.previous_intent_leader,
        "turn_state": session.turn_state.value,
        "misses": session.misses,
    }
    content = json.dumps(fields, allow_nan=False).encode()
    if len(content) > _MAX_BYTES:
        raise EngineError(
            f"the session of call {session.call_id} takes {len(content)} bytes, more than {_MAX_BYTES}; "
            "keep large values out of its variables"
        )
    return content


def _plain(value: Any, where: str, call_id: str, depth: int = 0) -> Any:
    """The value as JSON holds it: a tuple becomes a list, a mapping a dictionary.

    Raises:
        EngineError: JSON has nothing like it.
    """
    if value is None or isinstance(value, str | bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    if depth < _MAX_DEPTH:
        if isinstance(value, list | tuple):
            return [_plain(item, f"{where}[{at}]", call_id, depth + 1) for at, item in enumerate(value)]
        if isinstance(value, Mapping) and all(isinstance(name, str) for name in value):
            return {name: _plain(item, f"{where}.{name}", call_id, depth + 1) for name, item in value.items()}
    raise EngineError(
        f"the session of call {call_id} cannot be kept: variable '{where}' is a {type(value).__name__} that JSON "
        "cannot hold; use text, finite numbers, true, false, null, lists and dictionaries with text keys"
    )


def _decoded(content: bytes, call_id: str) -> SessionState | None:
    """The session, or None when the bytes are not one of this call."""
    try:
        fields: dict[str, Any] = json.loads(content)
        if fields["version"] != _VERSION or fields["call_id"] != call_id:
            return None
        leader = fields["previous_intent_leader"]
        return SessionState(
            call_id=call_id,
            assistant=_text(fields["assistant"]),
            current_state_id=_text(fields["current_state_id"]),
            variables=dict(fields["variables"].items()),
            state_history=tuple(map(_text, fields["state_history"])),
            previous_intent_leader=None if leader is None else _text(leader),
            turn_state=TurnState(fields["turn_state"]),
            misses=int(fields["misses"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return None


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError("not a text")
    return value
