"""How many calls are promised: what the settings allow, and no more than the recogniser can carry."""

from __future__ import annotations

import logging
from dataclasses import replace

from kamerton.domain.recognition import RecognizerState
from kamerton.transports.admission import CallLimits

log = logging.getLogger(__name__)


def call_limits(limits: CallLimits, recognizer: RecognizerState, *, chosen: bool) -> CallLimits:
    """The limits with `max_calls` lowered to the recogniser's, unless the number was chosen by somebody.

    A caller beyond the limit hears the phrase `busy`; one who is let in beyond what the recogniser can carry waits
    seconds for every answer, and so does everybody else. The log says which number holds and why.
    """
    carried = recognizer.max_calls
    if carried is None or limits.max_calls <= carried:
        return limits
    how = "set recognizer.whisper.max_calls to promise another number, or use a faster machine"
    if chosen:
        log.warning(
            "limits.max_calls promises more calls than the recogniser can carry at its measured speed",
            extra={"max_calls": limits.max_calls, "carried": carried, "do": how},
        )
        return limits
    log.warning(
        "fewer calls are served than limits.max_calls allows: the recogniser can carry no more at its measured speed",
        extra={"max_calls": carried, "allowed": limits.max_calls, "do": how},
    )
    return replace(limits, max_calls=carried)
