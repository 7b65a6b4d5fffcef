"""Assistant folders: reads one whole, checks everything in it, and reports every fault at once.

A folder is untrusted text from an author: files are bounded in size, must be UTF-8 and must not lead out of the
folder. Nothing of it is executed here; the scenario is judged by `flow_engine`, examples and answers by
`intent_classifier`. `docs/authoring.md` describes the layout for authors.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Final

from kamerton.answers.catalogue import AnswerEntry, parse_answers, parse_not_answered
from kamerton.audio.wav import read_wav_file
from kamerton.config.builtin_phrases import BUILT_IN_PHRASES
from kamerton.config.folder_reader import UNREADABLE, FolderReader, Unavailable
from kamerton.domain.errors import AssistantError, ConfigurationError
from kamerton.flow_engine.dialogue_map import DialogueMap
from kamerton.flow_engine.parsing import parse_dialogue_map
from kamerton.flow_engine.problems import Problems, did_you_mean
from kamerton.flow_engine.templates import SpokenTemplate
from kamerton.flow_engine.validation import Surroundings, load_dialogue_map
from kamerton.intent_classifier.catalogue import FaqEntry, IntentExamples, parse_intents
from kamerton.orchestrator.fillers import ECHO_GROUP
from kamerton.orchestrator.settings import BargeInSettings, CallSettings, PatienceSettings

LANGUAGES: Final = tuple(BUILT_IN_PHRASES)
"""Languages in which numbers and agreement are understood and spoken."""

REQUIRED_PHRASES: Final = (
    "still_there",
    "silence_goodbye",
    "apology",
    "max_length",
    "not_heard",
    "offer",
    "busy",
    "operator_unavailable",
)
"""Phrases that the engine itself says, whatever the scenario."""

OPTIONAL_PHRASES: Final = ("non_secure_response", "model_failed", *BUILT_IN_PHRASES["ru"])
"""The first two are said instead of a language model's answer, and `offer` stands in for them; for the others a
built-in text does."""

REQUIRED_FILLERS: Final = ("thinking", "still_working")
"""Filler groups that the engine itself plays while an answer takes time."""

KNOWLEDGE_LIMIT: Final = 12_000
"""Characters of knowledge: a third of a small model's window, read anew for every answer."""

WAV_LIMIT_BYTES: Final = 20_000_000
RECORDING_LIMIT_S: Final = 120.0
"""Nobody listens longer to one phrase."""

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_LONGEST_TIMING = {"_s": 3_600.0, "_ms": 60_000.0}


@dataclass(frozen=True, slots=True)
class Assistant:
    """One assistant as its folder describes it, checked and ready to use."""

    name: str
    """Name of the folder."""
    title: str
    """Name for people."""
    language: str
    folder: Path
    flow: DialogueMap
    phrases: Mapping[str, str]
    """What each phrase key says, the built-in ones among them."""
    fillers: Mapping[str, tuple[str, ...]]
    """Filler groups: lines in the order in which they are said."""
    intents: tuple[IntentExamples, ...]
    answers: tuple[AnswerEntry, ...]
    """Prepared answers."""
    recordings: Mapping[str, Path]
    """Texts that are not synthesised but played from a WAV file of the folder."""
    timings: Mapping[str, float] = field(default_factory=dict)
    """Overrides of timing, by the field names of `PatienceSettings` and `BargeInSettings`."""
    not_answered: tuple[AnswerEntry, ...] = ()
    """Questions that are known to have no prepared answer, one entry for each."""
    knowledge: str = ""
    """What a language model may tell callers; empty when the author says nothing."""

    @property
    def searched(self) -> tuple[AnswerEntry, ...]:
        """What is searched when a caller asks: the prepared answers, and the questions without one."""
        return (*self.answers, *self.not_answered)

    @property
    def faq(self) -> tuple[FaqEntry, ...]:
        """The prepared answers as the classifier sees them: what is asked there is none of its intents."""
        return tuple(
            FaqEntry(entry.answer_id, entry.question, entry.answer, entry.variants, entry.wav) for entry in self.answers
        )

    def call_settings(self, defaults: CallSettings) -> CallSettings:
        """The settings of this assistant's calls: its own timing over the defaults."""
        patience = {name: value for name, value in self.timings.items() if name in _timing_names(PatienceSettings)}
        barge_in = {name: value for name, value in self.timings.items() if name in _timing_names(BargeInSettings)}
        return replace(
            defaults,
            patience=replace(defaults.patience, **patience),
            barge_in=replace(defaults.barge_in, **barge_in),
        )


def list_assistants(roots: Sequence[Path]) -> Mapping[str, Path]:
    """Assistants by name with their folders; of two with the same name the one in the earlier root counts."""
    found: dict[str, Path] = {}
    for root in roots:
        if root.is_dir():
            for folder in sorted(root.iterdir()):
                if _NAME.fullmatch(folder.name) and (folder / "assistant.yaml").is_file():
                    found.setdefault(folder.name, folder)
    return found


def find_assistant(name: str, roots: Sequence[Path]) -> Path:
    """The folder of an assistant.

    Raises:
        AssistantError: there is none of that name; the message lists those that there are.
    """
    known = list_assistants(roots)
    if name in known:
        return known[name]
    offered = ", ".join(known) or "none"
    places = ", ".join(str(root) for root in roots) or "no folder"
    problem = f"there is no such assistant in {places}; available: {offered}{did_you_mean(name, known)}"
    raise AssistantError(name, (problem,))


def load_assistant(path: Path) -> Assistant:
    """Read and check an assistant's folder.

    Raises:
        AssistantError: the folder is missing or broken; `problems` lists every fault with file and place.
    """
    if not path.is_dir():
        siblings = ", ".join(list_assistants([path.parent])) or "none"
        raise AssistantError(path.name, (f"{path} is not a folder; assistants beside it: {siblings}",))
    reader = FolderReader(path)
    name, title, language, timings = _read_passport(reader)
    phrases, fillers = _read_phrases(reader, language)
    intents = _read_intents(reader, name)
    answers = _read_answers(reader, name)
    not_answered = _read_not_answered(reader, name, answers)
    flow = reader.judge(lambda: _read_flow(reader, name, phrases, fillers, intents), None)
    recordings = _read_recordings(reader, phrases, answers)
    knowledge = _read_knowledge(reader)
    if reader.problems or flow is None:
        raise AssistantError(path.resolve().name, tuple(dict.fromkeys(reader.problems)))
    return Assistant(
        name=name,
        title=title,
        language=language,
        folder=path,
        flow=flow,
        phrases=phrases or {},
        fillers=fillers or {},
        intents=intents or (),
        answers=answers,
        recordings=recordings,
        timings=timings,
        not_answered=not_answered,
        knowledge=knowledge,
    )


def static_texts(assistant: Assistant) -> tuple[str, ...]:
    """Every text that can be rendered before the first call, once each, those of the start state first.

    These are phrases, fillers, prepared answers and templates without variables; texts with a recording are among
    them.
    """
    return tuple(dict.fromkeys(text for text in _all_static_texts(assistant) if text))


def _all_static_texts(assistant: Assistant) -> Iterator[str]:
    start = assistant.flow.states[assistant.flow.start_state]
    for entry in start.system_response.playlist:
        if entry.type == "cache":
            yield assistant.phrases[entry.key]
    yield from assistant.phrases.values()
    for group, lines in assistant.fillers.items():
        if group != ECHO_GROUP:
            yield from lines
    for _, entry in assistant.flow.playlist_places():
        if entry.type == "tts":
            template = SpokenTemplate(entry.text_template)
            if not template.names:
                yield template.render({})
    for answer in assistant.answers:
        yield answer.answer


def _read_passport(reader: FolderReader) -> tuple[str, str, str, Mapping[str, float]]:
    file = "assistant.yaml"
    folder_name = reader.folder.resolve().name
    document = reader.judge(lambda: reader.need_yaml(file), UNREADABLE)
    if document is UNREADABLE:
        return folder_name, "", LANGUAGES[0], {}
    data = reader.table(document, file, ("name", "title", "language", "timings"))
    name, language = data.get("name"), data.get("language")
    if name != folder_name:
        reader.add(f"{file}: name", f"must be the name of the folder, '{folder_name}', not '{name}'")
    if not _NAME.fullmatch(folder_name):
        reader.add(f"{file}: name", f"'{folder_name}' must consist of small Latin letters, digits, '-' and '_'")
    if language not in LANGUAGES:
        reader.add(f"{file}: language", f"must be one of {', '.join(LANGUAGES)}, not '{language}'")
    title = reader.spoken(data.get("title"), f"{file}: title")
    return folder_name, title, str(language), _read_timings(reader, data.get("timings", {}), f"{file}: timings")


def _read_timings(reader: FolderReader, value: Any, place: str) -> Mapping[str, float]:
    known = (*_timing_names(PatienceSettings), *_timing_names(BargeInSettings))
    found: dict[str, float] = {}
    for name, entry in reader.table(value, place, known).items():
        if name not in known:
            continue
        longest = next(limit for suffix, limit in _LONGEST_TIMING.items() if name.endswith(suffix))
        if isinstance(entry, bool) or not isinstance(entry, int | float) or not 0 < entry <= longest:
            reader.add(f"{place}.{name}", f"must be a number above 0 and at most {longest:g}, not '{entry}'")
        else:
            found[name] = float(entry)
    return found


def _timing_names(settings: type[PatienceSettings] | type[BargeInSettings]) -> tuple[str, ...]:
    return tuple(entry.name for entry in fields(settings) if entry.name.endswith(tuple(_LONGEST_TIMING)))


def _read_phrases(
    reader: FolderReader, language: str
) -> tuple[Mapping[str, str] | None, Mapping[str, tuple[str, ...]] | None]:
    file = "phrases.json"
    document = reader.judge(lambda: reader.need_json(file), UNREADABLE)
    if document is UNREADABLE:
        return None, None
    data = reader.table(document, file, ("phrases", "fillers"))
    texts = reader.table(data.get("phrases"), f"{file}: phrases")
    groups = reader.table(data.get("fillers"), f"{file}: fillers")
    for key in (*texts, *groups):
        if not _KEY.fullmatch(key):
            reader.add(file, f"the key '{key}' must consist of Latin letters, digits, '_', '-' and '.'")
    _require(reader, file, "phrase", REQUIRED_PHRASES, texts)
    _require(reader, file, "group of fillers", REQUIRED_FILLERS, groups)
    phrases = {key: reader.spoken(text, f"{file}: phrases.{key}") for key, text in texts.items()}
    fillers: dict[str, tuple[str, ...]] = {}
    for key, lines in groups.items():
        place = f"{file}: fillers.{key}"
        if not isinstance(lines, list) or not lines:
            reader.add(place, "must be a list of texts with at least one in it")
            lines = []
        if key == ECHO_GROUP and isinstance(lines, list) and not all("{topic}" in str(line) for line in lines):
            reader.add(place, "must name the caller's question as {topic} in each text")
        fillers[key] = tuple(reader.spoken(line, f"{place}[{index}]") for index, line in enumerate(lines))
    return {**phrases, **_built_in_but(phrases, language)}, fillers


def _built_in_but(phrases: Mapping[str, str], language: str) -> Mapping[str, str]:
    built_in = BUILT_IN_PHRASES.get(language, {})
    return {key: text for key, text in built_in.items() if key not in phrases}


def _require(reader: FolderReader, file: str, kind: str, keys: Iterable[str], given: Collection[str]) -> None:
    for key in keys:
        if key not in given:
            hint = did_you_mean(key, given)
            reader.add(file, f"the {kind} '{key}' is missing; the engine says it in every assistant{hint}")


def _read_intents(reader: FolderReader, name: str) -> tuple[IntentExamples, ...] | None:
    return reader.judge(lambda: parse_intents(reader.need_json("intents.json"), name), None)


def _read_flow(
    reader: FolderReader,
    name: str,
    phrases: Mapping[str, str] | None,
    fillers: Mapping[str, tuple[str, ...]] | None,
    intents: Sequence[IntentExamples] | None,
) -> DialogueMap:
    """The judged scenario. A file that could not be read is taken to offer whatever the scenario asks of it."""
    text = reader.need_text("dialogue_map.json")
    draft = parse_dialogue_map(text, Problems("dialogue_map.json")) or DialogueMap()
    wanted = [entry for _, entry in draft.playlist_places()]
    heard = [intent for _, intent, _ in draft.transition_places()]
    surroundings = Surroundings(
        phrases=[entry.key for entry in wanted] if phrases is None else phrases,
        filler_groups=[entry.key for entry in wanted] if fillers is None else fillers,
        intents=heard if intents is None else [intent.name for intent in intents],
    )
    return load_dialogue_map(text, name, surroundings)


def _read_answers(reader: FolderReader, name: str) -> tuple[AnswerEntry, ...]:
    file = "data.json"
    nothing: tuple[AnswerEntry, ...] = ()
    document = reader.judge(lambda: reader.need_json(file), UNREADABLE)
    if document is UNREADABLE:
        return nothing
    answers = reader.judge(lambda: parse_answers(document, name), nothing)
    for entry in answers:
        reader.spoken(entry.answer, f"{file}: entry '{entry.answer_id}': answer")
    return answers


def _read_not_answered(reader: FolderReader, name: str, answers: Sequence[AnswerEntry]) -> tuple[AnswerEntry, ...]:
    file = "not_answered.json"
    if not (reader.folder / file).exists():
        return ()
    return reader.judge(lambda: parse_not_answered(reader.need_json(file), name, answers), ())


def _read_knowledge(reader: FolderReader) -> str:
    file = "knowledge.md"
    if not (reader.folder / file).exists():
        return ""
    text = reader.judge(lambda: reader.need_text(file), "").strip()
    if len(text) > KNOWLEDGE_LIMIT:
        reader.add(
            file, f"has {len(text)} characters, at most {KNOWLEDGE_LIMIT} are allowed; keep what callers ask for"
        )
    return text


def _read_recordings(
    reader: FolderReader, phrases: Mapping[str, str] | None, answers: Sequence[AnswerEntry]
) -> Mapping[str, Path]:
    texts = {f"{key}.wav": text for key, text in (phrases or {}).items()}
    texts |= {entry.wav: entry.answer for entry in answers if entry.wav is not None}
    present = reader.names_in("audio")
    wanted = [entry.wav for entry in answers if entry.wav is not None]
    for name in wanted:
        if name not in present:
            reader.add("data.json", f"there is no recording audio/{name}; add the file or remove 'wav'")
    found: dict[str, Path] = {}
    for name in present:
        if not name.lower().endswith(".wav"):
            continue
        if name not in texts:
            if phrases is not None:
                hint = did_you_mean(name, texts) or "; name it after a key of phrases.json or delete it"
                reader.add(f"audio/{name}", f"nothing says this recording{hint}")
            continue
        path = _usable_wav(reader, f"audio/{name}")
        if path is not None:
            found[texts[name]] = path
    return found


def _usable_wav(reader: FolderReader, name: str) -> Path | None:
    try:
        path = reader.locate(name, WAV_LIMIT_BYTES)
        read_wav_file(path, max_duration_s=RECORDING_LIMIT_S)
    except Unavailable:
        return None
    except ConfigurationError as error:
        reader.problems.append(str(error).replace(str(reader.folder / name), name))
        return None
    return path
