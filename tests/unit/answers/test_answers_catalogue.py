"""data.json: what is read, and every fault with its place; the manifest of what changed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kamerton.answers.catalogue import AnswerEntry, parse_answers, parse_not_answered
from kamerton.answers.catalogue_manifest import Manifest
from kamerton.domain.errors import AssistantError, ConfigurationError

WHOLE: dict[str, Any] = {
    "id": "documents",
    "question": "Какие нужны документы?",
    "variants": ["Какие бумаги взять"],
    "synonyms": {"документы": ["бумаги", "справки с работы"]},
    "answer": "Паспорт.",
    "wav": "documents.wav",
    "redis_key": "answers:documents",
}


def entry(**changes: Any) -> dict[str, Any]:
    return {"id": "a", "question": "Где вы?", "answer": "Тут.", **changes}


def problems_of(document: Any) -> str:
    with pytest.raises(AssistantError) as caught:
        parse_answers(document, "demo")
    return "\n".join(caught.value.problems)


def test_a_whole_entry_is_read() -> None:
    (answer,) = parse_answers([WHOLE], "demo")
    assert answer.answer_id == "documents"
    assert answer.questions == ("Какие нужны документы?", "Какие бумаги взять")
    assert answer.synonyms == (("документы", "бумаги", "справки с работы"),)
    assert answer.audio_key("demo") == "answers:documents"


def test_an_answer_without_a_key_gets_the_usual_one() -> None:
    (answer,) = parse_answers([entry()], "demo")
    assert answer.audio_key("demo") == "answers:demo:a"
    assert answer.wav is None


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ({"id": ""}, "'id' must be a text"),
        ({"question": " ?! "}, "'question' must be a text with words"),
        ({"answer": None}, "'answer' must be a text"),
        ({"variants": "один"}, "'variants' must be a list"),
        ({"variants": ["один", 2]}, "'variants'[1]"),
        ({"synonyms": ["полис"]}, "'synonyms' must be an object"),
        ({"synonyms": {"полис": []}}, "'synonyms'.полис must be a list"),
        ({"synonyms": {"полис": ["", "осаго"]}}, "'synonyms'.полис[0]"),
        ({"wav": "../secret.wav"}, "'wav' must be the name of a .wav file"),
        ({"wav": 7}, "'wav' must be"),
        ({"redis_key": "with space"}, "'redis_key' must be"),
        ({"redis_key": "x" * 201}, "'redis_key' must be"),
        ({"sinonyms": {}}, "unknown keys: sinonyms"),
    ],
)
def test_a_fault_is_told_with_its_place(fault: dict[str, Any], told: str) -> None:
    found = problems_of([entry(id="first", question="Кто вы?"), entry(**fault)])
    assert told in found
    assert "entry 1" in found
    assert "entry 0" not in found


def test_all_faults_are_told_at_once() -> None:
    found = problems_of([entry(wav=1), "text", entry(answer="")])
    assert [place in found for place in ("entry 0", "entry 1", "entry 2")] == [True, True, True]


@pytest.mark.parametrize("document", [{}, "text", None, 5])
def test_a_document_that_is_no_list_is_refused(document: Any) -> None:
    assert "list of entries" in problems_of(document)


def test_ids_keys_and_questions_belong_to_one_entry() -> None:
    found = problems_of([entry(redis_key="k"), entry(), entry(id="b", question="где ВЫ", redis_key="k", answer="Там.")])
    assert "id 'a' is already that of entry 0" in found
    assert "redis_key 'k' is already that of 'a'" in found
    assert "asks for both 'a' and 'b'" in found


def test_questions_without_an_answer_are_entries_that_say_nothing() -> None:
    asked = AnswerEntry("a", "Нужна зелёная карта?", "Да.", ("Зелёная карта",))
    (first, second) = parse_not_answered(["Где купить зелёную карту?", "Как дела"], "demo", [asked])
    assert (first.question, first.answer, first.is_answered, asked.is_answered) == (
        "Где купить зелёную карту?",
        "",
        False,
        True,
    )
    assert first.answer_id != second.answer_id
    assert first.answer_id == parse_not_answered(["где купить зеленую карту"], "demo", [])[0].answer_id


def test_faults_of_questions_without_an_answer_are_told_at_once() -> None:
    asked = AnswerEntry("a", "Нужна зелёная карта?", "Да.", ("Зелёная карта",))
    document = ["Как дела?", "зеленая карта", "как дела", "…", 5, "а" * 201]
    with pytest.raises(AssistantError) as caught:
        parse_not_answered(document, "demo", [asked])
    told = "\n".join(caught.value.problems)
    assert "not_answered.json[1]: «зеленая карта» asks for 'a' of data.json" in told
    assert "not_answered.json[2]: «как дела» is already question 0" in told
    assert "not_answered.json[3] must be a text" in told
    assert "not_answered.json[4] must be a text" in told
    assert "not_answered.json[5] has 201 characters" in told
    with pytest.raises(AssistantError, match="must be a list"):
        parse_not_answered({}, "demo", [])


def test_the_digest_follows_what_the_author_wrote() -> None:
    plain = AnswerEntry("a", "Где?", "Тут.")
    assert plain.digest == AnswerEntry("a", "Где?", "Тут.").digest
    others = [
        AnswerEntry("a", "Где?", "Там."),
        AnswerEntry("a", "Где?", "Тут.", ("Куда?",)),
        AnswerEntry("a", "Где?", "Тут.", synonyms=(("где", "куда"),)),
        AnswerEntry("a", "Где?", "Тут.", wav="a.wav"),
        AnswerEntry("a", "Где?", "Тут.", redis_key="a"),
    ]
    assert len({plain.digest, *(other.digest for other in others)}) == 6


def test_the_manifest_says_what_changed(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "manifest.json"
    before = [AnswerEntry("kept", "А?", "Да."), AnswerEntry("said", "Б?", "Да."), AnswerEntry("gone", "В?", "Да.")]
    after = [AnswerEntry("kept", "А?", "Да."), AnswerEntry("said", "Б?", "Нет."), AnswerEntry("new", "Г?", "Да.")]
    Manifest.of(before, tmp_path).write(path)
    changes = Manifest.read(path).changes(Manifest.of(after, tmp_path))
    assert (changes.added, changes.changed, changes.removed, changes.unchanged) == (
        ("new",),
        ("said",),
        ("gone",),
        ("kept",),
    )
    assert changes.summary() == "1 added, 1 changed, 1 removed, 1 unchanged"
    assert [kind for kind, _ in changes.listed()] == ["added", "changed", "removed"]


def test_another_recording_is_a_change(tmp_path: Path) -> None:
    spoken = [AnswerEntry("a", "А?", "Да.", wav="a.wav")]
    with pytest.raises(ConfigurationError, match=r"a\.wav"):
        Manifest.of(spoken, tmp_path)
    (tmp_path / "a.wav").write_bytes(b"one")
    before = Manifest.of(spoken, tmp_path)
    (tmp_path / "a.wav").write_bytes(b"two")
    assert before.changes(Manifest.of(spoken, tmp_path)).changed == ("a",)


@pytest.mark.parametrize("content", ["{", "[]", "7"])
def test_a_broken_manifest_counts_as_none(tmp_path: Path, content: str, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "manifest.json"
    path.write_text(content)
    assert Manifest.read(path).digests == {}
    assert "manifest" in caplog.text


def test_a_manifest_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="cannot be written"):
        Manifest.of([], tmp_path).write(tmp_path / "file" / "manifest.json")


def test_the_manifest_holds_no_texts(tmp_path: Path) -> None:
    Manifest.of([AnswerEntry("a", "Где?", "Тут.")], tmp_path).write(tmp_path / "m.json")
    assert "Тут" not in json.dumps(json.loads((tmp_path / "m.json").read_text()), ensure_ascii=False)
