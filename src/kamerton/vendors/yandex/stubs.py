"""The vendor's message types, loaded when an engine is opened: a third of a second of CPU in a thread."""

from __future__ import annotations

import importlib
from typing import Literal

import anyio.to_thread

from kamerton.domain.errors import ModelError

SpeechService = Literal["stt", "tts"]


async def load_stubs(service: SpeechService) -> None:
    """Import gRPC and the stubs of a service, so that no call waits for it.

    Raises:
        ModelError: the package is missing.
    """
    await anyio.to_thread.run_sync(_load, service)


def _load(service: SpeechService) -> None:
    try:
        importlib.import_module("grpc.aio")
        importlib.import_module(f"yandex.cloud.ai.{service}.v3.{service}_service_pb2_grpc")
    except ImportError as error:
        raise ModelError(
            f"the stubs of Yandex Cloud are missing ({error.name}); run: pip install yandexcloud"
        ) from None
