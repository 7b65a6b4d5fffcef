"""The suite that every embedder must pass.

A test module makes a subclass of `EmbeddingConformance` that overrides `opened`, and `broken` where it can fail.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Final

import numpy as np
import pytest

from kamerton.domain.embedding import Embedder, Vectors
from kamerton.domain.errors import EngineError

TEXTS: Final = ("полис карта", "карта карта полис", "погода завтра хорошая", "полис")
UGLY: Final = (
    "",
    "   ",
    "\n\t",
    "нуль\x00байт",
    "полсуррогата \ud83d конец",
    "🙂👍🏽",
    '{"text": "\\u0000"}',
    "中文 العربية ไทย",
    "їжак, ґанок і п'ять",
    "\u200b\ufeff",
)
LONG: Final = "полис и карта и погода " * 20_000
_ALIKE: Final = 1e-5


def cosines(left: Vectors, right: Vectors) -> Vectors:
    """Of each with each."""
    return np.asarray(left @ right.T, dtype=np.float32)


class EmbeddingConformance:
    """Rules of `kamerton.domain.embedding.Embedder`, tested from outside."""

    def opened(self) -> AbstractContextManager[Embedder]:
        """A new embedder; everything that it holds is gone when it is left."""
        raise NotImplementedError

    def broken(self) -> AbstractContextManager[Embedder]:
        """An embedder whose model or service fails at every text."""
        raise NotImplementedError

    def test_vectors_are_unit_rows_of_float32(self) -> None:
        """One row per text, in each of the three ways, all of the same width."""
        with self.opened() as embedder:
            for made in (embedder.query(TEXTS), embedder.wordings(TEXTS), embedder.passage(TEXTS)):
                assert made.dtype == np.float32
                assert made.shape == (len(TEXTS), embedder.query(["полис"]).shape[1])
                assert np.linalg.norm(made, axis=1) == pytest.approx(1, abs=1e-4)

    def test_the_same_text_has_the_same_vector(self) -> None:
        """Alone, twice in a batch, and in another one."""
        with self.opened() as embedder:
            for ask in (embedder.query, embedder.wordings, embedder.passage):
                together = ask([*TEXTS, TEXTS[0]])
                assert together[0] == pytest.approx(together[-1], abs=_ALIKE)
                alone = np.concatenate([ask([text]) for text in TEXTS])
                assert together[:-1] == pytest.approx(alone, abs=1e-4)
                assert cosines(alone, alone)[0, 2] < 1 - 1e-3

    def test_a_query_finds_its_wording_and_its_passage(self) -> None:
        """The likeness of the same text is above that of another one."""
        with self.opened() as embedder:
            asked = embedder.query(TEXTS[1:3])
            for known in (embedder.wordings(TEXTS[1:3]), embedder.passage(TEXTS[1:3])):
                likeness = cosines(asked, known)
                assert likeness[0, 0] > likeness[0, 1]
                assert likeness[1, 1] > likeness[1, 0]

    def test_no_texts_have_no_vectors(self) -> None:
        """An empty list, and nothing else."""
        with self.opened() as embedder:
            for made in (embedder.query([]), embedder.wordings([]), embedder.passage([])):
                assert made.ndim == 2
                assert len(made) == 0

    @pytest.mark.parametrize("text", UGLY)
    def test_odd_texts_have_vectors(self, text: str) -> None:
        """Whatever a recogniser or an author writes; a text of nothing may have no direction."""
        with self.opened() as embedder:
            for made in (embedder.query([text]), embedder.wordings([text]), embedder.passage([text])):
                assert len(made) == 1
                assert np.isfinite(made).all()
                assert np.linalg.norm(made) <= 1 + 1e-4

    def test_endless_texts_are_bounded(self) -> None:
        """They are cut: what comes at the very end does not change them."""
        with self.opened() as embedder:
            for ask in (embedder.query, embedder.wordings, embedder.passage):
                assert ask([LONG]) == pytest.approx(ask([f"{LONG} конец"]), abs=_ALIKE)

    def test_threads_may_share_it(self) -> None:
        """Each gets the vectors of its own texts."""
        texts = [f"полис карта номер {number}" for number in range(12)]
        with self.opened() as embedder:
            alone = np.concatenate([embedder.query([text]) for text in texts])
        with self.opened() as embedder, ThreadPoolExecutor(6) as pool:
            together = np.concatenate(list(pool.map(lambda text: embedder.query([text]), texts)))
            known = np.concatenate(list(pool.map(lambda text: embedder.wordings([text]), texts)))
        assert together == pytest.approx(alone, abs=_ALIKE)
        assert known.shape == alone.shape

    def test_vectors_belong_to_who_asked(self) -> None:
        """Changing them changes nobody else's."""
        with self.opened() as embedder:
            for ask in (embedder.query, embedder.wordings, embedder.passage):
                first = ask(TEXTS)
                kept = first.copy()
                first[:] = 0
                assert ask(TEXTS) == pytest.approx(kept, abs=_ALIKE)

    def test_its_identity_stays(self) -> None:
        """The same before and after use, and of another one of its kind."""
        with self.opened() as embedder:
            before = embedder.identity
            embedder.query(TEXTS)
            embedder.passage(TEXTS)
            assert embedder.identity == before
        with self.opened() as embedder:
            assert embedder.identity == before
        assert before.strip()

    def test_failures_are_engine_errors(self) -> None:
        """In each of the three ways; a message that says something."""
        with self.broken() as embedder:
            for ask in (embedder.query, embedder.wordings, embedder.passage):
                self._fails(ask, TEXTS)

    def _fails(self, ask: object, texts: Sequence[str]) -> None:
        assert callable(ask)
        with pytest.raises(EngineError, match=r"\w+"):
            ask(texts)
