"""The page as a person sees and uses it; the same for the scripted server and for the real one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from playwright.sync_api import ConsoleMessage, Locator, Page, expect

EVENTUALLY_MS = 15_000


@dataclass
class CallPage:
    """One open page. `console_errors` holds whatever the browser complained of."""

    page: Page
    console_errors: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("console", self._listen)
        self.page.on("pageerror", lambda error: self.console_errors.append(str(error)))

    def _listen(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.console_errors.append(f"{message.type}: {message.text}")

    def open(self, url: str) -> None:
        self.page.goto(url)
        expect(self.page.get_by_role("button", name="Весь сценарий")).to_be_enabled()

    def call_with_microphone(self) -> None:
        self.page.get_by_role("button", name="Позвонить").click()

    def call_without_microphone(self) -> None:
        self.page.get_by_role("button", name="Без микрофона").click()
        self.expect_call("active")

    def whole_script(self) -> None:
        self.page.get_by_role("button", name="Весь сценарий").click()

    def say(self, phrase: str) -> None:
        self.page.get_by_role("button", name=phrase, exact=True).click()

    def interrupt(self) -> None:
        self.page.get_by_role("button", name="Прервать").click()

    def hang_up(self) -> None:
        self.page.get_by_role("button", name="Завершить").click()

    def expect_call(self, state: str, timeout_ms: int = EVENTUALLY_MS) -> None:
        expect(self.page.locator("body")).to_have_attribute("data-call", state, timeout=timeout_ms)

    def expect_mind(self, state: str, label: str) -> None:
        current = self.page.locator("#mind li[aria-current]")
        expect(current).to_have_attribute("data-state", state, timeout=EVENTUALLY_MS)
        expect(current).to_have_text(label)

    def expect_trouble(self, code: str, *words: str) -> None:
        trouble = self.page.locator(f"[role=alert] [data-code={code}]")
        expect(trouble).to_be_visible(timeout=EVENTUALLY_MS)
        for part in words:
            expect(trouble).to_contain_text(part)

    def lines(self, speaker: str) -> Locator:
        return self.page.locator(f"#dialogue li.{speaker}")

    def turn(self, index: int) -> Locator:
        return self.page.locator(f"#turns tr[data-turn='{index}']")

    def figure(self, name: str) -> float:
        """A figure of the running sound, as the page publishes it (`playedSamples`, `bufferedMs`, …)."""
        value = self.page.evaluate("name => document.body.dataset[name] ?? '0'", name)
        return float(value)

    def wait_until(self, condition: Callable[[], Any], what: str) -> None:
        """Wait for something outside the page."""
        for _ in range(EVENTUALLY_MS // 50):
            if condition():
                return
            self.page.wait_for_timeout(50)
        raise AssertionError(f"never happened: {what}")

    def record_states(self) -> None:
        """Write down every state of mind from now on; read them with `states`."""
        self.page.evaluate(
            """() => {
                const mind = document.getElementById("mind");
                window.statesSeen = [mind.dataset.state];
                new MutationObserver(() => window.statesSeen.push(mind.dataset.state))
                    .observe(mind, { attributes: true, attributeFilter: ["data-state"] });
            }"""
        )

    def states(self) -> list[str]:
        """The states of mind in order, repetitions left out."""
        seen: list[str] = self.page.evaluate("() => window.statesSeen")
        return [state for n, state in enumerate(seen) if n == 0 or seen[n - 1] != state]
