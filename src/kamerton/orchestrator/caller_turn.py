"""The caller's turn while the bot listens: opened by speech, ended by its pauses, known by its transcript. Pure."""

from __future__ import annotations

from kamerton.listening.endpointing import endpoint
from kamerton.listening.segmenter import (
    SegmentEvent,
    SpeechPaused,
    SpeechResumed,
    SpeechStarted,
    SpeechSuspected,
    SuspicionDropped,
)
from kamerton.orchestrator import turn_events as ev
from kamerton.orchestrator.floor import (
    WAIT_TIMERS,
    Bot,
    Caller,
    Floor,
    Rules,
    Step,
    begin_pause,
    disarm,
    grade,
    listen,
    opened,
    paused,
    resumed,
    say_goodbye,
    say_prompt,
    turn_limit,
)
from kamerton.orchestrator.turn_events import Ending

_MOST_CEILINGS = 2
"""After that many turns in a row without a pause, the call ends."""
_DROWNED = 6
"""After that many answers in a row that could not be heard for the talk on the line, the caller is told so; after
twice as many once more, and after three times as many the call ends. A television takes 12 to 25 s for each six;
somebody who dictates a telephone number in groups, with pauses that end turns, interrupts four answers."""
_WORDLESS_FILLER_MS = 1200.0
"""A short sound of which no words are known may have been a cough: nobody tells a cough to wait a moment."""


def step(
    floor: Floor, event: SegmentEvent | ev.WordsHeard | ev.EngineEndedUtterance, now_s: float, rules: Rules
) -> Step:
    """Take one event of the ears into account while the bot listens."""
    match event:
        case SpeechSuspected(onset_s):
            return floor._replace(caller=Caller.SUSPECTED, onset_s=onset_s), ()
        case SuspicionDropped():
            return floor._replace(caller=Caller.QUIET), ()
        case SpeechStarted(onset_s):
            begun = opened(floor, onset_s)
            return begun, (
                *disarm("silence", "unheard"),
                ev.OpenTurn(begun.turn, onset_s),
                turn_limit(begun, now_s, rules),
            )
        case SpeechPaused(ended_s, spoken_ms):
            waiting, armed = begin_pause(paused(floor, ended_s, spoken_ms), ended_s, now_s, rules)
            return waiting, (ev.PauseTurn(), *armed)
        case SpeechResumed(at_s):
            return resumed(floor, at_s), (ev.ResumeTurn(), ev.Disarm("endpoint"))
        case ev.WordsHeard():
            return _words(floor, event, now_s, rules)
        case ev.EngineEndedUtterance():
            ended = floor._replace(engine_ended=True)
            return begin_pause(ended, floor.ended_s, now_s, rules) if floor.caller is Caller.PAUSED else (ended, ())


def _words(floor: Floor, event: ev.WordsHeard, now_s: float, rules: Rules) -> Step:
    covers_s = max(floor.covers_s, min(event.covers_s, now_s))
    known = floor._replace(completeness=event.completeness, words=True, covers_s=covers_s)
    return (known, ()) if floor.caller is Caller.SPEAKING else begin_pause(known, floor.ended_s, now_s, rules)


def endpoint_reached(floor: Floor, now_s: float, rules: Rules) -> Step:
    """The pause is long enough: the turn is over."""
    because = endpoint(floor.ended_s, grade(floor), rules.endpointing).because
    return _end_turn(floor._replace(ceilings=0, unbroken=False), because, floor.ended_s, now_s, rules)


def limit_reached(floor: Floor, now_s: float, rules: Rules) -> Step:
    """The turn is over because of its length; whoever goes on talking does not interrupt what is said to it."""
    speaking = floor.caller is Caller.SPEAKING
    longest_ms = (now_s - floor.onset_s) * 1000
    limited = floor._replace(ceilings=floor.ceilings + 1, unbroken=speaking, longest_ms=longest_ms)
    return _end_turn(limited, "ceiling", now_s, now_s, rules)


def _end_turn(floor: Floor, because: str, ended_s: float, now_s: float, rules: Rules) -> Step:
    patience = rules.call.patience
    ended = floor._replace(
        caller=Caller.QUIET,
        bot=Bot.THINKING,
        answering=floor.turn,
        awaited=True,
        asked_ms=floor.longest_ms,
        ended_s=ended_s,
        interruptible=True,
        fillers=0,
    )
    brief = not floor.words and floor.longest_ms < patience.noise_ms
    filler_ms = _WORDLESS_FILLER_MS if brief else patience.filler_after_ms
    effects = (*disarm("turn_limit", "endpoint", "leave"), ev.EndTurn(floor.turn, because, ended_s))
    if floor.leaving or floor.deaf:
        asked, said = say_goodbye(ended, now_s, rules)
        return asked, (*effects, *said)
    return ended, (*effects, ev.Arm("filler", now_s + filler_ms / 1000), *deadlines(now_s, rules))


def final(floor: Floor, event: ev.FinalHeard, now_s: float, rules: Rules) -> Step:
    """The transcript of the turn that is to be answered is there, or will never be."""
    if event.turn != floor.answering or not floor.awaited or floor.bot is not Bot.THINKING:
        return floor, ()
    known = floor._replace(awaited=False)
    if event.failed:
        return _no_transcript(known, now_s, rules)
    if event.own_voice:
        return _own_voice(known, now_s, rules)
    if not event.words and floor.asked_ms < rules.call.patience.noise_ms:
        return _no_turn(known, now_s, rules)
    understood = known._replace(failures=0, ladder=0, unheard=floor.unheard and not event.words)
    if floor.ceilings > (1 if event.words else 0):
        return _cannot_hear(understood, floor.ceilings > _MOST_CEILINGS, now_s, rules)
    if floor.drowned % (_DROWNED + 1) == _DROWNED:
        # Counted as well, so that it is not said twice for the same five.
        told = understood._replace(drowned=floor.drowned + 1, insisting=True)
        return _cannot_hear(told, floor.drowned > 2 * (_DROWNED + 1), now_s, rules)
    if not event.words:
        asked, said = say_prompt(understood, "not_heard", now_s, rules, answers=event.turn)
        return asked, (*disarm(*WAIT_TIMERS), *said)
    return understood, (ev.Disarm("final"), ev.Think(event.turn))


def _own_voice(floor: Floor, now_s: float, rules: Rules) -> Step:
    """It was the bot's own voice that took the floor from it: what it was saying is said again."""
    number = floor.interrupted
    if number is None or number == floor.said_again or floor.turn_open:
        return _no_turn(floor._replace(unheard=True), now_s, rules)
    again = floor._replace(answering=number, said_again=number, interrupted=None, fillers=0)
    forgotten = (ev.FadeFiller(), ev.ForgetTurn(floor.answering))
    return again, (*disarm("final", "filler"), *forgotten, ev.Think(number))


def _cannot_hear(floor: Floor, last: bool, now_s: float, rules: Rules) -> Step:
    """Somebody talks on and on: say that they cannot be made out, in the end as a good-bye."""
    key, ending = ("line_goodbye", Ending.HANG_UP) if last else ("cannot_hear", Ending.GO_ON)
    asked, said = say_prompt(floor, key, now_s, rules, ending, answers=floor.answering)
    return asked, (*disarm(*WAIT_TIMERS), *said)


def _no_transcript(floor: Floor, now_s: float, rules: Rules) -> Step:
    """The recogniser failed on the turn: ask for it again, but not for ever."""
    failed = floor._replace(failures=floor.failures + 1, ladder=0)
    if failed.failures >= rules.call.recogniser_failures:
        return recogniser_lost(failed._replace(awaited=True), now_s, rules)
    asked, said = say_prompt(failed, "not_heard", now_s, rules, answers=floor.answering)
    return asked, (*disarm(*WAIT_TIMERS), *said)


def recogniser_lost(floor: Floor, now_s: float, rules: Rules) -> Step:
    """Nothing that the caller says can be understood any more: an honest good-bye, after what is being answered."""
    deaf = floor._replace(deaf=True)
    if floor.ending.closes or floor.bot is Bot.SPEAKING or (floor.bot is Bot.THINKING and floor.awaited is False):
        return deaf, ()
    alone = deaf._replace(caller=Caller.QUIET, contested=False, awaited=False, typing=None)
    asked, said = say_goodbye(alone, now_s, rules)
    return asked, (*disarm(*WAIT_TIMERS, "endpoint", "turn_limit", "keys"), ev.Cut(), ev.AbandonTurn(), *said)


def _no_turn(floor: Floor, now_s: float, rules: Rules) -> Step:
    """A short sound without words: the bot listens on, and asks once, for it may have been a «да»."""
    patience = rules.call.patience
    heard, armed = listen(floor, now_s, rules)
    effects = (*disarm(*WAIT_TIMERS), ev.FadeFiller(), ev.ForgetTurn(floor.answering), *armed)
    if floor.asked_ms >= patience.unheard_ms and not floor.unheard and heard.caller is Caller.QUIET:
        return heard._replace(unheard=True), (*effects, ev.Arm("unheard", now_s + patience.unheard_wait_s))
    return heard, effects


def deadlines(now_s: float, rules: Rules) -> tuple[ev.Effect, ...]:
    """The latest instants at which a finished turn must be known, and answered."""
    patience = rules.call.patience
    return (
        ev.Arm("final", now_s + patience.final_deadline_s),
        ev.Arm("think", now_s + patience.think_deadline_s),
    )
