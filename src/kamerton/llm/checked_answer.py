"""One answer of a model on its way to the voice: parsed, cleaned, guarded and kept short, piece by piece."""

from __future__ import annotations

from kamerton.domain.errors import EngineError
from kamerton.llm.answer_language import LanguageGuard
from kamerton.llm.answer_length import AnswerLength
from kamerton.llm.answer_words import SpokenWords
from kamerton.llm.instructions import guarded_part
from kamerton.llm.leak_guard import LeakGuard
from kamerton.llm.limits import TalkLimits
from kamerton.llm.structured_answer import StructuredAnswerParser


class CheckedAnswer:
    """Reads the raw output of one generation and gives out what may be spoken. No clock, no I/O."""

    def __init__(self, instructions: str, language: str, limits: TalkLimits) -> None:
        self._limits = limits
        self._parser = StructuredAnswerParser()
        self._words = SpokenWords()
        self._script = LanguageGuard(language)
        self._leaks = LeakGuard(guarded_part(instructions))
        self._length = AnswerLength(limits.max_words)
        self._read_characters = 0
        self._filtered = False
        self.whole = False
        """The object was read to its end; only the vendor's counts may follow."""
        self.released = False
        """Something may be spoken already."""

    @property
    def refused(self) -> bool:
        """The model or its vendor judged the turn unsafe, or the answer recites the instructions."""
        return self._parser.is_safe is False or self._leaks.leaked or self._filtered

    @property
    def leaked(self) -> bool:
        """The refusal is the leak guard's."""
        return self._leaks.leaked

    @property
    def over(self) -> bool:
        """Nothing more of the model's output is needed."""
        return self.refused or self.whole or self._length.full

    def push(self, text: str) -> str:
        """Take raw output; return what may be spoken of it, cleaned.

        Raises:
            EngineError: the output is malformed, endless, empty or in another script. What was returned before stands.
        """
        self._read_characters += len(text)
        decoded = self._parser.push(text)
        if self._parser.is_safe is False:
            return ""
        speakable = self._pass_words(self._words.push(decoded))
        if not self.over and self._parser.failure is None and self._parser.complete:
            speakable = self._finish_words(speakable)
        if self.refused:
            return ""
        self.released = self.released or bool(speakable)
        if not self.over:
            self._require_sound()
        return speakable

    def end(self, *, filtered: bool = False) -> None:
        """The model stopped writing; `filtered` says that its vendor made it stop.

        Raises:
            EngineError: the answer was cut off.
        """
        self._filtered = filtered
        if not self.over:
            self._parser.finish()

    def _require_sound(self) -> None:
        if self._parser.failure is not None:
            self._parser.finish()
        if self._read_characters > self._limits.max_characters:
            raise EngineError(
                f"the language model's answer cannot be used: it does not end within {self._limits.max_characters} "
                "characters; ask again, or use a model that keeps to the asked length",
                "model_answer",
            )

    def _pass_words(self, words: list[str], *, last: bool = False) -> str:
        in_script = [passed for word in words for passed in self._script.push(word)]
        in_script += self._script.finish() if last else []
        if self._script.foreign:
            raise EngineError(
                "the language model's answer cannot be used: it is written in another script than the assistant's "
                "language; ask again, or use a model that knows the language",
                "model_answer",
            )
        unleaked = [passed for word in in_script for passed in self._leaks.push(word)]
        unleaked += self._leaks.finish() if last else []
        passed = [passed for word in unleaked for passed in self._length.push(word)]
        passed += self._length.finish() if last else []
        return "".join(passed)

    def _finish_words(self, before: str) -> str:
        """What waits still, behind what the same push released."""
        speakable = before + self._pass_words(self._words.finish(), last=True)
        if not (self.released or speakable or self.refused):
            raise EngineError("the language model's answer cannot be used: it is empty; ask again", "model_answer")
        self.whole = True
        return speakable
