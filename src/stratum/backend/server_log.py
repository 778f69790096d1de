"""What the backend writes to its log: one line a request, without the query, where a token could stand."""

from __future__ import annotations

import logging
from typing import Any


class WithoutQuery:
    """A filter for uvicorn's access log: cuts the query off the address."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple) and len(record.args) >= 3:
            arguments = list(record.args)
            arguments[2] = str(arguments[2]).partition("?")[0]
            record.args = tuple(arguments)
        return True


def log_configuration() -> dict[str, Any]:
    """For logging.config: everything to standard error, times with zone."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"without-query": {"()": WithoutQuery}},
        "formatters": {
            "line": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s", "datefmt": "%Y-%m-%dT%H:%M:%S%z"}
        },
        "handlers": {
            "log": {"class": "logging.StreamHandler", "formatter": "line", "filters": ["without-query"]},
            "plain": {"class": "logging.StreamHandler", "formatter": "line"},
        },
        "loggers": {
            "uvicorn.access": {"handlers": ["log"], "level": "INFO", "propagate": False},
            "httpx": {"level": "WARNING"},
        },
        "root": {"handlers": ["plain"], "level": "INFO"},
    }
