"""Assistant folders: what a good one gives, and that every fault of a broken one is named at once."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from paths import REPO

from kamerton.audio.wav import wav_bytes
from kamerton.config.assistant_folder import (
    KNOWLEDGE_LIMIT,
    REQUIRED_PHRASES,
    find_assistant,
    list_assistants,
    load_assistant,
    static_texts,
)
from kamerton.config.builtin_phrases import BUILT_IN_PHRASES
from kamerton.domain.audio import PHONE
from kamerton.domain.errors import AssistantError
from kamerton.orchestrator.settings import CallSettings

EXAMPLES = REPO / "tests" / "data" / "assistants"
SHIPPED = REPO / "assistants"
SECOND_OF_SILENCE = wav_bytes(bytes(16_000), PHONE)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A sound assistant that a test may break."""
    return Path(shutil.copytree(EXAMPLES / "kaviarnia", tmp_path / "kaviarnia"))


def problems_of(folder: Path) -> tuple[str, ...]:
    with pytest.raises(AssistantError) as caught:
        load_assistant(folder)
    return caught.value.problems


def the_problem_of(folder: Path) -> str:
    found = problems_of(folder)
    assert len(found) == 1, found
    return found[0]


def edit_json(path: Path, change: Callable[[Any], None]) -> None:
    document = json.loads(path.read_text(encoding="utf-8"))
    change(document)
    path.write_text(json.dumps(document, ensure_ascii=False), encoding="utf-8")


def test_the_shipped_assistant_is_sound_and_has_what_was_promised() -> None:
    assistant = load_assistant(SHIPPED / "insurance")
    assert assistant.language == "ru"
    assert len(assistant.flow.states) >= 12
    assert len(assistant.faq) == 25
    assert all(len(entry.variants) >= 4 for entry in assistant.faq)
    assert all(len(intent.examples) >= 8 for intent in assistant.intents)
    assert "автоматический помощник" in assistant.phrases["greeting"]


def test_a_second_assistant_in_another_language_needs_no_python() -> None:
    assistant = load_assistant(EXAMPLES / "kaviarnia")
    assert (assistant.name, assistant.language) == ("kaviarnia", "uk")
    assert assistant.flow.start_state == "order"
    assert assistant.fillers["still_working"] == ("Ще секунду.", "Вже майже готово.")
    assert assistant.faq[0].faq_id == "hours"


def test_timings_override_the_defaults_and_leave_the_rest() -> None:
    settings = load_assistant(EXAMPLES / "kaviarnia").call_settings(CallSettings())
    assert settings.patience.silence_prompt_s == 6
    assert settings.patience.filler_after_ms == 250
    assert settings.patience.silence_goodbye_s == CallSettings().patience.silence_goodbye_s
    assert settings.barge_in == CallSettings().barge_in


def test_static_texts_are_everything_that_needs_no_variable_greeting_first() -> None:
    texts = static_texts(load_assistant(EXAMPLES / "kaviarnia"))
    assert texts[:2] == ("Вітаю! Це кав'ярня «Зерно».", "Скільки чашок кави вам приготувати?")
    assert {"Хвилинку.", "Так, приймаємо картки.", "То скільки?", "Ви ще на лінії?"} <= set(texts)
    assert not any("{{" in text for text in texts)
    assert len(texts) == len(set(texts))


def test_assistants_are_found_by_name_and_the_earlier_root_wins(folder: Path) -> None:
    assert find_assistant("kaviarnia", [EXAMPLES, folder.parent]) == EXAMPLES / "kaviarnia"
    assert find_assistant("kaviarnia", [folder.parent, EXAMPLES]) == folder
    assert list(list_assistants([SHIPPED, EXAMPLES, Path("nowhere")])) == ["insurance", "kaviarnia"]


@pytest.mark.parametrize("name", ["insuranse", "../insurance", "", "."])
def test_an_unknown_name_lists_those_that_there_are(name: str) -> None:
    with pytest.raises(AssistantError, match="available: insurance"):
        find_assistant(name, [SHIPPED])


def test_a_missing_folder_lists_its_neighbours(folder: Path) -> None:
    assert "beside it: kaviarnia" in the_problem_of(folder.parent / "nobody")


def test_an_empty_folder_misses_every_file_at_once(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    found = problems_of(empty)
    for name in ("assistant.yaml", "dialogue_map.json", "intents.json", "data.json", "phrases.json"):
        assert sum(problem.startswith(f"{name}: is missing") for problem in found) == 1, found
    assert len(found) == 5


def test_faults_of_all_files_are_reported_together(folder: Path) -> None:
    edit_json(folder / "phrases.json", lambda document: document["phrases"].pop("offer"))
    edit_json(folder / "data.json", lambda document: document[1].update(id="hours"))
    edit_json(folder / "intents.json", lambda document: document["intents"]["goodbye"].update(examples=[]))
    edit_json(folder / "dialogue_map.json", lambda document: document["states"]["check"]["transitions"].pop("no"))
    (folder / "assistant.yaml").write_text("name: kaviarnia\ntitle: Зерно\nlanguage: fr\n", encoding="utf-8")
    found = problems_of(folder)
    for file in ("phrases.json", "data.json", "intents.json", "dialogue_map.json", "assistant.yaml"):
        assert any(problem.startswith(file) for problem in found), (file, found)


@pytest.mark.parametrize("key", REQUIRED_PHRASES)
def test_every_phrase_of_the_engine_is_needed(folder: Path, key: str) -> None:
    edit_json(folder / "phrases.json", lambda document: document["phrases"].pop(key))
    assert f"'{key}' is missing" in the_problem_of(folder)


def test_phrases_of_a_bad_line_are_built_in_and_may_be_said_otherwise(folder: Path) -> None:
    edit_json(folder / "phrases.json", lambda document: document["phrases"].update(cannot_hear="Голосніше, прошу."))
    phrases = load_assistant(folder).phrases
    built_in = BUILT_IN_PHRASES["uk"]
    assert phrases["cannot_hear"] == "Голосніше, прошу."
    assert [phrases[key] for key in built_in if key != "cannot_hear"] == list(built_in.values())[1:]


def test_the_built_in_phrases_are_the_same_in_every_language_and_are_rendered_ahead(folder: Path) -> None:
    assert set(BUILT_IN_PHRASES["ru"]) == set(BUILT_IN_PHRASES["uk"])
    assert set(BUILT_IN_PHRASES["uk"].values()) <= set(static_texts(load_assistant(folder)))


def test_a_recording_may_say_a_built_in_phrase(folder: Path) -> None:
    (folder / "audio").mkdir()
    (folder / "audio" / "service_goodbye.wav").write_bytes(SECOND_OF_SILENCE)
    assert BUILT_IN_PHRASES["uk"]["service_goodbye"] in load_assistant(folder).recordings


@pytest.mark.parametrize("group", ["thinking", "still_working"])
def test_every_filler_group_of_the_engine_is_needed(folder: Path, group: str) -> None:
    edit_json(folder / "phrases.json", lambda document: document["fillers"].pop(group))
    assert f"'{group}' is missing" in the_problem_of(folder)


@pytest.mark.parametrize("name", ["dialogue_map.json", "intents.json", "data.json", "phrases.json"])
def test_broken_json_names_line_and_column(folder: Path, name: str) -> None:
    (folder / name).write_text('{\n  "a": 1,,\n}', encoding="utf-8")
    problem = the_problem_of(folder)
    assert problem.startswith(f"{name}: line 2, column 10: not valid JSON")


@pytest.mark.parametrize("text", ["[" * 100_000, "NaN", "1" * 5_000, ""])
def test_hostile_json_is_a_problem_and_nothing_worse(folder: Path, text: str) -> None:
    (folder / "intents.json").write_text(text, encoding="utf-8")
    assert the_problem_of(folder).startswith("intents.json: ")


@pytest.mark.parametrize("value", ["[]", "null", "7", '"text"', "{}", '{"phrases": [], "fillers": 1}'])
def test_a_file_of_the_wrong_shape_is_named(folder: Path, value: str) -> None:
    (folder / "phrases.json").write_text(value, encoding="utf-8")
    assert any(problem.startswith("phrases.json") and "must be an object" in problem for problem in problems_of(folder))


def test_broken_yaml_names_its_line(folder: Path) -> None:
    (folder / "assistant.yaml").write_text("name: kaviarnia\ntitle: [\n", encoding="utf-8")
    assert the_problem_of(folder).startswith("assistant.yaml: line 3: not valid YAML")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "assistant.yaml: must be an object"),
        ("name: kaviarnia\nname: other\n", "line 2: not valid YAML: 'name' is given twice"),
        ("!!python/object/apply:os.system ['true']", "not valid YAML"),
        ("name: other\ntitle: T\nlanguage: uk\n", "must be the name of the folder, 'kaviarnia', not 'other'"),
        ("name: kaviarnia\ntitle: ''\nlanguage: uk\n", "assistant.yaml: title: must be a text"),
        ("name: kaviarnia\ntitle: T\nlanguage: [uk]\n", "language: must be one of ru, uk"),
        ("name: kaviarnia\ntitle: T\nlanguage: uk\nlanguge: ru\n", "'languge' is not a known field; did you mean"),
        ("name: kaviarnia\ntitle: T\nlanguage: uk\ntimings: {silence_s: 3}\n", "'silence_s' is not a known field"),
        ("name: kaviarnia\ntitle: T\nlanguage: uk\ntimings: {silence_prompt_s: -1}\n", "must be a number above 0"),
        ("name: kaviarnia\ntitle: T\nlanguage: uk\ntimings: {silence_prompt_s: .nan}\n", "must be a number above 0"),
        ("name: kaviarnia\ntitle: T\nlanguage: uk\ntimings: {filler_after_ms: yes}\n", "must be a number above 0"),
    ],
)
def test_wrong_passports_say_what_to_correct(folder: Path, text: str, expected: str) -> None:
    (folder / "assistant.yaml").write_text(text, encoding="utf-8")
    assert any(expected in problem for problem in problems_of(folder))


def test_keys_given_twice_are_reported(folder: Path) -> None:
    path = folder / "phrases.json"
    text = path.read_text(encoding="utf-8").replace('"bye":', '"thanks": "Ще раз дякую.",\n    "bye":')
    path.write_text(text, encoding="utf-8")
    assert the_problem_of(folder) == "phrases.json: 'thanks' is given twice in one object; only one can count"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("", "must be a text"),
        (5, "must be a text"),
        ("а" * 1001, "at most 1000 can be said in one go"),
        ("Разом {{ total }}", "phrases hold no templates"),
    ],
)
def test_phrases_that_cannot_be_said_are_refused(folder: Path, value: Any, expected: str) -> None:
    edit_json(folder / "phrases.json", lambda document: document["phrases"].update(hello=value))
    problem = the_problem_of(folder)
    assert problem.startswith("phrases.json: phrases.hello: ")
    assert expected in problem


def test_unknown_fields_are_refused_with_a_hint(folder: Path) -> None:
    edit_json(folder / "data.json", lambda document: document[0].update(varients=["x"]))
    assert the_problem_of(folder) == (
        "data.json: entry 0 has unknown keys: varients; "
        "known are id, question, variants, synonyms, answer, wav, redis_key"
    )


def test_questions_without_an_answer_are_searched_and_never_said(folder: Path) -> None:
    assert load_assistant(folder).not_answered == ()
    (folder / "not_answered.json").write_text('["Скільки коштує оренда залу?"]', encoding="utf-8")
    assistant = load_assistant(folder)
    (question,) = assistant.not_answered
    assert assistant.searched == (*assistant.answers, question)
    assert question.answer_id not in {entry.faq_id for entry in assistant.faq}
    assert "" not in static_texts(assistant)


def test_a_question_cannot_be_answered_and_not_answered(folder: Path) -> None:
    asked = load_assistant(folder).answers[0]
    (folder / "not_answered.json").write_text(json.dumps([asked.question]), encoding="utf-8")
    assert f"asks for '{asked.answer_id}' of data.json" in the_problem_of(folder)


def test_one_question_cannot_have_two_answers(folder: Path) -> None:
    edit_json(folder / "data.json", lambda document: document[1]["variants"].append("коли ви працюєте"))
    assert "asks for both 'hours' and 'card'" in the_problem_of(folder)


def test_a_file_in_another_encoding_names_the_line(folder: Path) -> None:
    (folder / "data.json").write_bytes('[\n{"id": "привіт"}]'.encode("cp1251"))
    assert the_problem_of(folder).startswith("data.json: line 2: is not UTF-8")


def test_a_byte_order_mark_is_harmless(folder: Path) -> None:
    for path in folder.glob("*.*"):
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert load_assistant(folder).name == "kaviarnia"


def test_a_file_of_absurd_size_is_not_read(folder: Path) -> None:
    with (folder / "data.json").open("wb") as file:
        file.truncate(3_000_000)
    assert "3000000 bytes large, at most 2000000" in the_problem_of(folder)


def test_a_link_out_of_the_folder_is_refused(folder: Path) -> None:
    outside = folder.parent / "phrases.json"
    (folder / "phrases.json").rename(outside)
    (folder / "phrases.json").symlink_to(outside)
    assert "leads out of the assistant's folder" in the_problem_of(folder)


def test_a_link_in_a_circle_and_a_pipe_are_refused(folder: Path) -> None:
    (folder / "intents.json").unlink()
    (folder / "intents.json").symlink_to("intents.json")
    (folder / "data.json").unlink()
    os.mkfifo(folder / "data.json")
    found = problems_of(folder)
    assert any(problem.startswith("intents.json: ") for problem in found)
    assert "data.json: is not a plain file; replace it with one" in found


def test_recordings_replace_phrases_and_answers(folder: Path) -> None:
    (folder / "audio").mkdir()
    for name in ("hello.wav", "we-are-open.wav"):
        (folder / "audio" / name).write_bytes(SECOND_OF_SILENCE)
    (folder / "audio" / "LICENSE").write_text("CC0", encoding="utf-8")
    edit_json(folder / "data.json", lambda document: document[0].update(wav="we-are-open.wav"))
    assert load_assistant(folder).recordings == {
        "Вітаю! Це кав'ярня «Зерно».": folder / "audio" / "hello.wav",
        "Ми працюємо щодня з восьмої до двадцятої.": folder / "audio" / "we-are-open.wav",
    }


def test_recordings_that_cannot_be_used_are_named(folder: Path) -> None:
    audio = folder / "audio"
    audio.mkdir()
    (audio / "hello.wav").write_bytes(b"ID3 this is an mp3")
    (audio / "bye.wav").write_bytes(SECOND_OF_SILENCE[:-100])
    (audio / "helo.wav").write_bytes(SECOND_OF_SILENCE)
    (audio / "thanks.wav").symlink_to("/etc/hostname")
    edit_json(folder / "data.json", lambda document: document[0].update(wav="gone.wav"))
    found = problems_of(folder)
    assert any(problem.startswith("audio/hello.wav: not a WAV file") for problem in found)
    assert any(problem.startswith("audio/bye.wav: truncated") for problem in found)
    assert "audio/helo.wav: nothing says this recording; did you mean 'hello.wav'?" in found
    assert any(problem.startswith("audio/thanks.wav: leads out") for problem in found)
    assert any("no recording audio/gone.wav" in problem for problem in found)
    assert len(found) == 5


def test_an_unreadable_file_does_not_blame_the_others(folder: Path) -> None:
    (folder / "phrases.json").write_text("{", encoding="utf-8")
    assert the_problem_of(folder).startswith("phrases.json: line 1")


def test_knowledge_is_optional_and_bounded(folder: Path) -> None:
    assert load_assistant(folder).knowledge == ""
    (folder / "knowledge.md").write_text("Кава з восьмої.\n", encoding="utf-8")
    assert load_assistant(folder).knowledge == "Кава з восьмої."
    (folder / "knowledge.md").write_text("к" * (KNOWLEDGE_LIMIT + 1), encoding="utf-8")
    assert "at most 12000 are allowed" in the_problem_of(folder)
