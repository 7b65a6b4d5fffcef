"""Finds the engines that registered themselves under a package, without knowing any of them."""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
from collections.abc import Mapping
from functools import cache
from typing import Any, Final

from kamerton.vendors.engine import EngineType

RECOGNIZERS: Final = "kamerton.stt"
VOICES: Final = "kamerton.tts.voices"
MODELS: Final = "kamerton.llm"
EMBEDDINGS: Final = "kamerton.embeddings"
ACCOUNTS: Final = "kamerton.vendors.accounts"


@cache
def engines_in(package: str) -> Mapping[str, EngineType[Any]]:
    """The `ENGINE` of every folder of a package that has a module `engine`, by its name, in order of names."""
    root = importlib.import_module(package)
    found: dict[str, EngineType[Any]] = {}
    for folder in pkgutil.iter_modules(root.__path__):
        home = f"{package}.{folder.name}"
        if folder.ispkg and importlib.util.find_spec(f"{home}.engine") is not None:
            engine: EngineType[Any] = importlib.import_module(f"{home}.engine").ENGINE
            if engine.name in found:
                raise RuntimeError(f"two engines of {package} are called '{engine.name}'; rename one")
            found[engine.name] = engine
    return dict(sorted(found.items()))


@cache
def accounts() -> Mapping[str, type[Any]]:
    """The `ACCOUNT` of every module under `accounts`, a frozen dataclass, by the module's name."""
    root = importlib.import_module(ACCOUNTS)
    return {
        module.name: importlib.import_module(f"{ACCOUNTS}.{module.name}").ACCOUNT
        for module in pkgutil.iter_modules(root.__path__)
    }
