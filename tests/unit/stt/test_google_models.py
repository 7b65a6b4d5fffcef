from __future__ import annotations

import pytest

from kamerton.domain.errors import ConfigurationError
from kamerton.stt.google.models import ModelChoice, Setup
from kamerton.stt.google.options import Candidate, GoogleSttOptions

OPTIONS = GoogleSttOptions(models=("chirp_3@eu", "long@global"))
MULTIPLE = "Multiple language codes are not supported by this model."
ADAPTATION = "Adaptation is not supported by this model."
NO_MODEL = 'The model "chirp_3" does not exist in the location named "eu".'


def refused_all_the_way(choice: ModelChoice, why: str, phrases: tuple[str, ...] = ()) -> list[Setup]:
    asked = [choice.setup("uk", phrases)]
    while choice.refused("uk", asked[-1], why):
        asked.append(choice.setup("uk", phrases))
        assert len(asked) < 20, "the search does not end"
    return asked


def test_the_best_model_is_asked_for_the_turns_language_first() -> None:
    choice = ModelChoice(OPTIONS)
    assert choice.setup("uk", ("так", "ні")) == Setup(Candidate("chirp_3", "eu"), ("uk-UA", "ru-RU"), ("так", "ні"))
    assert choice.setup("ru").codes == ("ru-RU",)


def test_what_a_refusal_complains_of_is_left_out() -> None:
    choice = ModelChoice(OPTIONS)
    assert choice.refused("uk", choice.setup("uk", ("так",)), MULTIPLE)
    assert choice.setup("uk", ("так",)) == Setup(Candidate("chirp_3", "eu"), ("uk-UA",), ("так",))
    assert choice.refused("uk", choice.setup("uk", ("так",)), ADAPTATION)
    assert choice.setup("uk", ("так",)) == Setup(Candidate("chirp_3", "eu"), ("uk-UA",))


def test_a_model_that_is_refused_gives_place_to_the_next_with_all_that_was_wanted() -> None:
    choice = ModelChoice(OPTIONS)
    choice.refused("uk", choice.setup("uk", ("так",)), ADAPTATION)
    assert choice.refused("uk", choice.setup("uk", ("так",)), NO_MODEL)
    assert choice.setup("uk", ("так",)) == Setup(Candidate("long", "global"), ("uk-UA", "ru-RU"), ("так",))


def test_languages_are_chosen_for_apart() -> None:
    choice = ModelChoice(OPTIONS)
    choice.refused("uk", choice.setup("uk"), NO_MODEL)
    assert choice.setup("ru").candidate.model == "chirp_3"


def test_a_late_refusal_of_what_was_left_already_changes_nothing() -> None:
    choice = ModelChoice(OPTIONS)
    first = choice.setup("uk")
    assert choice.refused("uk", first, NO_MODEL)
    assert choice.refused("uk", first, NO_MODEL)
    assert choice.setup("uk").candidate.model == "long"


@pytest.mark.parametrize("why", [NO_MODEL, MULTIPLE, ADAPTATION, "something else"])
def test_the_search_ends_with_the_language_alone_at_every_model(why: str) -> None:
    asked = refused_all_the_way(ModelChoice(OPTIONS), why, ("так",))
    assert len(set(asked)) == len(asked), "nothing is asked for twice"
    alone = {setup.candidate for setup in asked if setup.codes == ("uk-UA",) and not setup.phrases}
    assert len(alone) == 2


def test_phrases_are_bounded_and_told_once() -> None:
    setup = ModelChoice(OPTIONS).setup("ru", ("да", " да ", "", "x" * 200, *map(str, range(900))))
    assert setup.phrases[:2] == ("да", "x" * 100)
    assert len(setup.phrases) == 500
    assert ModelChoice(GoogleSttOptions(hints=False)).setup("ru", ("да",)).phrases == ()


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"models": ()}, "models is empty"),
        ({"models": ("long",)}, "'long' is no MODEL@LOCATION"),
        ({"also": ("xx",)}, "'xx' is none of"),
        ({"chunk_ms": 30}, "multiple of 20"),
        ({"chunk_ms": 500}, "between 20 and 400"),
        ({"renew_after_s": 299.0}, "renew_after_s is 299"),
        ({"warm_s": 10.0}, "warm_s is 10"),
        ({"final_s": 5.0}, "turn_s must not be less"),
        ({"endpoint": "https://x"}, "no host:port"),
        ({"endpoint": "x:1", "tls": False, "ca_file": "x"}, "tls is off"),
        ({"boost": 21.0}, "boost is 21"),
    ],
)
def test_options_that_cannot_work_are_refused(changes: dict[str, object], named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        GoogleSttOptions(**changes)  # type: ignore[arg-type]


def test_each_location_has_its_endpoint() -> None:
    options = GoogleSttOptions()
    assert options.endpoint_of("global").address == "speech.googleapis.com:443"
    assert options.endpoint_of("eu").address == "eu-speech.googleapis.com:443"
    assert GoogleSttOptions(endpoint="private:8443").endpoint_of("eu").address == "private:8443"
