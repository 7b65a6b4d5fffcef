"""How much Kamerton adds to a model and a voice: calls on the real clock with a model server behind real HTTP.

Orchestrator, model client, checks of the answer and the cutting of clauses are the real ones. The model is the stand-in
server in a process of its own, the voice takes a known time to its first audio, and what the recogniser hears is
scripted. Every caller asks the model and interrupts its answer. Nothing is done ahead of a turn's end and no filler is
said, so that every wait is the answer's own.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Final

import anyio

from kamerton.domain.errors import EngineError
from kamerton.domain.language_model import ChatMessage, LanguageModel
from kamerton.domain.notices import BargeInDecided, MindState, MindStateChanged, Notice, TurnFinished
from kamerton.llm.checked_answer import CheckedAnswer
from kamerton.llm.conversation_manager import ConversationManager
from kamerton.llm.dual_context import DualContextController
from kamerton.llm.instructions import talk_instructions
from kamerton.llm.limits import TalkLimits
from kamerton.llm.openai.model import OpenAICompatibleModel
from kamerton.llm.openai.server_settings import OpenAICompatibleSettings
from kamerton.llm.token_counts import estimate_tokens
from kamerton.observability.timeline import mark_at_s
from kamerton.orchestrator.router import AnswerSources
from kamerton.orchestrator.settings import CallSettings
from kamerton.orchestrator.speculation import SpeculationSettings
from kamerton.orchestrator.workers import InlineWorker
from kamerton.stt.standins.scripted import ScriptedSpeechToText, ScriptedTurn
from kamerton.testing.call_lab import CallLab, EchoFlow, LabCall
from kamerton.testing.caller.load_figures import Spread
from kamerton.testing.caller.model_process import SeenRequest, model_process
from kamerton.testing.model_server import ModelScript, Reply, Rule, wire
from kamerton.testing.model_server.server import MODEL_NAME
from kamerton.tts.clause_buffer import ClauseBuffer
from kamerton.tts.tts_manager import SynthesisLimits, TTSManager
from kamerton.tts.voices.standin import PacedToneTextToSpeech

VOICE_MS: Final = 150.0
FIRST_TOKEN_MS: Final = 400.0
TOKEN_MS: Final = 10.0
_ANSWER: Final = "Отвечаю на вопрос номер {number}, главное тут мощность двигателя. " + 3 * (
    "Чем она выше, тем дороже полис. Ещё важен стаж водителя, потому что опытные водители реже попадают в аварии. "
    "Каждый год без аварий снижает цену примерно на пять процентов. Кроме того, учитывается город, в котором машина "
    "стоит на учёте, число водителей и срок договора. "
)
"""Takes the model over two seconds to write. Its first clause is new in each call: no voice has it at hand."""
_LIMITS: Final = TalkLimits(max_words=200)
"""So that the model is still writing when the caller has taken the floor."""
_TITLE: Final = "Замер"
_QUESTION: Final = "вопрос номер {number} про полис."
INTERRUPTION: Final = "стоп"

_SPEECH_S: Final = 0.8
_FIRST_QUESTION_S: Final = 2.0
"""The greeting is over by then."""
_APART_S: Final = 0.15
_INTERRUPT_AFTER_S: Final = 0.1
_STAY_S: Final = 1.0
"""How long a caller stays after the interruption: hanging up would free the stream as well."""
_CALL_DEADLINE_S: Final = 30.0
_WINDOW_TOKENS: Final = 4000


@dataclass(frozen=True, slots=True)
class ToldCall:
    """What one call told of its model answer. Instants in seconds on the monotonic clock; None when it never came."""

    number: int
    question: str
    audio_at_s: float | None
    """First audio in hand."""
    frame_at_s: float | None
    """First frame sent."""
    cut_at_s: float | None
    """The caller was given the floor."""


async def measure(calls: int) -> dict[str, Any]:
    """Make the calls and return their figures in milliseconds, as plain values for JSON.

    Raises:
        EngineError: the server's process failed, or no common clock can be read.
    """
    async with model_process(script_for(calls + 1)) as server:
        model = OpenAICompatibleModel(OpenAICompatibleSettings(server.base_url, MODEL_NAME))
        try:
            await _made(model, (calls + 1,))  # the first call of a process loads what later ones find
            begun_s = anyio.current_time()
            told = await _made(model, range(1, calls + 1))
            over_s = anyio.current_time()
        finally:
            await model.aclose()
    seen = {request.question: request for request in server.seen}
    _require_common_clock([seen[call.question] for call in told if call.question in seen], begun_s, over_s)
    return figures_of(told, seen)


def script_for(calls: int) -> ModelScript:
    """What the model answers to calls number 1 to `calls`."""
    rules = tuple(
        Rule(match=(_QUESTION.format(number=number),), answer=_ANSWER.format(number=number))
        for number in range(1, calls + 1)
    )
    return ModelScript(rules=rules, first_token_ms=FIRST_TOKEN_MS, token_ms=TOKEN_MS)


def figures_of(told: Sequence[ToldCall], seen: Mapping[str, SeenRequest]) -> dict[str, Any]:
    """Put both sides together; a call that lacks one of its instants counts as failed.

    Audio counts from the instant at which the server was due to send the first clause, less the voice's own time.
    """
    in_hand: list[float] = []
    first_frame: list[float] = []
    freed: list[float] = []
    held: list[float] = []
    for call in told:
        request = seen.get(call.question)
        if request is None or call.audio_at_s is None or call.frame_at_s is None or call.cut_at_s is None:
            continue
        if request.outcome != "closed_early" or request.ended_at_s is None:
            continue
        clause = first_clause(call.number)
        held.append(clause.checked_ms - clause.written_ms)
        spoken_at_s = request.received_at_s + (clause.written_ms + VOICE_MS) / 1000
        in_hand.append((call.audio_at_s - spoken_at_s) * 1000)
        first_frame.append((call.frame_at_s - spoken_at_s) * 1000)
        freed.append((request.ended_at_s - call.cut_at_s) * 1000)
    return {
        "audio_in_hand_ms": asdict(Spread.of(in_hand)),
        "first_audio_ms": asdict(Spread.of(first_frame)),
        "checks_wait_ms": asdict(Spread.of(held)),
        "stream_freed_ms": asdict(Spread.of(freed)),
        "calls_failed": len(told) - len(first_frame),
    }


@dataclass(frozen=True, slots=True)
class FirstClause:
    """When the first clause of an answer is there, by the server's schedule, in milliseconds from the request."""

    written_ms: float
    """The server sends the token that makes it certain."""
    checked_ms: float
    """The server sends the token with which the checks of the answer let it pass: they wait for whole words."""


def first_clause(number: int) -> FirstClause:
    """The first clause of the answer to a call.

    Raises:
        EngineError: the answer has no clause before its end.
    """
    raw = wire.tokens(wire.written(Reply(answer=_ANSWER.format(number=number)), ()))
    answer_from = "".join(raw).index('"answer":"') + len('"answer":"')
    checks = CheckedAnswer(talk_instructions(_TITLE, "ru"), "ru", _LIMITS)
    written = _clause_token("".join(raw[:count])[answer_from:] for count in range(1, len(raw)))
    passed = ""
    checked = _clause_token(passed := passed + checks.push(token) for token in raw)
    return FirstClause(FIRST_TOKEN_MS + written * TOKEN_MS, FIRST_TOKEN_MS + checked * TOKEN_MS)


def _clause_token(texts: Iterable[str]) -> int:
    """Of texts that grow, the first one with a whole clause."""
    for count, text in enumerate(texts):
        if ClauseBuffer().push(text):
            return count
    raise EngineError("the scripted answer is a single clause; give the model more to say")


async def _made(model: LanguageModel, numbers: Sequence[int]) -> list[ToldCall]:
    """A call for each number, at once."""
    questions = [_QUESTION.format(number=number) for number in numbers]
    voice = PacedToneTextToSpeech(first_audio_ms=VOICE_MS)
    limits = SynthesisLimits(concurrent=len(questions) * 3)
    watch = _Watch()
    async with TTSManager([voice], language="ru", worker=InlineWorker(), limits=limits) as manager:
        lab = CallLab(
            ScriptedSpeechToText(*((ScriptedTurn(text), ScriptedTurn(INTERRUPTION)) for text in questions)),
            flow=EchoFlow(greeting="слушаю", knows=(INTERRUPTION,)),
            voice=manager,
            call_settings=CallSettings(speculation=SpeculationSettings(enabled=False)),
            observers=(watch,),
            sources=AnswerSources(model=True),
            talk=partial(_talk, model),
            fillers={},
        )
        async with lab.calls(len(questions)) as calls, anyio.create_task_group() as callers:
            for number, call in enumerate(calls):
                callers.start_soon(_converse, call, number, watch)
        return [_told(number, call) for number, call in zip(numbers, calls, strict=True)]


def _talk(model: LanguageModel, call_id: str) -> ConversationManager:
    async def summarize(messages: Sequence[ChatMessage]) -> str:
        return " ".join(message.text for message in messages)

    contexts = DualContextController(_WINDOW_TOKENS, summarize, estimate_tokens)
    return ConversationManager(model, contexts, talk_instructions(_TITLE, "ru"), _LIMITS, "ru")


async def _converse(call: LabCall, number: int, watch: _Watch) -> None:
    """Ask, interrupt the answer, and stay on the line for a moment."""
    asked_s = _FIRST_QUESTION_S + number * _APART_S
    call.says(asked_s, asked_s + _SPEECH_S)
    call_id = call.media.info.call_id
    with anyio.move_on_after(_CALL_DEADLINE_S):
        await watch.replies[call_id].wait()
        now_s = anyio.current_time() - call.started_s + _INTERRUPT_AFTER_S
        call.says(now_s, now_s + _SPEECH_S)
        await watch.yields[call_id].wait()
        await anyio.sleep(_STAY_S)


class _Watch:
    """A `CallObserver` that lets each caller wait for the answer, and for the floor."""

    def __init__(self) -> None:
        self.replies: defaultdict[str, anyio.Event] = defaultdict(anyio.Event)
        self.yields: defaultdict[str, anyio.Event] = defaultdict(anyio.Event)

    def observe(self, call_id: str, notice: Notice) -> None:
        match notice:
            case MindStateChanged(MindState.SPEAKING, "reply"):
                self.replies[call_id].set()
            case BargeInDecided("yielded"):
                self.yields[call_id].set()


def _told(number: int, call: LabCall) -> ToldCall:
    turn = next((turn for turn in call.of_kind(TurnFinished) if turn.path == "llm"), TurnFinished(0, "llm"))
    decided = ((at_s, notice) for at_s, notice in call.media.notices if isinstance(notice, BargeInDecided))
    cuts = (at_s for at_s, notice in decided if notice.verdict == "yielded")
    return ToldCall(number, turn.user_text, mark_at_s(turn.marks, "t5"), mark_at_s(turn.marks, "t6"), next(cuts, None))


def _require_common_clock(requests: Sequence[SeenRequest], begun_s: float, over_s: float) -> None:
    if not all(begun_s <= request.received_at_s <= over_s for request in requests):
        raise EngineError(
            "the processes of this system have no monotonic clock in common, so that instants of the server's process "
            "mean nothing here; measure on Linux"
        )
