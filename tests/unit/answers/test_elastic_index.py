"""What an assistant's index in Elasticsearch should be; no server is asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest

from kamerton.answers.catalogue import AnswerEntry
from kamerton.answers.elastic import BulkRefusal, open_elastic, refusals_told
from kamerton.answers.elastic_index import plan_index
from kamerton.answers.elastic_load import LoadReport
from kamerton.answers.vector_search import QuestionVectors
from kamerton.domain.embedding import Vectors
from kamerton.domain.errors import ConfigurationError

ENTRIES = (
    AnswerEntry("a", "Где офис?", "Нет.", ("Ваш адрес", "где ОФИС"), (("офис", "отделение банка", "Офис!"),)),
    AnswerEntry("b", "Сколько ждать?", "Три дня."),
)


@dataclass
class FixedEmbedder:
    identity: str

    def query(self, texts: Sequence[str]) -> Vectors:
        return np.eye(4, dtype=np.float32)[: len(texts)]

    def wordings(self, texts: Sequence[str]) -> Vectors:
        return self.query(texts)

    def passage(self, texts: Sequence[str]) -> Vectors:
        return self.query(texts)


def questions(identity: str = "m1", scale: float = 1.0) -> QuestionVectors:
    raw = np.eye(4, dtype=np.float32)
    raw[0, 1] = scale
    return QuestionVectors(("a", "a", "a", "b"), raw, FixedEmbedder(identity))


def test_there_is_one_document_for_each_question_that_differs() -> None:
    plan = plan_index("insurance", ENTRIES, "ru", questions())
    assert [document.answer_id for document in plan.documents] == ["a", "a", "b"]
    assert len({document.document_id for document in plan.documents}) == 3
    assert all(len(document.source["vector"]) == 4 for document in plan.documents)
    assert plan.most_questions == 3
    assert plan.alias == "kamerton-answers.insurance"
    assert plan.name.startswith("kamerton-answers.insurance.")


def test_the_name_tells_everything_that_changes_how_it_is_searched() -> None:
    other_synonyms = (replace(ENTRIES[0], synonyms=()), ENTRIES[1])
    plans = [
        plan_index("insurance", ENTRIES, "ru", questions()),
        plan_index("other", ENTRIES, "ru", questions()),
        plan_index("insurance", ENTRIES, "uk", questions()),
        plan_index("insurance", ENTRIES, "ru", questions("m2")),
        plan_index("insurance", ENTRIES, "ru", questions(scale=2.0)),
        plan_index("insurance", ENTRIES, "ru", None),
        plan_index("insurance", other_synonyms, "ru", questions()),
    ]
    assert len({plan.name for plan in plans}) == len(plans)
    assert plan_index("insurance", ENTRIES, "ru-RU", questions()).name == plans[0].name


def test_another_answer_changes_the_content_and_not_the_name() -> None:
    before = plan_index("insurance", ENTRIES, "ru", questions())
    after = plan_index("insurance", (replace(ENTRIES[0], answer="Есть."), ENTRIES[1]), "ru", questions())
    assert after.name == before.name
    assert after.meta["content"] != before.meta["content"]
    pairs = list(zip(before.documents, after.documents, strict=True))
    assert [old.digest == new.digest for old, new in pairs] == [False, False, True]
    assert [old.document_id == new.document_id for old, new in pairs] == [True, True, True]


def test_synonyms_are_rules_of_the_search_alone() -> None:
    analysis = plan_index("insurance", ENTRIES, "ru", None).settings["index"]["analysis"]
    assert analysis["filter"]["meanings"] == {"type": "synonym_graph", "synonyms": ["отделение банка, офис"]}
    assert analysis["analyzer"]["asked_text"]["filter"] == ["lowercase", "word_forms", "meanings"]
    assert "meanings" not in analysis["analyzer"]["stored_text"]["filter"]


def test_a_group_that_says_one_thing_is_no_rule() -> None:
    entries = (replace(ENTRIES[0], synonyms=(("офис", "Офис!"), ("и, => офис", "офис"))),)
    assert "meanings" not in plan_index("insurance", entries, "ru", None).settings["index"]["analysis"]["filter"]


def test_words_that_tell_questions_apart_are_no_stop_words() -> None:
    for language, telling in (("ru", {"не", "нет", "где", "когда", "сколько", "без"}), ("uk", {"не", "де", "коли"})):
        filters = plan_index("insurance", ENTRIES, language, None).settings["index"]["analysis"]["filter"]
        assert not telling & set(filters["stop_words"]["stopwords"])


def test_each_language_has_its_own_word_forms() -> None:
    def forms(language: str) -> object:
        return plan_index("x", ENTRIES, language, None).settings["index"]["analysis"]["filter"]["word_forms"]

    assert forms("ru") == {"type": "stemmer", "language": "light_russian"}
    assert forms("uk") == {"type": "truncate", "length": 6}


def test_vectors_are_searched_exactly() -> None:
    mapped = plan_index("insurance", ENTRIES, "ru", questions()).mappings["properties"]["vector"]
    assert mapped == {"type": "dense_vector", "dims": 4, "similarity": "cosine", "index_options": {"type": "flat"}}
    assert "vector" not in plan_index("insurance", ENTRIES, "ru", None).mappings["properties"]


def test_the_model_and_the_content_stand_in_the_description() -> None:
    meta = plan_index("insurance", ENTRIES, "ru", questions()).meta
    assert (meta["assistant"], meta["language"], meta["embedder"]) == ("insurance", "ru", "m1")
    assert len(meta["content"]) == 64


def test_vectors_of_another_catalogue_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="prepare the vectors from the same"):
        plan_index("insurance", ENTRIES[:1], "ru", questions())


def test_an_unknown_language_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="language 'de'"):
        plan_index("insurance", ENTRIES, "de", None)


def test_an_empty_catalogue_is_an_empty_index() -> None:
    plan = plan_index("insurance", (), "ru", None)
    assert (plan.documents, plan.most_questions) == ((), 1)


def test_a_report_says_what_changed() -> None:
    many = tuple(f"id{number:02}" for number in range(12))
    report = LoadReport("i", "there is none yet", many, ("c",), ("r",), 4, 20, 1, ("old",))
    assert report.lines() == (
        "index i: 20 questions written, 1 removed",
        "it is new: there is none yet",
        "answers added: id00, id01, id02, id03, id04, id05, id06, id07, id08, id09 and 2 more",
        "answers changed: c",
        "answers removed: r",
        "answers unchanged: 4",
        "old indices dropped: old",
    )


def test_refusals_are_told_briefly() -> None:
    refusals = tuple(BulkRefusal(f"d{number}", 400, "bad") for number in range(5))
    expected = "d0: status 400, bad; d1: status 400, bad; d2: status 400, bad; and 2 more"
    assert refusals_told(refusals) == expected
    assert refusals_told(refusals[:1]) == "d0: status 400, bad"


@pytest.mark.anyio
@pytest.mark.parametrize("url", ["localhost", "http://localhost", "not a url", "http://user:secret@nowhere"])
async def test_what_is_no_address_is_refused_without_telling_its_password(url: str) -> None:
    with pytest.raises(ConfigurationError, match="must look like") as caught:
        async with open_elastic(url):
            pass
    assert "secret" not in str(caught.value)


def test_questions_without_an_answer_are_documents_of_their_own() -> None:
    entries = (
        AnswerEntry("map", "Нужна зелёная карта?", "Да."),
        AnswerEntry("not answered: где", "Где купить её?", ""),
    )
    plan = plan_index("demo", entries, "ru", None)
    assert [document.answer_id for document in plan.documents] == ["map", "not answered: где"]
    assert plan.documents[1].source["answer"] == ""
