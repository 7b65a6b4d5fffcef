"""How long and how much: the bounds of a model's server and of one spoken answer."""

from __future__ import annotations

from dataclasses import dataclass, fields

from kamerton.domain.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class ModelTimeouts:
    """How long to wait for a model's server, in seconds. While nobody asks for the next piece no time is counted."""

    connect_s: float = 3.0
    first_token_s: float = 10.0
    """From the request to the first text."""
    between_tokens_s: float = 6.0
    """From one piece of the stream to the next."""
    total_s: float = 60.0

    def __post_init__(self) -> None:
        """Refuse times that no answer could keep.

        Raises:
            ConfigurationError: a time is not positive.
        """
        _require_positive("model timeouts", self)


@dataclass(frozen=True, slots=True)
class TalkLimits:
    """Bounds of one spoken answer. Times are waits for the model; what voice and caller take is not counted."""

    max_tokens: int = 400
    """Asked of the model: 70 words of Russian take some 250 tokens, the JSON around them included."""
    max_words: int = 70
    """Longest answer that is spoken, some 30 s; it ends with a sentence, and the rest is dropped."""
    max_characters: int = 8_000
    """Longest raw output that is read, JSON included: an answer of 70 words in `\\uXXXX` escapes takes some 3000."""
    first_token_s: float = 6.0
    """To the first words that can be spoken."""
    stall_s: float = 4.0
    """Longest silence of the model once it has begun to write."""
    total_s: float = 20.0

    def __post_init__(self) -> None:
        """Refuse limits that no answer could keep.

        Raises:
            ConfigurationError: a limit is not positive.
        """
        _require_positive("talk limits", self)


def _require_positive(what: str, limits: ModelTimeouts | TalkLimits) -> None:
    wrong = [field.name for field in fields(limits) if not getattr(limits, field.name) > 0]
    if wrong:
        raise ConfigurationError(f"{what}: {', '.join(wrong)} must be greater than 0; correct the setting")
