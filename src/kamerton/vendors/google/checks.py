"""A look at a service of Google Cloud, and what it says to a person."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import anyio

from kamerton.domain.errors import KamertonError, VendorError
from kamerton.vendors.accounts.google import GoogleAccount
from kamerton.vendors.check import Check
from kamerton.vendors.engine import EngineContext
from kamerton.vendors.google.credentials import GoogleCredentials, open_credentials
from kamerton.vendors.google.stubs import Stubs, load_stubs

Probe = Callable[[GoogleCredentials], Awaitable[str]]
"""Sends a small request; returns what to tell of the service. It raises `VendorError` and nothing else."""


async def checked(
    stubs: Stubs,
    context: EngineContext,
    probe: Probe,
    *,
    timeout_s: float,
    environment: Mapping[str, str] | None = None,
) -> Check:
    """Run a probe with the account's credentials and say what it found. Never raises; safe to cancel.

    Args:
        stubs: that it needs.
        context: of the engine.
        probe: the request.
        timeout_s: bound on all of it, a token included.
        environment: variables, by default the process's.
    """
    try:
        await load_stubs(stubs)
        credentials = await open_credentials(context.account(GoogleAccount), stubs.service, environment=environment)
    except KamertonError as error:
        return Check(reachable=False, detail="not asked", fix=str(error))
    started_s = asyncio.get_running_loop().time()
    try:
        with anyio.fail_after(timeout_s):
            detail = await probe(credentials)
    except TimeoutError:
        return Check(reachable=False, detail="timeout", fix=f"no answer within {timeout_s:g} s; check the network")
    except VendorError as error:
        # A service that refuses, limits or stumbles is there.
        reachable = error.fault not in ("connection", "timeout")
        return Check(reachable, False if error.fault == "unauthorised" else None, detail=error.fault, fix=str(error))
    except KamertonError as error:
        return Check(reachable=False, detail="not asked", fix=str(error))
    finally:
        with anyio.CancelScope(shield=True):
            await credentials.aclose()
    return Check(True, True, (asyncio.get_running_loop().time() - started_s) * 1000, detail)
