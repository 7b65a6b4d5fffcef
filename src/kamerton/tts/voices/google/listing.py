"""Which of the voices that Google lists speaks. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from kamerton.domain.errors import VendorError
from kamerton.domain.foreign_text import shown_line

_KINDS: Final = ("Chirp3-HD", "Chirp-HD", "Studio", "Neural2", "Wavenet", "Standard")
"""Best first. A voice's name is `LANGUAGE-KIND-SPEAKER`."""
_SPEAKERS: Final = ("Kore", "Aoede", "Leda", "A")
"""Of the best kind these are taken first; any other comes after them, by its name."""
_MOST_NAMED: Final = 60


@dataclass(frozen=True, slots=True)
class ListedVoice:
    """A voice as it is listed."""

    name: str
    codes: tuple[str, ...]
    """Languages that it speaks: `uk-UA`."""

    @property
    def kind(self) -> str:
        """What prices and abilities go by: `Chirp3-HD`; empty when it is none that is known."""
        return next((kind for kind in _KINDS if f"-{kind.casefold()}-" in f"{self.name.casefold()}-"), "")

    @property
    def streams(self) -> bool:
        """Whether its audio can be had while it is made: Chirp 3 HD only, by the vendor's documents."""
        return self.kind == "Chirp3-HD"


def chosen_voice(listed: Sequence[ListedVoice], code: str, wanted: str, where: str) -> ListedVoice:
    """The voice that speaks a language.

    Args:
        listed: what the service has.
        code: of the language: `uk-UA`.
        wanted: a name, or the end of one; empty: the best.
        where: is asked, for messages.

    Raises:
        VendorError: no voice of the language is listed, or not this one.
    """
    able = [voice for voice in listed if code in voice.codes]
    if not able:
        raise VendorError(f"{where} lists no voice for {code}; choose another voice for this language", "rejected")
    if not wanted:
        return min(able, key=_rank)
    found = [voice for voice in able if voice.name.casefold() == wanted.casefold()]
    found = found or [voice for voice in able if voice.name.casefold().endswith(f"-{wanted.casefold()}")]
    if not found:
        names = ", ".join(shown_line(voice.name, 60) for voice in sorted(able, key=_rank)[:_MOST_NAMED])
        more = f" and {len(able) - _MOST_NAMED} more" if len(able) > _MOST_NAMED else ""
        raise VendorError(
            f"{where} has no voice '{wanted}' for {code}; set voice.google.voice to one of: {names}{more}", "rejected"
        )
    return min(found, key=_rank)


def _rank(voice: ListedVoice) -> tuple[int, int, str]:
    kind = _KINDS.index(voice.kind) if voice.kind else len(_KINDS)
    speaker = voice.name.rpartition("-")[2]
    return kind, _SPEAKERS.index(speaker) if speaker in _SPEAKERS else len(_SPEAKERS), voice.name
