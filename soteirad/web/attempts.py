"""Attempts: how often somebody may guess wrong."""

from __future__ import annotations

import ipaddress
import time
from collections import OrderedDict, deque
from collections.abc import Callable

WINDOW_S = 300.0
MOST_OF_ADDRESS = 10
MOST = 60
MOST_ADDRESSES = 1024


class Attempts:
    """Wrong guesses of the last five minutes, by address and in total. `clock` gives monotonic seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._all: deque[float] = deque(maxlen=MOST)
        self._by_address: OrderedDict[str, deque[float]] = OrderedDict()

    def wrong(self, address: str) -> None:
        """Count a wrong guess."""
        now, origin = self._clock(), origin_of(address)
        self._all.append(now)
        self._by_address.setdefault(origin, deque(maxlen=MOST_OF_ADDRESS)).append(now)
        self._by_address.move_to_end(origin)
        while len(self._by_address) > MOST_ADDRESSES:
            self._by_address.popitem(last=False)

    def wait_of(self, address: str) -> float:
        """Return the seconds until an address may guess again, whatever others do; 0 is now."""
        return self._wait(self._by_address.get(origin_of(address)), MOST_OF_ADDRESS)

    def wait(self) -> float:
        """Return the seconds until anybody may guess again; 0 is now."""
        return self._wait(self._all, MOST)

    def _wait(self, times: deque[float] | None, most: int) -> float:
        if times is None or len(times) < most:
            return 0.0
        return max(0.0, times[0] + WINDOW_S - self._clock())


def origin_of(address: str) -> str:
    """Return what stands for one household: an IPv4 address, or the first half of an IPv6 one."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((found, 64), strict=False))
