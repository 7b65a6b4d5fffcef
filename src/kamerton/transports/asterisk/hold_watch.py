"""Tells calls that they are on hold, as Asterisk's manager interface tells it; AudioSocket itself does not."""

from __future__ import annotations

import logging
from collections.abc import Callable

import anyio

from kamerton.domain.errors import ExchangeError
from kamerton.transports.asterisk.ami_client import AmiClient, connect_ami
from kamerton.transports.asterisk.ami_codec import AmiMessage
from kamerton.transports.asterisk.hold_book import ChannelUnknown, HoldBook, HoldChanged
from kamerton.transports.asterisk.settings import AmiSettings

logger = logging.getLogger(__name__)


class HoldWatch:
    """Follows one Asterisk. While its manager interface is away, calls go on as if there were none.

    Args:
        settings: where to log in.
        hold: told a call's id, and whether it is held; ids of calls that are over do no harm.
    """

    def __init__(self, settings: AmiSettings, hold: Callable[[str, bool], object]) -> None:
        self._settings = settings
        self._hold = hold
        self._book = HoldBook()
        self._complaint = ""

    async def run(self) -> None:
        """Watch until cancelled; connects again after each loss, with growing waits.

        A complaint is logged once as long as it stays the same. Held calls are taken back when the connection is lost.
        """
        wait_s = self._settings.retry_s
        while True:
            try:
                async with connect_ami(self._settings) as client:
                    wait_s = self._settings.retry_s
                    self._complaint = ""
                    logger.info(
                        "holds are followed over Asterisk's manager interface",
                        extra={"peer": f"{self._settings.host}:{self._settings.port}", "banner": client.banner},
                    )
                    await self._follow(client)
            except ExchangeError as error:
                self._complain(str(error))
            except Exception:  # the boundary to the calls: what goes wrong here must not end them
                logger.exception("the watch over holds failed and begins anew")
            finally:
                for change in self._book.release():
                    self._tell(change)
            await anyio.sleep(wait_s)
            wait_s = min(wait_s * 2, self._settings.longest_retry_s)

    async def _follow(self, client: AmiClient) -> None:
        """Learn what is there, then what happens.

        Raises:
            ExchangeError: the connection is lost.
        """
        self._book.listed(await self._channels(client) or ())
        while True:
            change = await self._change(client, await client.next_event())
            if change is not None:
                self._tell(change)

    async def _change(self, client: AmiClient, event: AmiMessage) -> HoldChanged | None:
        change = self._book.take(event)
        if isinstance(change, ChannelUnknown):
            channels = await self._channels(client)
            if channels is None:
                return None
            self._book.listed(channels, change.event)
            change = self._book.take(event)
        return change if isinstance(change, HoldChanged) else None

    async def _channels(self, client: AmiClient) -> tuple[AmiMessage, ...] | None:
        """All channels; None when the list did not come or is refused: the dialplan's own event has to do then."""
        try:
            return await client.listing("CoreShowChannels")
        except ExchangeError as error:
            if client.lost:
                raise
            self._complain(f"{error}; holds of calls that the dialplan does not announce are not seen")
            return None

    def _tell(self, change: HoldChanged) -> None:
        logger.info(
            "a call is put on hold" if change.held else "a call is taken back from hold",
            extra={"call_id": change.call_id},
        )
        self._hold(change.call_id, change.held)

    def _complain(self, complaint: str) -> None:
        if complaint != self._complaint:
            logger.warning("holds of calls are not, or not all, known", extra={"reason": complaint})
        self._complaint = complaint
