"""One-line JSON logs with the call's trace id, written off the event loop.

A log call on the loop costs one bounded put; formatting, masking and writing happen in one thread. When that thread
cannot keep up, records are dropped and counted: a slow disk never delays a call.
"""

from __future__ import annotations

import contextlib
import json
import logging
import math
import queue
import threading
import traceback
from datetime import UTC, datetime
from typing import Any, Final, Literal, TextIO

from kamerton.domain.call_scope import current_call
from kamerton.observability.masking import load_dictionaries, mask_fields, mask_text

QUEUE_RECORDS: Final = 10_000
"""Records that may wait to be written; on overflow the newest is dropped and counted."""
STOP_DEADLINE_S: Final = 5.0

_PLAIN_RECORD: Final = logging.makeLogRecord({})
_STANDARD_FIELDS: Final = frozenset(_PLAIN_RECORD.__dict__) | {"message", "asctime", "taskName", "call_id"}
_OWN_FIELDS: Final = frozenset({"ts", "level", "logger", "msg", "exception"})
_STEERING: Final = (
    *range(0x20),
    *range(0x7F, 0xA0),
    0x061C,
    *range(0x200B, 0x2010),
    *range(0x2028, 0x202F),
    *range(0x2060, 0x2070),
    0xFEFF,
    *range(0xD800, 0xE000),
)
"""Code points that a terminal or a viewer obeys or hides instead of showing them: controls (C0, C1, ANSI's escape),
line and paragraph separators, marks of direction, invisible spaces; and lone surrogates, which no stream can write."""
_SHORT_ESCAPES: Final = {0x09: "\\t", 0x0A: "\\n", 0x0D: "\\r"}
_ESCAPES: Final = {code: _SHORT_ESCAPES.get(code, f"\\u{code:04x}") for code in _STEERING}
_TRACE_INDENT: Final = "    "


class JsonFormatter(logging.Formatter):
    """Formats a record as one line of JSON: ts, level, logger, msg, call_id, extra fields, exception. Never raises.

    Every text is masked; the trace id is written as it is.
    """

    def format(self, record: logging.LogRecord) -> str:
        """One line without its line end."""
        try:
            return _to_line(_fields(record))
        except Exception as error:  # the boundary of the log: a value that cannot be shown must not end a call
            return _to_line(
                {
                    "ts": _wall(record),
                    "level": record.levelname,
                    "logger": record.name,
                    "msg": "a log record could not be written",
                    "exception": type(error).__name__,
                }
            )


class ConsoleFormatter(logging.Formatter):
    """Formats a record for people: time, level, logger, text, fields; masked as well. Never raises.

    What was said or sent cannot make a line of its own or steer the terminal: every control character is written as its
    code, a text with blanks in a field stands in quotes, and the lines of a traceback are indented.
    """

    def format(self, record: logging.LogRecord) -> str:
        """One line, and a traceback indented below it when there is one."""
        try:
            fields = {key: value if key in _OWN_FIELDS else _quoted(value) for key, value in _fields(record).items()}
        except Exception as error:  # the boundary of the log, as above
            fields = {"msg": "a log record could not be written", "exception": type(error).__name__}
        head = f"{_wall(record)[11:23]} {record.levelname:<7} {record.name} {fields.pop('msg')}"
        trace = str(fields.pop("exception", ""))
        shown = " ".join(f"{key}={text}" for key, text in fields.items() if key not in _OWN_FIELDS)
        line = "  ".join(filter(None, (head, shown))).translate(_ESCAPES)
        below = (f"\n{_TRACE_INDENT}{part.translate(_ESCAPES)}" for part in trace.split("\n") if trace)
        return line + "".join(below)


class LoggingPipeline:
    """From the loggers to a stream: a bounded queue and the one thread that writes; see `configure_logging`."""

    def __init__(self, stream: TextIO, formatter: logging.Formatter, capacity: int = QUEUE_RECORDS) -> None:
        self._stream = stream
        self._formatter = formatter
        self._records: queue.Queue[logging.LogRecord | None] = queue.Queue(maxsize=capacity)
        self._reported_drops = 0
        self._writer = threading.Thread(target=self._write_records, name="kamerton-log", daemon=True)
        self.handler = _EnqueueHandler(self._records)

    @property
    def dropped(self) -> int:
        """Records lost so far because the queue was full."""
        return self.handler.dropped

    def start(self) -> None:
        """Start the writing thread."""
        self._writer.start()

    def stop(self) -> None:
        """Write what is queued, end the thread and leave the root logger as it was. Safe to call twice.

        Waits 5 s at most: a stream that blocks for ever keeps its (daemon) thread.
        """
        root = logging.getLogger()
        root.removeHandler(self.handler)
        if not self._writer.is_alive():
            return
        with contextlib.suppress(queue.Full):
            self._records.put(None, timeout=STOP_DEADLINE_S)
        self._writer.join(STOP_DEADLINE_S)

    def _write_records(self) -> None:
        try:
            load_dictionaries()
        except Exception:  # the boundary of the log: whatever cannot be masked without them says so line by line
            self._write_own(logging.ERROR, "the dictionaries that names are masked by cannot be read")
        while (record := self._records.get()) is not None:
            self._write_line(self._formatter.format(record))
            if self._records.empty():
                self._report_drops()
                self._flush()
        self._report_drops()
        self._flush()

    def _write_line(self, line: str) -> None:
        with contextlib.suppress(OSError, ValueError):  # a closed or broken stream: there is nowhere left to say so
            self._stream.write(line + "\n")

    def _flush(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._stream.flush()

    def _report_drops(self) -> None:
        dropped = self.dropped
        if dropped > self._reported_drops:
            lost, self._reported_drops = dropped - self._reported_drops, dropped
            self._write_own(logging.WARNING, "log records dropped: the log cannot keep up", dropped=lost)

    def _write_own(self, level: int, text: str, **values: object) -> None:
        record = logging.LogRecord(__name__, level, __file__, 0, text, None, None)
        record.__dict__.update(values)
        self._write_line(self._formatter.format(record))


class _EnqueueHandler(logging.Handler):
    """Puts records on the queue without ever waiting, with their text and trace id fixed at that moment."""

    def __init__(self, records: queue.Queue[logging.LogRecord | None]) -> None:
        super().__init__()
        self._records = records
        self.dropped = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Queue one record, or count it as dropped."""
        try:
            record.msg = record.getMessage()
        except (TypeError, ValueError, KeyError):
            record.msg = f"{record.msg} (its arguments do not fit)"
        record.args = None
        if getattr(record, "call_id", None) is None:
            record.call_id = current_call()
        try:
            self._records.put_nowait(record)
        except queue.Full:
            self.dropped += 1


def configure_logging(
    level: str, stream: TextIO, style: Literal["json", "console"] = "json", capacity: int = QUEUE_RECORDS
) -> LoggingPipeline:
    """Send everything logged at `level` or above to the stream, replacing the root logger's handlers.

    Returns:
        The running pipeline; call its `stop` last thing before the process ends.

    Raises:
        ValueError: `level` is not one of logging's level names.
    """
    formatter = JsonFormatter() if style == "json" else ConsoleFormatter()
    root = logging.getLogger()
    root.setLevel(level.upper())
    pipeline = LoggingPipeline(stream, formatter, capacity)
    for handler in tuple(root.handlers):
        root.removeHandler(handler)
    root.addHandler(pipeline.handler)
    pipeline.start()
    return pipeline


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "ts": _wall(record),
        "level": record.levelname,
        "logger": record.name,
        "msg": mask_text(record.getMessage()),
    }
    call_id = getattr(record, "call_id", None) or current_call()
    if call_id:
        fields["call_id"] = str(call_id)
    extra = {key: value for key, value in record.__dict__.items() if key not in _STANDARD_FIELDS}
    for key, value in mask_fields(extra).items():
        fields[f"{key}_" if key in _OWN_FIELDS else key] = value
    if record.exc_info and record.exc_info[0] is not None:
        fields["exception"] = mask_text("".join(traceback.format_exception(*record.exc_info)).rstrip())
    return fields


def _wall(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _to_line(fields: dict[str, Any]) -> str:
    line = json.dumps(_finite(fields), ensure_ascii=False, default=_shown, check_circular=True)
    return line.translate(_ESCAPES)


def _quoted(value: Any) -> str:
    """A field of a console line; what could be taken for more than one field stands in quotes."""
    text = str(value) if isinstance(value, str | int | float | bool | None) else _shown(value)
    if isinstance(value, str) and (not text or any(mark.isspace() or mark in '="' for mark in text)):
        return json.dumps(text, ensure_ascii=False)
    return text


def _finite(value: Any) -> Any:
    """JSON has no NaN and no infinity; they become null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    return [_finite(inner) for inner in value] if isinstance(value, list) else value


def _shown(value: Any) -> str:
    """Stand-in for a value that JSON cannot hold; its text is masked like any other."""
    return mask_text(str(value))
