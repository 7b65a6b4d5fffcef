"""A mixed call with the real engines: language model, prepared answer, interruption, and back to the scenario.

The model is the stand-in server, over real HTTP; everything else goes the way `kamerton call` goes. What is checked
is who answered and what was heard, never how long it took: the machine may be busy.
"""

from __future__ import annotations

import anyio
import pytest
from paths import REPO

from kamerton.config.composition import open_engine
from kamerton.config.settings import load_settings
from kamerton.observability.turn_recorder import TurnRecorder
from kamerton.testing.caller.call_report import ReportedTurn
from kamerton.testing.caller.recordings import load_recording
from kamerton.testing.caller.script import parse_script
from kamerton.testing.caller.talk import CallOutcome, Line, run_call
from kamerton.testing.model_server import ModelScript, Reply, Rule, serve_model
from kamerton.testing.model_server.server import MODEL_NAME
from kamerton.transports.audiosocket.server import AudioSocketTransport
from kamerton.transports.audiosocket.settings import AudioSocketSettings

pytestmark = [pytest.mark.engine, pytest.mark.anyio, pytest.mark.timeout(300)]

SAMPLES = REPO / "assistants" / "insurance" / "samples"
SHORT = "За окно я выглянуть не могу, но советую ехать спокойно."
LONG = (
    "Погоду я не знаю, зато знаю дорогу. Держите дистанцию и не торопитесь. В дождь тормозной путь растёт вдвое. "
    "В снег он растёт ещё больше. Проверьте давление в шинах и свет фар. И возьмите с собой воду."
)
SCRIPT = ModelScript(
    rules=(Rule(match=("погод",), answer=SHORT, times=1, name="short"), Rule(match=("погод",), answer=LONG)),
    otherwise=Reply(answer="Этого я не ждал."),
)
PRICES = [{"vendor": "local", "unit": "input_tokens", "price": 2, "per": 1000, "currency": "EUR"}]
ANSWERS = ("number-2", "number-25", "yes")


def said(*script: str) -> tuple[Line, ...]:
    """The samples as lines of a caller; `NAME@S` is said S seconds into the reply before it."""
    named = [f"{SAMPLES / name}.wav{at}{moment}" for name, at, moment in (item.partition("@") for item in script)]
    return tuple(Line(load_recording(item.path), item.at_s) for item in parse_script(named))


async def mixed_call(model_url: str) -> CallOutcome:
    """The engine with this model, and one caller who asks, interrupts and comes back to the quote."""
    recorder = TurnRecorder()
    told: list[str] = []
    settings = load_settings(model={"engine": "local", "local": {"url": model_url, "model": MODEL_NAME}}, prices=PRICES)
    lines = said("weather", "card", "weather", "number-150@1.5", *ANSWERS)
    transport = AudioSocketTransport(AudioSocketSettings(host="127.0.0.1", port=0))
    async with (
        open_engine(settings, observers=(recorder,), progress=told.append) as engine,
        anyio.create_task_group() as tasks,
    ):
        port: int = await tasks.start(transport.serve, engine.handler)
        outcome = await run_call(port, lines, recorder)
        tasks.cancel_scope.cancel()
    return outcome


def shown(outcome: CallOutcome) -> str:
    """What to read when an assertion failed."""
    turns = "\n".join(str(turn) for turn in outcome.report.turns)
    return f"trouble: {outcome.trouble}\nstate: {outcome.report.state}\n{turns}"


def heard(turns: tuple[ReportedTurn, ...]) -> list[ReportedTurn]:
    """The turns whose answer, or a part of it, sounded."""
    return [turn for turn in turns if turn.heard_text]


async def test_a_call_goes_from_the_model_to_prepared_answers_and_back_to_the_quote() -> None:
    async with serve_model(SCRIPT) as server:
        outcome = await mixed_call(server.base_url)
        left_running = server.running
        rules = [request.rule for request in server.requests if request.rule]
    report = outcome.report
    assert outcome.trouble is None, shown(outcome)
    turns = heard(report.turns)
    paths = [turn.path for turn in turns]
    assert paths[:4] == ["greeting", "llm", "faq", "llm"], shown(outcome)
    assert set(paths[4:]) == {"scenario"}, shown(outcome)

    _, weather, card, interrupted, power = turns[:5]
    assert (weather.outcome, weather.heard_text) == ("played", weather.reply_text), shown(outcome)
    assert weather.reply_text.startswith(SHORT), shown(outcome)
    assert weather.marks["t4"] is not None
    assert card.marks["t4"] is None
    assert interrupted.outcome == "cut", shown(outcome)
    assert interrupted.reply_text.startswith(interrupted.heard_text), shown(outcome)
    assert len(interrupted.heard_text) < len(LONG), shown(outcome)
    assert (power.state_after, power.entities["number"]) == ("ask_drivers", 150), shown(outcome)
    assert report.state["final_price"] == 13200, shown(outcome)
    assert "short" in rules
    tokens = {used["unit"]: used["amount"] for used in report.usage if used["vendor"] == "local"}
    assert tokens["input_tokens"] > 0, shown(outcome)
    assert tokens["output_tokens"] > 0, shown(outcome)
    assert report.cost == {"EUR": pytest.approx(tokens["input_tokens"] * 0.002)}, shown(outcome)
    assert left_running == 0, "a request to the model outlived its call"
