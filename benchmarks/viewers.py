"""Viewers of a camera's live video that read and show nothing, so that only the daemon's part is measured.

    python -m benchmarks.viewers ADDRESS COUNT, the token on standard input

Prints a line when all of them have video, and goes on until it is killed.
"""

from __future__ import annotations

import sys
import threading

from websockets.exceptions import WebSocketException
from websockets.sync.client import connect


def main() -> None:
    """Watch."""
    address, count, token = sys.argv[1], int(sys.argv[2]), sys.stdin.readline().strip()
    ready = threading.Barrier(count + 1, timeout=30.0)
    problems: list[str] = []
    arguments = (address, token, ready, problems)
    viewers = [threading.Thread(target=_watch, args=arguments, daemon=True) for _ in range(count)]
    for viewer in viewers:
        viewer.start()
    try:
        ready.wait()
    except threading.BrokenBarrierError:
        sys.exit(f"no video: {', '.join(sorted(set(problems))) or 'none came'}")
    print("watching", flush=True)
    for viewer in viewers:
        viewer.join()


def _watch(address: str, token: str, ready: threading.Barrier, problems: list[str]) -> None:
    headers = {"Authorization": f"Bearer {token}"}
    try:
        with connect(address, additional_headers=headers, compression=None, max_size=None) as connection:
            pieces = 0
            for message in connection:
                pieces += isinstance(message, bytes)
                if pieces == 2 and isinstance(message, bytes):  # the head is the first one
                    ready.wait()
    except (OSError, WebSocketException, threading.BrokenBarrierError) as error:
        problems.append(str(error))
        ready.abort()


if __name__ == "__main__":
    main()
