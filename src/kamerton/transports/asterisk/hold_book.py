"""Which channel of Asterisk belongs to which call, and which calls are on hold: events in, changes out. No I/O.

A call is known by the dialplan's line `UserEvent(KamertonCall,UUID: …)`, by the name of an AudioSocket channel, or from
the list of channels, where the application's data hold the UUID. A phone that holds is known by its channel, by the
`Linkedid` that joins the channels of one call, or by the bridge in which it meets the call.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, NamedTuple
from uuid import UUID

from kamerton.transports.asterisk.ami_codec import AmiMessage

USER_EVENT: Final = "KamertonCall"
_UUID: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)
_CHANNEL_PREFIX: Final = "AudioSocket/"
_APPLICATIONS: Final = ("AudioSocket", "Dial", "TryExec")


class HoldChanged(NamedTuple):
    """A call was put on hold, or taken back."""

    call_id: str
    held: bool


class ChannelUnknown(NamedTuple):
    """An unknown channel holds: have the channels listed, tell `listed`, and `take` the event again."""

    event: AmiMessage


class HoldBook:
    """The channels of one Asterisk. Forgets a channel when it is hung up, so that it holds no more than there are."""

    def __init__(self) -> None:
        self._calls: dict[str, str] = {}
        self._linked: dict[str, str] = {}
        self._strangers: set[str] = set()
        self._holders: dict[str, str] = {}

    def take(self, event: AmiMessage) -> HoldChanged | ChannelUnknown | None:
        """Take an event; what follows from it."""
        channel = event.value("Uniqueid")
        match event.event:
            case "UserEvent" if event.value("UserEvent") == USER_EVENT:
                self._learn(event, _uuid_in(event.value("UUID")))
            case "Newchannel" if event.value("Channel").startswith(_CHANNEL_PREFIX):
                self._learn(event, _uuid_in(event.value("Channel")))
            case "Hold" | "Unhold":
                return self._hold(event, channel)
            case "Hangup":
                return self._forget(channel)
        return None

    def listed(self, rows: Iterable[AmiMessage], asked: AmiMessage | None = None) -> None:
        """Take the list of all channels; `asked` is the event for whose sake it was made, if any.

        When the list does not tell whose channel that is, it is nobody's and is not asked for again.
        """
        bridged: dict[str, str] = {}
        rows = tuple(rows)
        for row in rows:
            call_id = _call_in(row)
            self._learn(row, call_id)
            if call_id is not None and row.value("BridgeId"):
                bridged[row.value("BridgeId")] = call_id
        for row in rows:
            self._learn(row, bridged.get(row.value("BridgeId")))
        if asked is not None and self._call_of(asked) is None:
            self._strangers.add(asked.value("Uniqueid"))

    def release(self) -> tuple[HoldChanged, ...]:
        """Nothing more will be told: every held call is taken back, since its end might be missed. Empties the book."""
        changes = tuple(HoldChanged(call_id, False) for call_id in self._holders)
        for store in (self._calls, self._linked, self._strangers, self._holders):
            store.clear()
        return changes

    def _hold(self, event: AmiMessage, channel: str) -> HoldChanged | ChannelUnknown | None:
        call_id = self._call_of(event)
        if call_id is None:
            return None if channel in self._strangers else ChannelUnknown(event)
        held = event.event == "Hold"
        if held == (call_id in self._holders):
            return None
        if held:
            self._holders[call_id] = channel
        else:
            del self._holders[call_id]
        return HoldChanged(call_id, held)

    def _forget(self, channel: str) -> HoldChanged | None:
        """Who hangs up holds nobody any more: the call may go on with somebody else."""
        self._strangers.discard(channel)
        self._calls.pop(channel, None)
        self._linked.pop(channel, None)
        held = next((call_id for call_id, holder in self._holders.items() if holder == channel), None)
        if held is None:
            return None
        del self._holders[held]
        return HoldChanged(held, False)

    def _call_of(self, event: AmiMessage) -> str | None:
        """By the channel itself, else by what it is linked to, if that is one call only."""
        own = self._calls.get(event.value("Uniqueid"))
        if own is not None:
            return own
        linked = event.value("Linkedid")
        found = {self._calls[channel] for channel, link in self._linked.items() if link == linked}
        return found.pop() if len(found) == 1 else None

    def _learn(self, row: AmiMessage, call_id: str | None) -> None:
        channel = row.value("Uniqueid")
        if call_id is not None and channel:
            self._calls[channel] = call_id
            self._linked[channel] = row.value("Linkedid")
            self._strangers.discard(channel)


def _call_in(row: AmiMessage) -> str | None:
    """The call that a listed channel carries, if it is one of ours."""
    if row.value("Channel").startswith(_CHANNEL_PREFIX):
        return _uuid_in(row.value("Channel"))
    data = row.value("ApplicationData")
    application = row.value("Application")
    if application not in _APPLICATIONS or (application != "AudioSocket" and "AudioSocket" not in data):
        return None
    return _uuid_in(data)


def _uuid_in(text: str) -> str | None:
    found = _UUID.search(text)
    return str(UUID(found.group())) if found else None
