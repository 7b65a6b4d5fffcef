"""The service's wish to stop, told to every running call: each ends its sentence, says good-bye and hangs up."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Stopping:
    """One for all calls of a process. Of one event loop."""

    def __init__(self) -> None:
        self._watchers: dict[Callable[[], None], None] = {}
        self.begun = False
        """True from the first wish on: no further call is to be taken."""

    def begin(self) -> None:
        """Tell every call, once."""
        if self.begun:
            return
        self.begun = True
        for watcher in tuple(self._watchers):
            watcher()

    @contextmanager
    def watched(self, watcher: Callable[[], None]) -> Iterator[None]:
        """While the context is open `watcher` is called when the service wishes to stop; at once if it does already."""
        self._watchers[watcher] = None
        if self.begun:
            watcher()
        try:
            yield
        finally:
            self._watchers.pop(watcher, None)
