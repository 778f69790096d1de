"""A stack with its console, made by the command line, with somebody signed in to it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx

_NAME, _PASSWORD = "bench", "four words beside each other"
_TOKEN = re.compile(r"one-time token: (\S+)")
_CSRF = re.compile(r'name="csrf" value="([^"]+)"')
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, kw_only=True, slots=True)
class SignedIn:
    """The console as a browser with these cookies reads it."""

    port: int
    cookies: Mapping[str, str]
    backup_id: str
    processes: Mapping[str, int]
    """The process of each service, by its name."""

    def cpu_seconds(self) -> dict[str, float]:
        """What each service has used of the processors so far, user and system time together."""
        return {name: _cpu_seconds(pid) for name, pid in self.processes.items()}


@contextmanager
def running_console(directory: Path) -> Iterator[SignedIn]:
    """Bring it up, take and drill a backup, sign in through the pages; all of it is gone afterwards."""
    _stratum("init", str(directory), "--name", _NAME)
    try:
        _stratum("up", "--stack", str(directory))
        backup = json.loads(_stratum("backup", "--json", "--stack", str(directory)))
        _stratum("drill", "--stack", str(directory))
        record = json.loads((directory / ".stratum" / "run" / "services.json").read_text(encoding="utf-8"))
        services = {service["name"]: service for service in record["services"]}
        token = _TOKEN.findall(_stratum("logs", "backend", "--lines", "500", "--stack", str(directory)))[-1]
        address = str(services["frontend"]["address"])
        yield SignedIn(
            port=urlsplit(address).port or 0,
            cookies=_sign_up(address, token),
            backup_id=str(backup["facts"]["backup_id"]),
            processes={name: int(service["pid"]) for name, service in services.items()},
        )
    finally:
        _stratum("stop", "--stack", str(directory))


def _sign_up(address: str, token: str) -> dict[str, str]:
    with httpx.Client(base_url=address, follow_redirects=True, trust_env=False, timeout=30) as browser:
        page = browser.get("/first-run").text
        sent = {"csrf": _CSRF.findall(page)[0], "token": token, "name": "ada", "password": _PASSWORD}
        browser.post("/first-run", data=sent).raise_for_status()
        return dict(browser.cookies)


def _stratum(*arguments: str) -> str:
    argv = (str(Path(sys.executable).with_name("stratum")), *arguments)
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=300)
    if done.returncode != 0:
        sys.exit(f"stratum {arguments[0]} ended with {done.returncode}: {done.stderr}")
    return done.stdout


def _cpu_seconds(pid: int) -> float:
    """Fields 14 and 15 of its stat (https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html)."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS
