"""How long the vendor may be waited for. No I/O, no clock."""

from __future__ import annotations


class Pace:
    """A budget of waiting: for the first audio, and from then on for audio that falls behind the voice.

    Waiting uses it up, audio fills it again, up to `gap_s`. A service that stops, one that drips and one that is slower
    than speech therefore all end, and one that keeps ahead may take as long as it speaks.

    Args:
        first_audio_s: longest wait for the first audio.
        gap_s: the budget from then on.
    """

    def __init__(self, first_audio_s: float, gap_s: float) -> None:
        self._gap_s = gap_s
        self._begun = False
        self.left_s = first_audio_s
        """How long the next answer may be waited for; not below 0."""

    @property
    def begun(self) -> bool:
        """Whether there was audio."""
        return self._begun

    def spend(self, waited_s: float) -> None:
        """So long was waited."""
        self.left_s = max(0.0, self.left_s - waited_s)

    def earn(self, audio_s: float) -> None:
        """So much audio came."""
        if audio_s > 0:
            self.left_s = min(self._gap_s, self.left_s + audio_s) if self._begun else self._gap_s
            self._begun = True
