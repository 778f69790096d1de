"""What the backend asks the agent about sign-ins: the token epoch, and whether a console token is good."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from json import JSONDecodeError

import httpx

from stratum.backend.settings import BackendSettings
from stratum.core.errors import StratumError

_TIMEOUT = httpx.Timeout(2.0, connect=0.5)
_FRESH_FOR_S = 3.0


@dataclass(frozen=True, kw_only=True, slots=True)
class AgentDoor:
    """The two questions; both block, and raise OSError when the agent does not answer as it should."""

    epoch: Callable[[], int]
    """The number that each restore of the console's own database raises."""
    redeem: Callable[[str], bool]
    """Use a console token up; False when it is not a good one."""


def open_agent_door(settings: BackendSettings) -> AgentDoor:
    """Ask the agent over HTTP. The secret is read at each question: it may be replaced while the backend runs."""

    def ask(method: str, path: str, body: dict[str, str] | None = None) -> httpx.Response:
        secret = settings.agent_secret_file.read_text(encoding="utf-8").strip()
        headers = {"Authorization": f"Bearer {secret}"}
        try:
            return httpx.request(
                method, settings.agent_url + path, json=body, headers=headers, timeout=_TIMEOUT, trust_env=False
            )
        except httpx.HTTPError as error:
            raise OSError(f"the agent does not answer: {type(error).__name__}") from None

    def epoch() -> int:
        answer = ask("GET", "/token-epoch")
        try:
            return int(answer.raise_for_status().json()["epoch"])
        except (httpx.HTTPStatusError, JSONDecodeError, KeyError, TypeError, ValueError) as error:
            raise OSError(f"the agent gave no token epoch: {type(error).__name__}") from None

    def redeem(token: str) -> bool:
        answer = ask("POST", "/console-tokens/redeem", {"token": token})
        if answer.status_code not in {204, 400, 403, 422}:
            raise OSError(f"the agent answered {answer.status_code}")
        return answer.status_code == 204

    return AgentDoor(epoch=epoch, redeem=redeem)


class EpochWatch:
    """The token epoch, asked again every few seconds; the last known one while the agent is away."""

    def __init__(self, observe: Callable[[], int], *, fresh_for_s: float = _FRESH_FOR_S) -> None:
        self._observe = observe
        self._fresh_for_s = fresh_for_s
        self._lock = threading.Lock()
        self._known: int | None = None
        self._asked_at = -fresh_for_s

    @property
    def known(self) -> int | None:
        """The one that is known, while it is fresh; asks nobody."""
        return self._known if time.monotonic() - self._asked_at < self._fresh_for_s else None

    def current(self) -> int:
        """Raises `token-epoch-unknown` when the agent never told it."""
        with self._lock:
            if self._known is None or time.monotonic() - self._asked_at >= self._fresh_for_s:
                self._ask()
            if self._known is None:
                raise StratumError("token-epoch-unknown")
            return self._known

    def _ask(self) -> None:
        try:
            self._known = self._observe()
        except OSError:
            if self._known is None:
                raise StratumError("token-epoch-unknown") from None
        self._asked_at = time.monotonic()
