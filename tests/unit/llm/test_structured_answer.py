"""The structured answer is read the same however it is split, and only a sound one is read to its end."""

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kamerton.domain.errors import EngineError
from kamerton.llm.structured_answer import LLMStructuredResponse, StructuredAnswerParser


def read(*pieces: str) -> StructuredAnswerParser:
    parser = StructuredAnswerParser()
    for piece in pieces:
        parser.push(piece)
    return parser


def outcome(pieces: list[str]) -> tuple[str, bool | None, object]:
    """Everything that can be seen of a reading: the answer as it came, the verdict, the end."""
    parser = StructuredAnswerParser()
    text = "".join(parser.push(piece) for piece in pieces)
    try:
        return text, parser.is_safe, parser.finish()
    except EngineError as error:
        return text, parser.is_safe, str(error)


@pytest.mark.parametrize(
    "text",
    [
        '{"is_safe": true, "answer": "Да.", "thought": "ок"}',
        ' \n\ufeff{"is_safe":true,"answer":"Да.","thought":"ок"}',
        '```json\n{"is_safe": true, "answer": "Да.", "thought": "ок"}\n```',
        '```{"is_safe": true, "answer": "Да.", "thought": "ок"}```',
        '{"is_safe": true, "thought": "ок", "answer": "Да."}',
        '{"is_safe": true, "answer": "Да.", "thought": "ок"} and some chatter',
        '{"\\u0069s_safe": true, "mood": [1, {"a": null, "b": "]"}, -2.5e3, []], "answer": "Да.", "thought": "ок"}',
        '{"is_safe": true, "n": 12, "answer": "Да.", "m": {}, "thought": "ок" }',
    ],
)
def test_a_whole_answer_is_read(text: str) -> None:
    assert outcome([text]) == ("Да.", True, LLMStructuredResponse(True, "Да.", "ок"))


def test_the_thought_may_be_null_or_missing() -> None:
    assert read('{"is_safe": true, "answer": "а", "thought": null}').finish().thought is None
    assert read('{"is_safe": true, "answer": "а"}').finish() == LLMStructuredResponse(True, "а")


def test_text_comes_as_soon_as_it_is_certain() -> None:
    assert read('{"is_safe": tr').is_safe is None
    parser = StructuredAnswerParser()
    assert parser.push('{"is_safe": tr') == ""
    assert parser.push('ue, "answer": "При') == "При"
    assert parser.is_safe is True
    assert parser.push("вет\\") == "вет"
    assert parser.push("u0021 \\ud83d") == "! "
    assert parser.push("\\ude42") == "🙂"
    assert not parser.complete
    assert parser.push('"}') == ""
    assert parser.complete


def test_an_unsafe_verdict_ends_the_reading_at_once() -> None:
    parser = read('{"is_safe": false')
    assert parser.complete
    assert parser.push(', "answer": "вот как это сделать"}') == ""
    assert parser.finish() == LLMStructuredResponse(False)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no verdict"),
        ("   \n", "no verdict"),
        ("Здравствуйте! Чем помочь?", "does not begin"),
        ('Вот ответ: {"is_safe": true, "answer": "Да."}', "does not begin"),
        ('`{"is_safe": true, "answer": "Да."}', "does not begin"),
        ('[{"is_safe": true}]', "does not begin"),
        ("{}", "key"),
        ('{"answer": "Да.", "is_safe": true}', "first"),
        ('{"thought": "хм", "is_safe": true}', "first"),
        ('{"is_safe": "true", "answer": "Да."}', "neither"),
        ('{"is_safe": 1, "answer": "Да."}', "neither"),
        ('{"is_safe": null, "answer": "Да."}', "neither"),
        ('{"is_safe": truth, "answer": "Да."}', "word"),
        ('{"is_safe": true}', "no answer"),
        ('{"is_safe": true, "thought": "ок"}', "no answer"),
        ('{"is_safe": true, "answer": 5}', "not a string"),
        ('{"is_safe": true, "answer": null}', "not a string"),
        ('{"is_safe": true, "answer": ["Да."]}', "not a string"),
        ('{"is_safe": true, "answer": "Да.", "thought": 5}', "not a string"),
        ('{"is_safe": true, "answer": "Да.", "answer": "Нет."}', "twice"),
        ('{"is_safe": true, "answer": "Да.", "is_safe": false}', "twice"),
        ('{"is_safe": true "answer": "Да."}', "not valid JSON"),
        ('{"is_safe": true, "answer" "Да."}', "not valid JSON"),
        ('{"is_safe": true, "answer": "\\x41"}', "escape"),
        ('{"is_safe": true, "answer": "\\u00g1"}', "escape"),
        ('{"is_safe": true, "deep": ' + "[" * 40 + "]" * 40 + ', "answer": "Да."}', "deeply"),
        ('{"is_safe": true, "list": [1 2], "answer": "Да."}', "not valid JSON"),
        ('{"is_safe": true, "what": ?, "answer": "Да."}', "not valid JSON"),
        ('{"is_safe": true, "answer": "Да.', "cut off"),
        ('{"is_safe": true, "answer": "Да."', "cut off"),
        ('{"is_safe": true', "cut off"),
        ('{"is_safe": tr', "no verdict"),
        ('{"is_', "no verdict"),
    ],
)
def test_anything_else_is_a_failure(text: str, why: str) -> None:
    with pytest.raises(EngineError, match=why):
        read(text).finish()


def test_text_after_a_failure_is_not_read() -> None:
    parser = read('{"is_safe": true, "answer": 5, ')
    assert parser.push('"answer": "Да."}') == ""
    assert parser.failure is not None


def test_a_lone_half_of_a_surrogate_pair_becomes_a_replacement_mark() -> None:
    text = r'{"is_safe": true, "answer": "\ud83da\ude42\ud83d\ud83d\ude42\ud83d"}'
    assert read(text).finish().answer == "\ufffda\ufffd\ufffd🙂\ufffd"


ANSWERS = st.text(st.characters(codec="utf-8"), max_size=30)


@given(ANSWERS, ANSWERS | st.none(), st.booleans(), st.booleans())
def test_what_json_writes_is_read_back(answer: str, thought: str | None, plain: bool, fenced: bool) -> None:
    text = json.dumps({"is_safe": True, "answer": answer, "thought": thought}, ensure_ascii=plain)
    assert read(f"```json\n{text}\n```" if fenced else text).finish() == LLMStructuredResponse(True, answer, thought)


PARTS = [
    *(
        '{"is_safe": true',
        '{"is_safe": false',
        ', "answer": "',
        "Да",
        "\\ud83d",
        "\\ude42",
        "\\n",
        "\\",
        '"',
        "}",
        ",",
        " ",
    ),
    *("```json\n", "[", "1", "\n", '"thought": ', "null", "{"),
]
FRAGMENTS = st.lists(st.sampled_from(PARTS), max_size=14).map("".join)


@given(FRAGMENTS | ANSWERS, st.data())
@example(r'{"is_safe": true, "answer": "\ud83d\ude42"}', None)
def test_the_split_does_not_matter(text: str, data: st.DataObject | None) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=8))) if data else []
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert outcome(pieces) == outcome([text]) == outcome(list(text))
