"""What a scripted caller says: `WAV` after the bot has finished, `WAV@S` S seconds into the bot's reply."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kamerton.domain.errors import ConfigurationError

LATEST_S: Final = 600.0

_ITEM: Final = re.compile(r"(?P<path>.+?)(?:@(?P<at>[^@/\\]*))?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class ScriptItem:
    """One file, and the instant into the bot's reply at which it is played (None: after the reply)."""

    path: Path
    at_s: float | None = None


def parse_item(text: str) -> ScriptItem:
    """Read `WAV` or `WAV@S`. A file whose own name holds an `@` is taken as it is when it exists.

    Raises:
        ConfigurationError: S is no number of seconds between 0 and 600, or the file does not exist.
    """
    if text and Path(text).is_file():
        return ScriptItem(Path(text))
    found = _ITEM.fullmatch(text)
    if found is None:
        raise ConfigurationError("an empty name was given where a WAV file is expected: give WAV or WAV@SECONDS")
    path, at = Path(found["path"]), found["at"]
    if not path.is_file():
        raise ConfigurationError(f"'{path}' is not a file: give the path of a WAV file, as WAV or WAV@SECONDS")
    return ScriptItem(path, None if at is None else _seconds(at, text))


def parse_script(texts: list[str]) -> tuple[ScriptItem, ...]:
    """Read all items.

    Raises:
        ConfigurationError: one of them is wrong; the message names it.
    """
    return tuple(parse_item(text) for text in texts)


def _seconds(at: str, text: str) -> float:
    try:
        seconds = float(at.replace(",", "."))
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds <= LATEST_S:
        raise ConfigurationError(
            f"'{text}': what follows the @ must be seconds into the bot's reply, from 0 to {LATEST_S:.0f}, such as @1.2"
        )
    return seconds
