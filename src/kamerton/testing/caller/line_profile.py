"""The lines that callers may have: what each of them does to a call, and how much of it one caller gets."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any, Final

from kamerton.domain.errors import ConfigurationError

Range = tuple[float, float]
"""Least and most; each caller gets something between."""

CLEAN: Final = "clean"


@dataclass(frozen=True, slots=True)
class CallerDamage:
    """What is wrong with one caller's line. Levels in dB; None, 0 and False are for what is not wrong."""

    line: str
    noise: str | None = None
    """`white`, `pink` or `music`."""
    noise_below_speech_db: float | None = None
    hum_below_speech_db: float | None = None
    """50 Hz with its harmonics at 100, 150 and 200 Hz."""
    offset: float = 0.0
    """Added to every sample (of 32768)."""
    echo_db: float | None = None
    """Level of what comes back, relative to what the caller hears."""
    echo_delay_ms: float = 0.0
    lost_share: float = 0.0
    """Of the frames; in bursts of one to five."""
    delay_variation_ms: float = 0.0
    """Frames are late by up to this, in steps of a frame, without overtaking."""
    dtx: bool = False
    """No frame is sent while the phone's microphone hears nothing but noise."""
    telephone_band: bool = False
    """300 to 3400 Hz, through mu-law."""

    def as_json(self) -> dict[str, Any]:
        """Plain values for a report."""
        return {name: round(value, 3) if isinstance(value, float) else value for name, value in asdict(self).items()}


@dataclass(frozen=True, slots=True)
class LineProfile:
    """A kind of line. `typical` is the caller in the middle; the ranges say how others differ from it."""

    typical: CallerDamage
    noises: tuple[str, ...] = ()
    noise_below_speech_db: Range | None = None
    echo_db: Range | None = None
    echo_delay_ms: Range | None = None

    def draw(self, source: random.Random) -> CallerDamage:
        """One caller's share; the same draws from the same source."""
        typical = self.typical
        return CallerDamage(
            line=typical.line,
            noise=source.choice(self.noises) if self.noises else typical.noise,
            noise_below_speech_db=_within(source, self.noise_below_speech_db, typical.noise_below_speech_db),
            hum_below_speech_db=typical.hum_below_speech_db,
            offset=typical.offset and typical.offset * source.choice((-1.0, 1.0)),
            echo_db=_within(source, self.echo_db, typical.echo_db),
            echo_delay_ms=_within(source, self.echo_delay_ms, typical.echo_delay_ms) or 0.0,
            lost_share=typical.lost_share,
            delay_variation_ms=typical.delay_variation_ms,
            dtx=typical.dtx,
            telephone_band=typical.telephone_band,
        )

    def as_json(self) -> dict[str, Any]:
        """What the line does, with the ranges that its callers are drawn from, for a report."""
        ranges = {
            "noise": self.noises or None,
            "noise_below_speech_db": self.noise_below_speech_db,
            "echo_db": self.echo_db,
            "echo_delay_ms": self.echo_delay_ms,
        }
        return self.typical.as_json() | {name: list(given) for name, given in ranges.items() if given is not None}


_KINDS: Final = (
    LineProfile(CallerDamage(CLEAN)),
    LineProfile(
        CallerDamage("noisy", noise="pink", noise_below_speech_db=10.0, hum_below_speech_db=20.0, offset=300.0),
        noises=("white", "pink"),
        noise_below_speech_db=(8.0, 12.0),
    ),
    LineProfile(
        CallerDamage("echo", echo_db=-18.0, echo_delay_ms=200.0),
        echo_db=(-30.0, -12.0),
        echo_delay_ms=(60.0, 400.0),
    ),
    LineProfile(CallerDamage("lossy", lost_share=0.03, delay_variation_ms=60.0)),
    LineProfile(
        CallerDamage(
            "mobile",
            noise="pink",
            noise_below_speech_db=25.0,
            echo_db=-25.0,
            echo_delay_ms=120.0,
            lost_share=0.01,
            dtx=True,
            telephone_band=True,
        ),
    ),
    LineProfile(CallerDamage("music", noise="music", noise_below_speech_db=14.0), noise_below_speech_db=(10.0, 18.0)),
)
PROFILES: Final[Mapping[str, LineProfile]] = MappingProxyType({kind.typical.line: kind for kind in _KINDS})


def line_profile(name: str) -> LineProfile:
    """The kind of line of a name.

    Raises:
        ConfigurationError: there is none; the message lists them.
    """
    try:
        return PROFILES[name]
    except KeyError:
        raise ConfigurationError(f"--line {name}: there is no such line; choose from {', '.join(PROFILES)}") from None


def parse_lines(text: str) -> tuple[LineProfile, ...]:
    """Read `clean,noisy,…`.

    Raises:
        ConfigurationError: a name is unknown, or given twice.
    """
    names = [part.strip() for part in text.split(",")]
    if len(set(names)) < len(names):
        raise ConfigurationError(f"--line {text}: name each line once")
    return tuple(line_profile(name) for name in names)


def _within(source: random.Random, bounds: Range | None, typical: float | None) -> float | None:
    return typical if bounds is None else source.uniform(*bounds)
