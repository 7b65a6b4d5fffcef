"""Turns playlist entries into what will be said: prepared phrases, fillers in rotation, filled-in templates."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from kamerton.domain.dialogue import PlaylistItem
from kamerton.flow_engine.dialogue_map import DialogueMap, PlaylistEntry, State
from kamerton.flow_engine.templates import SpokenTemplate


class Speech:
    """The words of one assistant. Immutable; templates are compiled once."""

    def __init__(
        self, dialogue_map: DialogueMap, phrases: Mapping[str, str], fillers: Mapping[str, Sequence[str]]
    ) -> None:
        """Compile every template.

        Raises:
            TemplateRejected: one is broken; a validated map has none.
        """
        self._phrases = MappingProxyType(dict(phrases))
        self._fillers = MappingProxyType({group: tuple(texts) for group, texts in fillers.items()})
        sources = {entry.text_template for _, entry in dialogue_map.playlist_places() if entry.type == "tts"}
        self._templates = {source: SpokenTemplate(source) for source in sources}

    def items(
        self, entries: Iterable[PlaylistEntry], variables: Mapping[str, Any], turn: int
    ) -> tuple[PlaylistItem, ...]:
        """What the entries say.

        Args:
            entries: playlist of the map.
            variables: values for templates.
            turn: number that differs between successive turns; picks the fillers.

        Raises:
            MissingVariableError: a template needs a variable without a value.
            TemplateFailed: a template cannot be filled in.
        """
        said: list[PlaylistItem] = []
        for entry in entries:
            item = self._item(entry, variables, turn + sum(1 for done in said if done.type == "filler"))
            if item is not None:
                said.append(item)
        return tuple(said)

    def phrase(self, key: str) -> tuple[PlaylistItem, ...]:
        """A prepared phrase, or nothing when the assistant has none of that name."""
        text = self._phrases.get(key, "")
        return (PlaylistItem("cache", text, key),) if text else ()

    def _item(self, entry: PlaylistEntry, variables: Mapping[str, Any], turn: int) -> PlaylistItem | None:
        if entry.type == "tts":
            text = self._templates[entry.text_template].render(variables)
            return PlaylistItem("tts", text) if text else None
        if entry.type == "cache":
            return next(iter(self.phrase(entry.key)), None)
        texts = self._fillers.get(entry.key, ())
        return PlaylistItem("filler", texts[turn % len(texts)], entry.key) if texts else None


def short_question(state: State) -> tuple[PlaylistEntry, ...]:
    """The state's question alone: its `reprompt`, else the last prepared or synthesised item of its playlist."""
    response = state.system_response
    if response.reprompt:
        return response.reprompt
    return next(((entry,) for entry in reversed(response.playlist) if entry.type != "filler"), ())
