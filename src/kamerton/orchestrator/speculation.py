"""Work ahead of a turn's end: when it may be done, when it may be used, and what came of it. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from kamerton.domain.errors import ConfigurationError
from kamerton.domain.notices import SpeculationRecord

_WORDS = re.compile(r"[^\W_]+")


@dataclass(frozen=True, slots=True)
class SpeculationSettings:
    """How much may be done ahead. Only the language model costs money, so only it is budgeted."""

    enabled: bool = True
    model_per_turn: int = 2
    """How often the model may be asked ahead within one turn; 0 asks it only when the turn has ended."""
    waste_share: float = 0.3
    """Share of a call's questions to the model that may be asked in vain; beyond it none is asked ahead."""

    def __post_init__(self) -> None:
        """Refuse budgets that mean nothing.

        Raises:
            ConfigurationError: a value is out of range.
        """
        if self.model_per_turn < 0:
            raise ConfigurationError(f"speculation: model_per_turn is {self.model_per_turn}; set 0 or more")
        if not 0 <= self.waste_share <= 1:
            raise ConfigurationError(f"speculation: waste_share is {self.waste_share}; set 0 to 1")


def meaning_of(readings: tuple[str, ...]) -> tuple[str, ...]:
    """The words of each reading without case, punctuation and «ё»: transcripts that differ in these mean the same."""
    said = (" ".join(_WORDS.findall(reading.casefold().replace("ё", "е"))) for reading in readings)
    return tuple(dict.fromkeys(said))


@dataclass(slots=True)
class SpeculationLedger:
    """The account of one call. Instants in seconds on one clock."""

    settings: SpeculationSettings = field(default_factory=SpeculationSettings)
    asked: int = 0
    """Questions put to the model in this call, ahead or not."""
    wasted: int = 0
    """Of them, those asked ahead in vain."""
    _started: int = 0
    _model_started: int = 0
    """Since the last turn that was answered."""
    _turn_asked: int = 0
    """Since the last turn that was decided."""

    def began(self) -> None:
        """A decision is made ahead."""
        self._started += 1

    def may_ask_model(self) -> bool:
        """Whether the model may be asked ahead now."""
        if self._turn_asked >= self.settings.model_per_turn:
            return False
        return self.wasted == 0 or self.wasted / self.asked < self.settings.waste_share

    def asked_model(self, *, ahead: bool) -> None:
        """The model is asked."""
        self.asked += 1
        self._model_started += ahead
        self._turn_asked += ahead

    def wasted_model(self) -> None:
        """An answer that was asked for ahead is not wanted."""
        self.wasted += 1

    def settle(self, started_s: float | None, now_s: float, *, model: bool = False) -> SpeculationRecord:
        """The turn is decided. Until it is answered its account stays open: it may go on, and be decided again.

        Args:
            started_s: when the work began that is now used; None when none is.
            now_s: now.
            model: the work that is used includes the model's answer.
        """
        hit = started_s is not None
        saved_ms = (now_s - started_s) * 1000 if started_s is not None else 0.0
        record = SpeculationRecord(self._started, hit, self._model_started, hit and model, saved_ms)
        self._turn_asked = 0
        return record

    def answered(self) -> None:
        """The answer to the turn sounds; begin the account of the next one."""
        self._started = self._model_started = 0
