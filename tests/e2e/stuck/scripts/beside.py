"""What runs beside a case, outside of its run: `beside.py CASE`."""

from __future__ import annotations

import fcntl
import http.server
import sys
import time
from pathlib import Path

from mark import case, main

BYTES = 1_000_000


def tell(name: str, text: str) -> None:
    """Put `text` into the file `name` at once."""
    part = Path(name + ".part")
    part.write_text(text)
    part.rename(name)


@case
def flock() -> None:
    """Holds the lock of the cache, for 20 s where a second word says so."""
    _hold(fcntl.flock)


@case
def lockf() -> None:
    _hold(fcntl.lockf)


def _hold(lock) -> None:
    Path("cache").mkdir(exist_ok=True)
    with open("cache/model.lock", "w") as file:
        lock(file, fcntl.LOCK_EX)
        tell("held", "yes")
        time.sleep(float(sys.argv[2]) if len(sys.argv) > 2 else 10**6)


class Answer(http.server.BaseHTTPRequestHandler):
    """`/stops` sends 99 %, then nothing; `/trickles` 20 kB/s until all is there."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(BYTES))
        self.end_headers()
        if self.path == "/stops":
            self.wfile.write(b"\0" * (BYTES * 99 // 100))
            time.sleep(10**6)
        for _ in range(100):
            self.wfile.write(b"\0" * (BYTES // 100))
            self.wfile.flush()
            time.sleep(0.5)

    def log_message(self, *_: object) -> None:
        return


@case
def server() -> None:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer) as web:
        tell("port", str(web.server_address[1]))
        web.serve_forever()


@case
def neighbour() -> None:
    """Another job of this machine."""
    while True:
        sum(range(1000))


if __name__ == "__main__":
    main()
