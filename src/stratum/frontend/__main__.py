"""Starts the frontend: `python -m stratum.frontend`, told by its environment."""

from __future__ import annotations

import os
import sys

from stratum.adapters.messages import speak_error
from stratum.adapters.trusted_proxies import Forwarded
from stratum.core.errors import StratumError
from stratum.frontend.settings import parse_settings


def main() -> int:
    """Serve until told to stop; a setting that cannot be used ends the start in plain words."""
    try:
        settings = parse_settings(os.environ)
    except StratumError as error:
        spoken = speak_error(error)
        sys.stderr.write(f"error[{spoken.code}]: {spoken.message}\ndata:  {spoken.data}\nnext:  {spoken.next}\n")
        return error.exit
    import uvicorn

    from stratum.frontend.app import create_app

    uvicorn.run(
        Forwarded(create_app(settings), settings.trusted_proxies),
        host=settings.host,
        port=settings.port,
        # Query strings hold what was typed; the pages' addresses do not need a log.
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=2,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
