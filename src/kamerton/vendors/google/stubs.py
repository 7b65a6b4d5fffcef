"""Google's message types, loaded when an engine is opened: a second of CPU in a thread."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Final

import anyio.to_thread

from kamerton.domain.errors import ModelError


@dataclass(frozen=True, slots=True)
class Stubs:
    """What an engine needs of Google's packages."""

    service: str
    """The service's name, which is its host for all regions."""
    module: str
    package: str
    """As it is installed."""


SPEECH: Final = Stubs("speech.googleapis.com", "google.cloud.speech_v2.types.cloud_speech", "google-cloud-speech")
VOICE: Final = Stubs(
    "texttospeech.googleapis.com", "google.cloud.texttospeech_v1.types.cloud_tts", "google-cloud-texttospeech"
)


async def load_stubs(stubs: Stubs) -> None:
    """Import gRPC and the message types, so that no call waits for it.

    Raises:
        ModelError: the package is missing.
    """
    await anyio.to_thread.run_sync(_load, stubs)


def _load(stubs: Stubs) -> None:
    try:
        for module in ("grpc.aio", "google.auth.jwt", "google.rpc.error_details_pb2", stubs.module):
            importlib.import_module(module)
    except ImportError as error:
        raise ModelError(
            f"Google's message types are missing ({error.name}); run: pip install {stubs.package}"
        ) from None
