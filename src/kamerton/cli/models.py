"""`kamerton models`: better recognisers and voices, fetched by command and never otherwise."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final

import anyio
import typer

from kamerton.cli.common import ConfigFile, explained, progress_line
from kamerton.config.settings import Settings, load_settings
from kamerton.models.catalogue import CATALOGUE, CatalogueModel
from kamerton.models.fetching import Step, fetch_model, megabytes
from kamerton.models.settings import ModelsSettings
from kamerton.models.storage import (
    find_installed,
    known,
    models_folder,
    read_manifest,
    staging_folder,
    stored_bytes,
)
from kamerton.models.storage import remove as remove_model

app = typer.Typer(help="Recognisers and voices that can be fetched.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="As `kamerton models list` shows it.")]

RATE_WINDOW_S: Final = 5.0
LINE_EVERY_S: Final = 5.0
"""Where nobody watches (a log file), a line of progress comes this often."""


@app.command("list")
def list_models(config: ConfigFile = None) -> None:
    """Show every model: what it is good for, its size and licence, whether it is here, and the setting that uses it."""
    with explained():
        settings = load_settings(config)
        for model in CATALOGUE.values():
            print(_entry(model, settings.data_dir))
    print(f"\nGet one with `kamerton models get NAME`; it is kept in {models_folder(settings.data_dir)}.")


@app.command()
def get(
    name: Name,
    base_url: Annotated[
        str | None, typer.Option("--base-url", help="Another host with the hub's addresses; else `models.mirror`.")
    ] = None,
    config: ConfigFile = None,
) -> None:
    """Fetch a model, or go on where an interrupted fetch stopped. Ctrl-C keeps what came.

    The version that was there stays usable until the new one is whole and checked. Exits with 1 when it cannot be
    fetched.
    """
    with explained():
        settings = load_settings(config)
        model = known(name)
        before = find_installed(settings.data_dir, model)
        with ProgressLine(model) as line:
            fetch = partial(fetch_model, progress=line.show, note=line.note)
            try:
                folder = anyio.run(fetch, model, settings.data_dir, fetch_settings(settings, base_url))
            except KeyboardInterrupt:
                line.note(f"stopped; what came of {name} is kept, the same command goes on from there")
                raise
        print(f"{name} {'was there already' if folder == before else 'is ready'}. To use it:\n\n    {model.setting}\n")
        print(f"Licence: {model.licence}")


@app.command()
def remove(name: Name, config: ConfigFile = None) -> None:
    """Take a model away, and what was fetched of it. Refused while a running process has it open."""
    with explained():
        settings = load_settings(config)
        known(name)
        freed = remove_model(settings.data_dir, name)
        print(f"{name} is removed, {megabytes(freed)} are free again." if freed else f"{name} was not here.")
        for place in mentions(settings.model_dump(), name, models_folder(settings.data_dir)):
            print(f"The setting {place} names it: the engine it belongs to will not open without it.")


def fetch_settings(settings: Settings, base_url: str | None) -> ModelsSettings:
    """The section `models` of the settings, with the host of the command line.

    Raises:
        ConfigurationError: that host is no address.
    """
    section = settings.models
    return section if base_url is None else replace(section, mirror=base_url)


def mentions(values: Mapping[str, Any], name: str, models: Path, place: str = "") -> Iterator[str]:
    """The settings that name a model, or a path inside its folder."""
    for key, value in values.items():
        here = f"{place}.{key}" if place else key
        if isinstance(value, Mapping):
            yield from mentions(value, name, models, here)
        elif isinstance(value, str | Path) and (
            str(value) == name or Path(value).absolute().is_relative_to((models / name).absolute())
        ):
            yield here


def _entry(model: CatalogueModel, data_dir: Path) -> str:
    head = f"{model.name:<28}{megabytes(model.size):>9}  {', '.join(model.languages):<7} {_state(model, data_dir)}"
    return f"{head}\n    {model.good_for}\n    licence: {model.licence}\n    to use it: {model.setting}"


def _state(model: CatalogueModel, data_dir: Path) -> str:
    folder = find_installed(data_dir, model)
    staged = stored_bytes(staging_folder(data_dir, model.name))
    if folder is not None:
        revision = read_manifest(folder).get("revision", model.revision)
        return "here" if revision == model.revision else "here in another version; `get` brings this one"
    return f"{megabytes(staged)} of it are here; `get` goes on" if staged else "can be fetched"


class ProgressLine:
    """Shows how a fetch goes, on one line of a terminal or on a line now and then. Called on the loop's thread."""

    def __init__(self, model: CatalogueModel) -> None:
        self._model = model
        self._watched = sys.stderr.isatty()
        self._seen: deque[tuple[float, int]] = deque()
        self._shown_s = float("-inf")
        self._open = False

    def __enter__(self) -> ProgressLine:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._end_line()

    def show(self, step: Step) -> None:
        """How far it has come."""
        now_s = anyio.current_time()
        self._seen.append((now_s, step.fetched))
        while now_s - self._seen[0][0] > RATE_WINDOW_S and len(self._seen) > 2:
            self._seen.popleft()
        text = progress_text(self._model.name, step, self._rate())
        if self._watched:
            print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)
            self._open = True
        elif now_s - self._shown_s >= LINE_EVERY_S or step.done == step.total:
            self._shown_s = now_s
            progress_line(text)

    def note(self, text: str) -> None:
        """Something went wrong and is tried again."""
        self._end_line()
        progress_line(text)

    def _rate(self) -> float:
        """Bytes per second of late; 0 while nothing can be said."""
        (first_s, first), (last_s, last) = self._seen[0], self._seen[-1]
        return (last - first) / (last_s - first_s) if last_s > first_s else 0.0

    def _end_line(self) -> None:
        if self._open:
            print(file=sys.stderr)
            self._open = False


def progress_text(name: str, step: Step, bytes_per_s: float) -> str:
    """Bytes, share, rate and time left."""
    share = 100 * step.done / step.total if step.total else 100.0
    text = f"{name}: {megabytes(step.done)} of {megabytes(step.total)} ({share:.0f} %)"
    if bytes_per_s <= 0:
        return text
    minutes, seconds = divmod(round((step.total - step.done) / bytes_per_s), 60)
    return f"{text}, {megabytes(bytes_per_s)}/s, {minutes}:{seconds:02d} left"
