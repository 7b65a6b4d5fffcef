"""What the commands share: options, progress, and errors that say what to do."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from kamerton.domain.errors import KamertonError

ConfigFile = Annotated[
    Path | None, typer.Option("--config", help="Settings file; by default kamerton.yaml of the working directory.")
]


def progress_line(text: str) -> None:
    """Tell the person at the terminal what goes on; never on stdout, which belongs to results."""
    print(f"kamerton: {text}", file=sys.stderr, flush=True)


def table_of(heads: Sequence[str], rows: Sequence[Sequence[str]], notes: Sequence[str]) -> str:
    """Columns as wide as they need; below each row its note, where there is one."""
    widths = [max(len(row[column]) for row in (heads, *rows)) for column in range(len(heads))]
    lines = []
    for row, note in zip((heads, *rows), ("", *notes), strict=True):
        lines.append("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
        if note:
            lines.append(f"  → {note}")
    return "\n".join(lines)


@contextmanager
def explained() -> Iterator[None]:
    """Turn Kamerton's own errors into a message and exit code 1, also when a task group wrapped them.

    Raises:
        typer.Exit: an error was shown.
    """
    try:
        yield
    except KamertonError as error:
        _show([error])
    except BaseExceptionGroup as group:
        own, others = group.split(KamertonError)
        if own is None or others is not None:
            raise
        _show(list(_leaves(own)))
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


def _show(errors: list[BaseException]) -> None:
    for error in errors:
        print(f"kamerton: {error}", file=sys.stderr)
    raise typer.Exit(1)


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error
