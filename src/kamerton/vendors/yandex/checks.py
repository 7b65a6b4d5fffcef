"""A look at a gRPC service of Yandex, and what it says to a person."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import anyio

from kamerton.domain.errors import KamertonError, VendorError
from kamerton.vendors.accounts.yandex import YandexAccount
from kamerton.vendors.check import Check
from kamerton.vendors.engine import EngineContext
from kamerton.vendors.rpc.channels import Channels, read_roots
from kamerton.vendors.rpc.endpoint import Endpoint
from kamerton.vendors.rpc.failures import CutOff, Service, answered
from kamerton.vendors.yandex.credentials import Metadata, open_credentials, secrets_of
from kamerton.vendors.yandex.failures import speechkit_at
from kamerton.vendors.yandex.stubs import SpeechService, load_stubs

Probe = Callable[[Channels, Metadata], Awaitable[str]]
"""Sends one small request; returns what to tell of the service."""


async def checked(
    stubs: SpeechService, endpoint: Endpoint, context: EngineContext, timeout_s: float, probe: Probe
) -> Check:
    """Run a probe with the account's credentials and say what it found. Never raises; safe to cancel.

    Args:
        stubs: whose it needs.
        endpoint: whom it asks.
        context: of the engine.
        timeout_s: bound on the request.
        probe: the request.
    """
    try:
        await load_stubs(stubs)
        roots = await read_roots(endpoint.ca_file)
        credentials = await open_credentials(context.account(YandexAccount))
    except KamertonError as error:
        return Check(reachable=False, detail="not asked", fix=str(error))
    channels = Channels(endpoint, roots)
    service, started_s = speechkit_at(endpoint.address), asyncio.get_running_loop().time()
    try:
        metadata = await credentials.metadata()
        detail = await _asked(service, metadata, timeout_s, probe(channels, metadata))
    except VendorError as error:
        # A service that refuses, limits or stumbles is there.
        reachable = error.fault not in ("connection", "timeout")
        return Check(reachable, False if error.fault == "unauthorised" else None, detail=error.fault, fix=str(error))
    except KamertonError as error:
        return Check(reachable=False, detail="not asked", fix=str(error))
    finally:
        await channels.aclose()
        with anyio.CancelScope(shield=True):
            await credentials.aclose()
    return Check(True, True, (asyncio.get_running_loop().time() - started_s) * 1000, detail)


async def _asked(service: Service, metadata: Metadata, timeout_s: float, asking: Awaitable[str]) -> str:
    import grpc.aio

    try:
        with anyio.fail_after(timeout_s):
            return await answered(asking)
    except TimeoutError:
        raise service.timed_out(f"gave no answer within {timeout_s:g} s") from None
    except grpc.aio.AioRpcError as error:
        raise service.failed(error, secrets_of(metadata)) from None
    except (CutOff, asyncio.InvalidStateError):
        raise service.cut_off("broke off the request") from None
