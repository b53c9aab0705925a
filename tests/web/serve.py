"""Serve the real page with a box that is made up: `python -m tests.web.serve --port 8765`, then open what it prints.

The files of the page are read anew at each request, so editing them needs no restart.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
import threading
from pathlib import Path

from soteirad.config.section import from_plain
from soteirad.config.web import WebConfig
from soteirad.web.server import WebServer
from soteirad.web.token import read_token
from tests.web.box import FakeBox


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8765)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--password", help="instead of a token")
    parser.add_argument("--period", type=float, default=0.5, help="seconds between two frames")
    parser.add_argument("--events", type=int, default=120)
    options = parser.parse_args()
    logging.basicConfig(level="DEBUG", format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    with tempfile.TemporaryDirectory() as folder:
        box = FakeBox(Path(folder), options.events)
        box.create()
        data = {"listen": f"{options.host}:{options.port}", "password": options.password}
        server = WebServer(from_plain(WebConfig, data), Path(folder))
        server.start(box)
        token = read_token(Path(folder))
        print(f"http://{options.host}:{options.port}/" + (f"#token={token}" if token else ""), flush=True)
        try:
            while not threading.Event().wait(options.period):
                box.tick()
        except KeyboardInterrupt:
            pass
        finally:
            server.stop()


if __name__ == "__main__":
    main()
