from __future__ import annotations

import gc
import logging
from decimal import Decimal

import anyio
import pytest

from kamerton.domain.billing import Bill, BillLine
from kamerton.domain.notices import (
    AudioCleared,
    BargeInDecided,
    CallFinished,
    CallStarted,
    ConditionNoted,
    ErrorOccurred,
    MindState,
    MindStateChanged,
    Notice,
    TranscriptUpdated,
    TurnFinished,
)
from kamerton.observability.call_log import LoggingObserver
from kamerton.observability.masking import mask_fields
from kamerton.observability.metrics import KEPT_DECISIONS, MetricsLogger
from kamerton.observability.runtime_watch import RuntimeWatch
from kamerton.observability.turn_recorder import TurnRecorder
from kamerton.testing.virtual_loop import VirtualLoop

MARKS = {"t1": 1.0, "t_eos": 2.0, "t2": 2.1, "t3": 2.11, "t5_cache": 2.12, "t6": 2.25}
TURN = TurnFinished(
    index=1, path="scenario", user_text="сто пятьдесят", intent="answer", entities={"number": 150.0}, marks=MARKS
)
ALL_NOTICES: tuple[Notice, ...] = (
    CallStarted("c", "insurance", "audiosocket"),
    MindStateChanged(MindState.LISTENING),
    TranscriptUpdated("user", "сто", final=False, turn=1),
    TURN,
    BargeInDecided("yielded", onset_at_s=5.0, ducked_at_s=5.1, silenced_at_s=5.3),
    AudioCleared(),
    ErrorOccurred("the voice failed", where="tts"),
    CallFinished("c", "caller", "hung up", 12.0),
)


def sample(metrics: MetricsLogger, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def test_each_kind_that_matters_is_one_log_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    for notice in ALL_NOTICES:
        LoggingObserver().observe("c", notice)
    assert [record.message for record in caplog.records] == [
        "call started",
        "turn finished",
        "barge-in decided",
        "call error",
        "call finished",
    ]
    assert all(record.__dict__["call_id"] == "c" for record in caplog.records)


def test_a_turns_line_has_all_marks_and_its_response_time(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    LoggingObserver().observe("c", TURN)
    fields = caplog.records[0].__dict__
    assert [fields[name] for name in ("t1", "t_eos", "t2", "t3", "t4", "t5", "t6")] == [
        1.0,
        2.0,
        2.1,
        2.11,
        None,
        2.12,
        2.25,
    ]
    assert fields["response_ms"] == 250.0
    assert fields["path"] == "scenario"


def test_the_end_of_a_call_has_its_bill_and_masking_leaves_it_alone(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    used = BillLine(
        "model", "openai", "gpt-4o-mini-2024-07-18", "input_tokens", Decimal(9161234567), Decimal(1) / 3, "USD"
    )
    told = {"phone": "+7 916 123-45-67", "number": 9161234567}
    LoggingObserver().observe("c", CallFinished("c", "caller", "hung up", 12.0, told, bill=Bill((used,))))
    masked = mask_fields(caplog.records[0].__dict__)
    assert masked["usage"] == [used.plain()]
    assert masked["usage"][0]["amount"] == 9161234567
    assert masked["cost"] == {"USD": 0.333333333}
    assert "916" not in str(masked["variables"])


def test_a_barge_in_is_logged_relative_to_its_onset(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    LoggingObserver().observe("c", BargeInDecided("resumed", onset_at_s=5.0, ducked_at_s=5.1))
    fields = caplog.records[0].__dict__
    assert (fields["duck_ms"], fields["silence_ms"]) == (100.0, None)


def test_metrics_count_a_call() -> None:
    metrics = MetricsLogger()
    for notice in ALL_NOTICES[:-1]:
        metrics.observe("c", notice)
    assert metrics.active_calls == 1
    assert sample(metrics, "kamerton_calls_active") == 1
    metrics.observe("c", ALL_NOTICES[-1])
    assert sample(metrics, "kamerton_calls_active") == 0
    assert sample(metrics, "kamerton_calls_total", ended_by="caller") == 1
    assert sample(metrics, "kamerton_turns_total", path="scenario") == 1
    assert sample(metrics, "kamerton_response_seconds_sum", path="scenario") == pytest.approx(0.25)
    assert sample(metrics, "kamerton_barge_ins_total", verdict="yielded") == 1
    assert sample(metrics, "kamerton_yield_seconds_sum") == pytest.approx(0.3)
    assert sample(metrics, "kamerton_errors_total", where="tts") == 1


def test_metrics_keep_how_long_decided_turns_took_to_their_first_frame() -> None:
    metrics = MetricsLogger()
    metrics.observe("c", TURN)
    metrics.observe("c", TurnFinished(index=2, path="greeting", marks={"t6": 3.0}))
    metrics.observe("c", TurnFinished(index=3, path="scenario", outcome="skipped", marks={"t3": 3.0}))
    assert metrics.decisions == 1
    assert metrics.decisions_ms == [140.0]
    for _ in range(KEPT_DECISIONS):
        metrics.observe("c", TURN)
    assert (metrics.decisions, len(metrics.decisions_ms)) == (KEPT_DECISIONS + 1, KEPT_DECISIONS)


def test_labels_take_only_known_values() -> None:
    metrics = MetricsLogger()
    for number in range(50):
        metrics.observe("c", ErrorOccurred("boom", where=f"place-{number}"))
        metrics.observe("c", TurnFinished(index=number, path=f"path-{number}"))  # type: ignore[arg-type]
    assert sample(metrics, "kamerton_errors_total", where="other") == 50
    assert sample(metrics, "kamerton_turns_total", path="other") == 50
    assert b"place-" not in metrics.page()


def test_a_call_that_never_started_does_not_make_the_gauge_negative() -> None:
    metrics = MetricsLogger()
    metrics.observe("c", CallFinished("c", "error", "refused", 0.0))
    assert sample(metrics, "kamerton_calls_active") == 0


def test_two_loggers_do_not_share_anything() -> None:
    one, other = MetricsLogger(), MetricsLogger()
    one.observe("c", ConditionNoted("line_held"))
    assert sample(one, "kamerton_call_conditions_total", condition="line_held") == 1
    assert sample(other, "kamerton_call_conditions_total", condition="line_held") == 0


@pytest.mark.parametrize(
    ("error", "part"),
    [
        (ErrorOccurred("Языковая модель не ответила.", "the model fell silent. Look", part="llm"), "llm"),
        (ErrorOccurred("boom", "TTS"), "tts"),
        (ErrorOccurred("boom", "llm: the server answered nothing"), "llm"),
        (ErrorOccurred("boom", "stt.stream"), "stt"),
        (ErrorOccurred("boom", "the language model answered nothing; look at its instructions"), "other"),
        (ErrorOccurred("boom", "call failed"), "other"),
        (ErrorOccurred("boom", ""), "other"),
    ],
)
def test_a_failure_counts_for_the_part_that_failed(error: ErrorOccurred, part: str) -> None:
    metrics = MetricsLogger()
    metrics.observe("c", error)
    assert sample(metrics, "kamerton_errors_total", where=part) == 1


def test_conditions_are_counted_by_kind_and_there_from_the_start() -> None:
    metrics = MetricsLogger()
    assert sample(metrics, "kamerton_call_conditions_total", condition="echo_found") == 0
    metrics.observe("c", ConditionNoted("frames_missing", amount=40))
    metrics.observe("c", ConditionNoted("frames_missing", amount=2))
    metrics.observe("c", ConditionNoted("unheard of"))  # type: ignore[arg-type]
    assert sample(metrics, "kamerton_call_conditions_total", condition="frames_missing") == 42
    assert sample(metrics, "kamerton_call_conditions_total", condition="other") == 1


def test_figures_of_other_parts_are_shown_as_they_are() -> None:
    metrics = MetricsLogger()
    late = [0]
    metrics.figures.count("kamerton_frames_late", "Late frames", lambda: late[0])
    late[0] = 7
    assert sample(metrics, "kamerton_frames_late_total") == 7


def test_a_condition_of_a_call_is_a_line_of_its_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    LoggingObserver().observe("c", ConditionNoted("echo_found", details="-18 dB, 200 ms late"))
    fields = caplog.records[0].__dict__
    assert (caplog.records[0].message, fields["call_id"], fields["condition"]) == ("call condition", "c", "echo_found")


def test_collector_pauses_are_kept_and_counted_only_while_watched() -> None:
    metrics = MetricsLogger()
    watch = RuntimeWatch(metrics)
    with watch.gc_watched():
        gc.collect()
    gc.collect()
    assert len(watch.gc_pauses_ms) == 1
    assert sample(metrics, "kamerton_gc_pause_seconds_count", generation="2") == 1


class TestLoopLag:
    @pytest.fixture
    def anyio_backend(self) -> object:
        return ("asyncio", {"loop_factory": VirtualLoop})

    @pytest.mark.anyio
    async def test_a_loop_that_is_never_late_has_no_lag(self) -> None:
        metrics = MetricsLogger()
        watch = RuntimeWatch(metrics)
        assert watch.loop_lag_p99_ms is None
        with anyio.move_on_after(1.02):
            await watch.watch_loop(period_s=0.05)
        assert watch.loop_lag_p99_ms == pytest.approx(0.0, abs=0.001)
        assert sample(metrics, "kamerton_loop_lag_seconds_count") == 20


def test_the_recorder_keeps_a_calls_story() -> None:
    recorder = TurnRecorder()
    for notice in ALL_NOTICES:
        recorder.observe("c", notice)
    record = recorder.record("c")
    assert record is not None
    assert record.turns == [TURN]
    assert record.finished is not None
    assert record.finished.ended_by == "caller"
    assert record.heard == "сто"
    assert len(record.barge_ins) == len(record.errors) == 1
    assert recorder.record("unknown") is None


def test_a_call_is_settled_while_the_assistant_listens() -> None:
    recorder = TurnRecorder()
    settled = []
    for mind in MindState:
        recorder.observe("c", MindStateChanged(mind))
        record = recorder.record("c")
        assert record is not None
        if record.settled:
            settled.append(mind)
    assert settled == [MindState.IDLE, MindState.LISTENING]


def test_the_recorder_is_bounded_in_calls_and_turns() -> None:
    recorder = TurnRecorder(max_calls=2)
    for call_id in ("a", "b", "c"):
        recorder.observe(call_id, TURN)
    assert recorder.call_ids == ("b", "c")
    for _ in range(600):
        recorder.observe("c", TURN)
    record = recorder.record("c")
    assert record is not None
    assert len(record.turns) == 500
    assert record.dropped == 101
