"""How calls are conducted: patience, deadlines, barge-in."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

from kamerton.domain.errors import ConfigurationError
from kamerton.orchestrator.speculation import SpeculationSettings


@dataclass(frozen=True, slots=True)
class BargeInSettings:
    """Duck, decide, resume or yield (DESIGN section 6.4). Times count from the onset of the caller's speech."""

    duck_gain: float = 0.2
    """Loudness of the bot while speech is suspected (about -14 dB)."""
    hold_ms: float = 230.0
    """Speech this long silences the bot; it may still resume."""
    yield_ms: float = 560.0
    """Speech this long takes the floor even before its words are known; «угу» takes about 360 ms."""
    decide_ms: float = 1200.0
    """After a short sound: how long to wait for its words before going on."""
    real_speech_ms: float = 480.0
    """A sound without known words counts as real speech from this length on."""


@dataclass(frozen=True, slots=True)
class PatienceSettings:
    """Waiting and giving up."""

    filler_after_ms: float = 300.0
    """Thinking longer than this is covered by a filler."""
    filler_gap_ms: float = 1800.0
    """Pause between neutral fillers."""
    think_deadline_s: float = 12.0
    """After this an honest sentence is said instead of an answer."""
    prompt_deadline_s: float = 5.0
    """Longest wait for the audio of a system phrase; beyond it the call goes on, or ends, without the phrase."""
    voice_stall_s: float = 3.0
    """Longest silence in the middle of an answer whose voice does not go on; beyond it the answer has failed."""
    final_deadline_s: float = 9.0
    """Longest wait for a final transcript; beyond it the caller is asked to repeat."""
    silence_prompt_s: float = 10.0
    """Silence after which the caller is asked whether they are still there."""
    silence_goodbye_s: float = 10.0
    """Further silence after which the call ends with a good-bye."""
    call_limit_s: float = 900.0
    """Longest call."""
    goodbye_s: float = 20.0
    """Beyond that limit, the longest time until its good-bye was heard; then the call ends without it."""
    dtmf_gap_s: float = 1.5
    """Pause after the last key that ends a number typed on the phone's keys."""
    premature_ms: float = 900.0
    """Speech this soon after the end of a turn continues that turn."""
    noise_ms: float = 420.0
    """A sound shorter than this in which no words were found is no turn."""
    unheard_ms: float = 250.0
    """Of such sounds, one at least this long may have been a «да»: the caller is asked once to repeat it."""
    unheard_wait_s: float = 1.0
    """How long after such a sound the caller is asked, unless they speak."""
    reaction_ms: float = 400.0
    """Speech this soon after the first sound of an answer is no reaction to it: nobody is so fast."""
    talker_s: float = 12.0
    """Longest turn once somebody has talked through a whole one without a pause (a television, a crowd)."""
    leave_s: float = 4.0
    """How long a caller may go on speaking when the service stops."""


@dataclass(frozen=True, slots=True)
class CallSettings:
    """Everything the orchestrator can be told."""

    barge_in: BargeInSettings = field(default_factory=BargeInSettings)
    patience: PatienceSettings = field(default_factory=PatienceSettings)
    speculation: SpeculationSettings = field(default_factory=SpeculationSettings)
    recogniser_failures: int = 3
    """Turns in a row that the recogniser fails on, after which the call ends with an honest good-bye."""
    events: int = 512
    """Capacity of a call's event queue; more events than this at once end the call (a fault, not a load)."""

    def __post_init__(self) -> None:
        """Refuse times that cannot be waited for.

        Raises:
            ConfigurationError: a value is out of range.
        """
        for part in (self.barge_in, self.patience):
            for field_ in fields(part):
                value = getattr(part, field_.name)
                if not value > 0:
                    raise ConfigurationError(f"call: {field_.name} is {value}; set more than 0")
        if self.recogniser_failures < 1:
            raise ConfigurationError(f"call: recogniser_failures is {self.recogniser_failures}; set at least 1")
        if self.events < 16:
            raise ConfigurationError(f"call: events is {self.events}; set at least 16")
