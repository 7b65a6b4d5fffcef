"""Many callers in one process: each talks, interrupts, murmurs and coughs by a seeded plan; measuring comes after."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import cycle
from pathlib import Path
from typing import Final, Literal

import anyio

from kamerton.domain.errors import CallEnded, ConfigurationError
from kamerton.testing.caller.line import CallerLine, LineNoise, Utterance, connect
from kamerton.testing.caller.line_impairment import LineImpairment
from kamerton.testing.caller.line_profile import CLEAN, line_profile
from kamerton.testing.caller.line_sounds import LineSounds
from kamerton.testing.caller.metronome import Metronome
from kamerton.testing.caller.recordings import Recording, cough, load_folder, load_recording

MISSED_AFTER_S: Final = 3.0
"""A turn without a reply by then is missed."""
BACKCHANNEL_FILES: Final = ("uhu.wav", "synthetic/uhu.wav")
"""Murmurs, looked for in the folder of recordings; they are not said as turns."""
INTERRUPTION_S: Final = 0.7

_GREETING_DEADLINE_S: Final = 20.0
_SPEECH_DEADLINE_S: Final = 30.0
_PAUSE_S: Final = (0.2, 1.0)
_INTERRUPT_AT_S: Final = (0.7, 1.6)
_MURMUR_AT_S: Final = (1.2, 1.9)
"""Late enough that going on, even with a second repeated, differs from a whole new reply."""
_REDIAL_S: Final = 0.5

ExchangeKind = Literal["turn", "barge_in", "backchannel", "cough"]
Steps = Generator[None, None, None]


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """How many call, for how long, and how often they interrupt (shares of the replies)."""

    calls: int
    seconds: float
    seed: int = 1
    ramp_s: float = 5.0
    """Callers begin at random instants of this span."""
    barge_in_share: float = 0.2
    backchannel_share: float = 0.1
    cough_share: float = 0.1
    line: str = CLEAN
    """The kind of line that all of them call over."""
    dialogues: tuple[tuple[str, ...], ...] = ()
    """Names of recordings that are said in order, over and over; each caller keeps to one of these. Without any, what
    is said is drawn at random."""
    quiet_s: float = 0.7
    """Silence after which the bot has finished; longer than the pauses between its fillers, where it has any."""
    missed_after_s: float = MISSED_AFTER_S
    redials: bool = True
    """A caller whom the bot hangs up on calls again."""


@dataclass(frozen=True, slots=True)
class Material:
    """What callers say."""

    turns: tuple[Recording, ...]
    interruptions: tuple[Recording, ...]
    """Those of the turns that are longer than any «угу»: what real speech is to a server that hears no words."""
    backchannels: tuple[Recording, ...]
    coughs: tuple[Recording, ...]

    def dialogue(self, plan: LoadPlan, source: random.Random) -> Iterator[Recording] | None:
        """One of the plan's dialogues, for ever from its beginning; None when it has none."""
        if not plan.dialogues:
            return None
        named = {recording.name: recording for recording in self.turns}
        return cycle([named[name] for name in source.choice(plan.dialogues)])


@dataclass(slots=True)
class Exchange:
    """Something a caller said, and why."""

    kind: ExchangeKind
    said: Utterance


@dataclass(slots=True)
class LoadedCall:
    """One call that was made, for measuring afterwards."""

    line: CallerLine
    exchanges: list[Exchange] = field(default_factory=list)


def load_material(folder: Path, seed: int) -> Material:
    """Read the recordings of a folder.

    Raises:
        ConfigurationError: it holds no usable recordings.
    """
    murmurs = tuple(load_recording(folder / name) for name in BACKCHANNEL_FILES if (folder / name).is_file())
    names = {Path(name).name for name in BACKCHANNEL_FILES}
    turns = tuple(recording for recording in load_folder(folder) if recording.name not in names)
    if not turns:
        raise ConfigurationError(f"'{folder}' holds no recording that can be said as a turn")
    interruptions = tuple(turn for turn in turns if turn.span.end_s - turn.span.start_s >= INTERRUPTION_S)
    return Material(turns, interruptions or turns, murmurs, tuple(cough(seed + number) for number in range(4)))


class LoadCaller:
    """One caller's behaviour in one call, stepped once per frame."""

    def __init__(self, call: LoadedCall, material: Material, plan: LoadPlan, source: random.Random) -> None:
        self._call = call
        self._line = call.line
        self._material = material
        self._plan = plan
        self._random = source
        self._now_s = 0.0
        self._steps = self._talk()
        self.over = anyio.Event()

    def tick(self, now_s: float) -> None:
        """Send a frame and take the next step."""
        self._now_s = now_s
        self._line.tick(now_s)
        if self._line.ended_by is not None:
            self.over.set()
        else:
            next(self._steps, None)

    def _talk(self) -> Steps:
        deadline_s = (self._line.connected_at_s or 0.0) + _GREETING_DEADLINE_S
        while self._line.last_audible_s is None and self._now_s < deadline_s:
            yield
        yield from self._bot_finishes()
        dialogue = self._material.dialogue(self._plan, self._random)
        while True:
            resume_s = self._now_s + self._random.uniform(*_PAUSE_S)
            while self._now_s < resume_s:
                yield
            yield from self._take_turn("turn", self._material.turns if dialogue is None else (next(dialogue),))

    def _take_turn(self, kind: ExchangeKind, recordings: Sequence[Recording]) -> Steps:
        said = yield from self._say(kind, self._random.choice(recordings))
        end_s = said.end_at_s or self._now_s
        while not self._replied_after(end_s):
            if self._now_s > end_s + self._plan.missed_after_s:
                break
            yield
        else:
            yield from self._maybe_interrupt()
        yield from self._bot_finishes()

    def _maybe_interrupt(self) -> Steps:
        roll = self._random.random()
        started_s = self._line.segment_started_s or self._now_s
        plan = self._plan
        moment_s = started_s + self._random.uniform(*(_INTERRUPT_AT_S if roll < plan.barge_in_share else _MURMUR_AT_S))
        if roll >= plan.barge_in_share + plan.backchannel_share + plan.cough_share:
            return
        while self._now_s < moment_s:
            yield
        if self._line.quiet_for_s(self._now_s) > 0.1:
            return
        if roll < plan.barge_in_share:
            yield from self._take_turn("barge_in", self._material.interruptions)
        elif roll < plan.barge_in_share + plan.backchannel_share and self._material.backchannels:
            yield from self._say("backchannel", self._random.choice(self._material.backchannels))
        else:
            yield from self._say("cough", self._random.choice(self._material.coughs))

    def _say(self, kind: ExchangeKind, recording: Recording) -> Generator[None, None, Utterance]:
        said = self._line.say(recording)
        self._call.exchanges.append(Exchange(kind, said))
        while not said.finished:
            yield
        return said

    def _bot_finishes(self) -> Steps:
        deadline_s = self._now_s + _SPEECH_DEADLINE_S
        while self._line.quiet_for_s(self._now_s) < self._plan.quiet_s and self._now_s < deadline_s:
            yield

    def _replied_after(self, end_s: float) -> bool:
        started_s = self._line.segment_started_s
        return started_s is not None and started_s > end_s


@dataclass(slots=True)
class LoadResult:
    """The calls that were made, and what kept others from being made."""

    calls: list[LoadedCall] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    begun_s: float = 0.0
    """When the first caller might call, on the system's monotonic clock."""
    ended_s: float = 0.0
    """When the last call was over."""


class LoadRun:
    """Places the calls of a plan against one server and keeps every one of them up until its time is over.

    Raises:
        ConfigurationError: a recording of its dialogues is missing, or there is no such line.
    """

    def __init__(self, plan: LoadPlan, material: Material, port: int, metronome: Metronome) -> None:
        self._plan = plan
        self._material = material
        self._port = port
        self._metronome = metronome
        self._noise = LineNoise(seed=plan.seed)
        self._sounds = LineSounds(plan.seed, material.turns)
        self._profile = line_profile(plan.line)
        if plan.line != CLEAN:
            self._prepare_line(material)
        known = {recording.name for recording in material.turns}
        for name in {name for names in plan.dialogues for name in names} - known:
            raise ConfigurationError(f"the callers' dialogue needs '{name}', which the folder of recordings lacks")
        self.result: Final = LoadResult()

    def _prepare_line(self, material: Material) -> None:
        """Make now what would hold up the clock while calls are up."""
        telephone_band = self._profile.typical.telephone_band
        for noise in self._profile.noises or (self._profile.typical.noise,):
            LineImpairment(replace(self._profile.typical, noise=noise), self._sounds, 0)
        for recording in (*material.turns, *material.backchannels, *material.coughs):
            self._sounds.speech(recording, telephone_band=telephone_band)

    async def run(self) -> LoadResult:
        """Make all calls; returns when every one of them is over. Cancelling hangs all of them up."""
        self.result.begun_s = anyio.current_time()
        async with anyio.create_task_group() as clock:
            clock.start_soon(self._metronome.run)
            async with anyio.create_task_group() as callers:
                for number in range(self._plan.calls):
                    callers.start_soon(self._call_for_a_while, self._plan.seed * 100_003 + number)
            clock.cancel_scope.cancel()
        self.result.ended_s = anyio.current_time()
        return self.result

    async def _call_for_a_while(self, seed: int) -> None:
        source = random.Random(seed)
        await anyio.sleep(source.uniform(0, self._plan.ramp_s))
        with anyio.move_on_after(self._plan.seconds):
            while True:
                await self._one_call(source, self._impairment(seed))
                if not self._plan.redials:
                    return
                await anyio.sleep(_REDIAL_S)

    def _impairment(self, seed: int) -> LineImpairment | None:
        """The caller's line, the same in every call; its draws do not move the caller's own."""
        if self._plan.line == CLEAN:
            return None
        return LineImpairment(self._profile.draw(random.Random(seed)), self._sounds, seed)

    async def _one_call(self, source: random.Random, impairment: LineImpairment | None) -> None:
        loop = asyncio.get_running_loop()
        call_id = uuid.UUID(int=source.getrandbits(128), version=4)
        line = CallerLine(call_id, self._noise, clock=loop.time, impairment=impairment)
        try:
            await connect(line, "127.0.0.1", self._port)
        except CallEnded as error:
            self.result.refused.append(str(error))
            return
        call = LoadedCall(line)
        self.result.calls.append(call)
        caller = LoadCaller(call, self._material, self._plan, source)
        detach = self._metronome.attach(caller.tick)
        try:
            await caller.over.wait()
        finally:
            detach()
            line.hang_up()
