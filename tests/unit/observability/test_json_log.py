from __future__ import annotations

import io
import json
import logging
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from kamerton.domain.call_scope import call_context
from kamerton.observability.json_log import (
    ConsoleFormatter,
    JsonFormatter,
    LoggingPipeline,
    configure_logging,
)


class Unshowable:
    def __str__(self) -> str:
        raise RuntimeError("no text for you")


class BlockedStream(io.StringIO):
    """A stream whose writes wait until they are let through."""

    def __init__(self) -> None:
        super().__init__()
        self.let_through = threading.Event()
        self.reached = threading.Event()

    def write(self, text: str) -> int:
        self.reached.set()
        assert self.let_through.wait(10)
        return super().write(text)


@pytest.fixture(autouse=True)
def root_logger_restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = tuple(root.handlers), root.level
    yield
    for handler in tuple(root.handlers):
        root.removeHandler(handler)
    for handler in handlers:
        root.addHandler(handler)
    root.setLevel(level)


def record(message: str = "call started", /, **extra: object) -> logging.LogRecord:
    made = logging.LogRecord("kamerton.test", logging.INFO, __file__, 1, message, None, None)
    made.__dict__.update(extra)
    return made


def formatted(made: logging.LogRecord) -> dict[str, Any]:
    line = JsonFormatter().format(made)
    assert len(line.splitlines()) == 1
    fields = json.loads(line, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert isinstance(fields, dict)
    return fields


def logged(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_record_becomes_one_line_with_its_fields() -> None:
    fields = formatted(record(port=9092, path="scenario"))
    assert fields["level"] == "INFO"
    assert fields["logger"] == "kamerton.test"
    assert fields["msg"] == "call started"
    assert fields["ts"].endswith("Z")
    assert fields["port"] == 9092
    assert fields["path"] == "scenario"
    assert "call_id" not in fields


def test_everything_is_masked_but_the_trace_id() -> None:
    call_id = "89161234567"
    fields = formatted(
        record("позвоните на 8 916 123 45 67", call_id=call_id, text="меня зовут Иван", extra_data={"a": ["a@b.ru"]})
    )
    assert fields["call_id"] == call_id
    line = json.dumps({key: value for key, value in fields.items() if key != "call_id"}, ensure_ascii=False)
    for secret in ("916", "Иван", "a@b.ru"):
        assert secret not in line


def test_line_breaks_stay_inside_the_line() -> None:
    assert formatted(record("one\ntwo", text="a\u2028b\x85c\r\nd"))["text"] == "a\u2028b\x85c\r\nd"


def test_an_exception_is_written_and_masked() -> None:
    try:
        raise ValueError("number +7 916 123-45-67 refused")
    except ValueError as error:
        made = record()
        made.exc_info = (type(error), error, error.__traceback__)
    exception = formatted(made)["exception"]
    assert "ValueError" in exception
    assert "916" not in exception
    assert "Traceback" in ConsoleFormatter().format(made)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1: 2}, {"x": float("nan")}, object(), b"\xff", {3}])
def test_any_value_makes_valid_json(value: object) -> None:
    assert "value" in formatted(record(value=value))


@pytest.mark.parametrize("value", [Unshowable(), {"deep": [Unshowable()]}])
def test_a_value_that_cannot_be_shown_does_not_raise(value: object) -> None:
    assert formatted(record(value=value))["msg"] == "a log record could not be written"


def test_the_console_shows_no_value_that_cannot_be_shown() -> None:
    assert "a log record could not be written" in ConsoleFormatter().format(record(value=Unshowable()))


def test_a_value_of_any_kind_is_masked_on_the_console_too() -> None:
    assert "8916" not in ConsoleFormatter().format(record(value=ValueError("тел 89161234567")))


def test_without_its_dictionaries_the_log_is_written_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise FileNotFoundError("words.dawg")

    monkeypatch.setattr("kamerton.observability.json_log.load_dictionaries", missing)
    stream = io.StringIO()
    pipeline = configure_logging("info", stream)
    logging.getLogger("kamerton.test").info("said")
    pipeline.stop()
    assert [line["msg"] for line in logged(stream)] == [
        "the dictionaries that names are masked by cannot be read",
        "said",
    ]


def test_a_value_that_holds_itself_does_not_raise() -> None:
    loop: list[Any] = []
    loop.append(loop)
    assert formatted(record(value=loop))["exception"] == "RecursionError"
    assert "could not be written" in ConsoleFormatter().format(record(value=loop))


def test_an_extra_field_cannot_replace_the_lines_own() -> None:
    fields = formatted(record(level="x", ts="y"))
    assert fields["level"] == "INFO"
    assert fields["level_"] == "x"


def test_the_pipeline_writes_and_carries_the_call_of_the_moment() -> None:
    stream = io.StringIO()
    pipeline = configure_logging("info", stream)
    logger = logging.getLogger("kamerton.test")
    with call_context("call-1"):
        logger.info("inside", extra={"n": 1})
    logger.info("outside")
    logger.debug("too quiet")
    pipeline.stop()
    lines = logged(stream)
    assert [line["msg"] for line in lines] == ["inside", "outside"]
    assert lines[0]["call_id"] == "call-1"
    assert "call_id" not in lines[1]
    assert pipeline.handler not in logging.getLogger().handlers


def test_wrong_arguments_are_logged_not_raised() -> None:
    stream = io.StringIO()
    pipeline = configure_logging("INFO", stream)
    logging.getLogger("kamerton.test").info("%d calls", "three")
    pipeline.stop()
    assert "do not fit" in logged(stream)[0]["msg"]


def test_a_slow_stream_drops_and_counts_and_never_waits() -> None:
    stream = BlockedStream()
    pipeline = configure_logging("INFO", stream, capacity=3)
    logger = logging.getLogger("kamerton.test")
    logger.info("first")
    assert stream.reached.wait(10)
    for number in range(10):
        logger.info("more", extra={"number": number})
    assert pipeline.dropped == 7
    stream.let_through.set()
    pipeline.stop()
    lines = logged(stream)
    assert [line.get("number") for line in lines if line["msg"] == "more"] == [0, 1, 2]
    assert [line["dropped"] for line in lines if "dropped" in line] == [7]


def test_a_closed_stream_does_not_raise_and_stopping_twice_is_safe() -> None:
    stream = io.StringIO()
    pipeline = configure_logging("INFO", stream)
    stream.close()
    logging.getLogger("kamerton.test").info("to nowhere")
    pipeline.stop()
    pipeline.stop()


def test_stopping_before_the_start_is_safe() -> None:
    LoggingPipeline(io.StringIO(), JsonFormatter()).stop()


def test_an_unknown_level_is_refused() -> None:
    with pytest.raises(ValueError, match="LOUD"):
        configure_logging("loud", io.StringIO())


def test_the_console_shows_text_and_fields_masked() -> None:
    line = ConsoleFormatter().format(record("turn finished", text="тел 89161234567", response_ms=250))
    assert "turn finished" in line
    assert "response_ms=250" in line
    assert "8916" not in line


FORGERIES = (
    "да\n12:00:00.000 INFO    kamerton.calls call finished  ended_by=bot",
    "да\r12:00:00.000 INFO",
    "да\u2028next",
    "да\u2029next",
    "да\x85next",
    "да\x0bnext\x0cnext\x1cnext",
    "\x1b[2J\x1b[1;1Hcleared",
    "\x9b31mred",
    "a\u202egnp.exe",
    "a\u2066b\u2069c",
    "a\u200fb\u061cc",
    "nul\x00bell\x07del\x7fbackspace\x08",
    "lone \ud800 surrogate",
    "zero\u200bwidth\ufeff",
)
STEERING = "\n\r\x0b\x0c\x1b\x1c\x7f\x85\x9b\u2028\u2029\u202e\u2066\u2069\u200f\u061c\u200b\ufeff\x00\x07\x08\ud800"


@pytest.mark.parametrize("text", FORGERIES)
@pytest.mark.parametrize("formatter", [ConsoleFormatter(), JsonFormatter()])
def test_nothing_that_was_said_makes_a_line_of_its_own_or_steers_the_terminal(
    formatter: logging.Formatter, text: str
) -> None:
    line = formatter.format(record(f"heard {text}", text=text, deep={text: [text]}, **{"key\nforged": text}))
    assert len(line.splitlines()) == 1
    assert not any(mark in line for mark in STEERING)
    line.encode()


def test_a_lone_surrogate_does_not_lose_its_line() -> None:
    written = io.BytesIO()
    pipeline = configure_logging("INFO", io.TextIOWrapper(written, "utf-8", write_through=True))
    logging.getLogger("kamerton.test").info("lone \ud800 surrogate")
    pipeline.stop()
    assert "surrogate" in written.getvalue().decode()


def test_a_text_cannot_forge_fields_of_a_console_line() -> None:
    line = ConsoleFormatter().format(record("turn finished", text="да outcome=played", reply="", path="scenario"))
    assert line.endswith('turn finished  text="да outcome=played" reply="" path=scenario')


def test_lines_of_an_exception_are_indented_so_that_none_passes_for_a_record() -> None:
    try:
        raise ValueError("bad\n12:00:00.000 INFO    kamerton.calls call finished\x1b[2J")
    except ValueError as error:
        made = record()
        made.exc_info = (type(error), error, error.__traceback__)
    first, *below = ConsoleFormatter().format(made).split("\n")
    assert "call started" in first
    assert below
    assert all(part.startswith("    ") for part in below)
    assert "\x1b" not in "".join(below)


def test_a_number_understood_out_of_a_hidden_one_is_hidden_as_well() -> None:
    fields = formatted(record("turn finished", text="0671234567", entities={"number": 671234567.0}, turn=3))
    assert (fields["text"], fields["entities"], fields["turn"]) == ("[phone]", {"number": "[phone]"}, 3)
