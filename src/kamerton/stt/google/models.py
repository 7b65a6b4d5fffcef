"""Which model is asked, where, and for what: the best that the service has not refused. Pure.

What a model serves differs by location and language, and is written down nowhere that can be trusted; so it is tried. A
refusal takes away what it complains of (the phrases, the second language), else the model.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import Final

from kamerton.stt.google.options import Candidate, GoogleSttOptions

log = logging.getLogger(__name__)

_LONGEST_PHRASE: Final = 100
_MOST_PHRASES: Final = 500
"""The service takes phrases of 100 characters, and more of them than a state of a dialogue expects."""
_OF_PHRASES: Final = ("adaptation", "phrase", "boost")
_OF_LANGUAGES: Final = ("multiple language", "language_codes", "language codes", "alternative language", "one language")


@dataclass(frozen=True, slots=True)
class Setup:
    """What a stream is opened for."""

    candidate: Candidate
    codes: tuple[str, ...]
    phrases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Served:
    """As far as refusals have led."""

    candidate: int = 0
    single: bool = False
    """Only the turn's own language."""
    phrases: bool = True
    bare: bool = False
    """All models have refused all of it; they are asked once more for the turn's language alone."""


class ModelChoice:
    """What is asked for in each language, for all calls."""

    def __init__(self, options: GoogleSttOptions) -> None:
        self._options = options
        self._candidates = options.candidates
        self._served: dict[str, _Served] = {}

    def setup(self, language: str, phrases: tuple[str, ...] = ()) -> Setup:
        """For a turn in this language in which these phrases are expected."""
        served = self._served.get(language, _Served(phrases=self._options.hints))
        codes = self._options.codes_of(language)
        usable = dict.fromkeys(phrase.strip()[:_LONGEST_PHRASE] for phrase in phrases if phrase.strip())
        return Setup(
            self._candidates[served.candidate],
            codes[:1] if served.single else codes,
            tuple(usable)[:_MOST_PHRASES] if served.phrases else (),
        )

    def refused(self, language: str, setup: Setup, why: str) -> bool:
        """The service refused this for the language.

        Returns:
            Whether there is something else to ask for.
        """
        now = self.setup(language, setup.phrases)
        if now != setup:
            # Another stream was told before, or had other phrases to offer.
            return True
        served = self._served.get(language, _Served(phrases=self._options.hints))
        following = self._following(served, setup, why.casefold())
        if following is None:
            return False
        self._served[language] = following
        log.warning(
            "Google refused what it was asked for; it is asked for less",
            extra={"language": language, "model": str(setup.candidate), "reason": why},
        )
        return True

    def _following(self, served: _Served, setup: Setup, why: str) -> _Served | None:
        if setup.phrases and any(word in why for word in _OF_PHRASES):
            return replace(served, phrases=False)
        if len(setup.codes) > 1 and any(word in why for word in _OF_LANGUAGES):
            return replace(served, single=True)
        if served.candidate + 1 < len(self._candidates):
            following = _Served(served.candidate + 1, phrases=self._options.hints)
            return replace(following, single=True, phrases=False, bare=True) if served.bare else following
        if not served.bare and (self._options.hints or self._options.also):
            return _Served(0, single=True, phrases=False, bare=True)
        return None
