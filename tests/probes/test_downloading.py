"""Files that come from a hub, which here is a server on this machine."""

from __future__ import annotations

import hashlib
import json
import textwrap
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from trainwatch.probes import flight

pytest.importorskip("huggingface_hub")
pytestmark = pytest.mark.e2e

COMMIT = "a" * 40
FILES = {"big.bin": bytes(3_000_000), "small.json": b"{}" * 500}


class Hub(BaseHTTPRequestHandler):
    """As much of the hub as one repository needs; big files come slowly."""

    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self.answer(body=False)

    def do_GET(self) -> None:
        self.answer(body=True)

    def answer(self, body: bool) -> None:
        path = self.path.partition("?")[0]
        name = path.rpartition("/")[2]
        if "/api/" in path:
            data = json.dumps(self.listing("/tree/" in path)).encode()
            kind = "application/json"
        elif name in FILES:
            data, kind = FILES[name], "application/octet-stream"
        else:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("ETag", f'"{hashlib.sha256(data).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        if body:
            self.send(data)

    def send(self, data: bytes) -> None:
        for start in range(0, len(data), 300_000):
            self.wfile.write(data[start : start + 300_000])
            self.wfile.flush()
            if len(data) > 300_000:
                time.sleep(0.25)

    def listing(self, tree: bool) -> Any:
        files = [
            {"type": "file", "path": name, "size": len(data), "oid": "b" * 40}
            for name, data in FILES.items()
        ]
        siblings = [{"rfilename": name} for name in FILES]
        return files if tree else {"id": "me/it", "sha": COMMIT, "siblings": siblings}

    def log_message(self, *words: Any) -> None:
        """Quiet."""


@pytest.fixture
def hub() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


WATCH = """
    import os, threading, time
    from huggingface_hub import constants
    constants.DOWNLOAD_CHUNK_SIZE = 300_000

    def look(readings, done):
        folder = os.path.join(os.environ["TRAINWATCH_RUN"], "flight")
        record = os.path.join(folder, str(os.getpid()))
        while not done.wait(0.1):
            if os.path.exists(record):
                with open(record, "rb") as file:
                    readings.append(file.read())

    def watched(download):
        readings, done = [], threading.Event()
        thread = threading.Thread(target=look, args=(readings, done))
        thread.start()
        path = download()
        done.set()
        thread.join()
        with open("readings", "wb") as file:
            file.write(b"".join(readings))
        return path
"""


def seen(folder: Path) -> list[flight.Reading]:
    """The flight record, ten times a second while it ran."""
    data = (folder / "readings").read_bytes()
    parts = [data[at : at + flight.SIZE] for at in range(0, len(data), flight.SIZE)]
    return [reading for reading in map(flight.read, parts) if reading is not None]


def start(run: Any, hub: str, folder: Path, rest: str) -> Any:
    env = {
        "HF_ENDPOINT": hub,
        "HF_HOME": str(folder / "hf"),
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_OFFLINE": "0",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "NO_PROXY": "127.0.0.1",
    }
    script = textwrap.dedent(WATCH) + textwrap.dedent(rest)
    return run(script, env=env).check()


def test_a_file(run: Any, hub: str, tmp_path: Path) -> None:
    done = start(
        run,
        hub,
        tmp_path,
        """
        import huggingface_hub
        path = watched(lambda: huggingface_hub.hf_hub_download("me/it", "big.bin"))
        print(os.path.getsize(path))
        """,
    )
    assert done.stdout == "3000000\n"
    (came,) = [p for p in done.of("phase_ended") if p.phase == "download"]
    assert (came.bytes, came.rows, came.failed) == (3_000_000, None, False)
    assert came.detail == "big.bin"
    assert came.seconds >= 0.9
    counts = [r.bytes for r in seen(tmp_path) if r.phase == "download" and r.bytes]
    assert len(set(counts)) > 2
    assert counts == sorted(counts)
    totals = {r.total for r in seen(tmp_path) if r.phase == "download"}
    assert totals == {3_000_000}


def test_a_snapshot_comes_in_threads(run: Any, hub: str, tmp_path: Path) -> None:
    done = start(
        run,
        hub,
        tmp_path,
        """
        from huggingface_hub import snapshot_download
        path = watched(lambda: snapshot_download("me/it"))
        print(sorted(os.listdir(path)))
        """,
    )
    assert done.stdout == "['big.bin', 'small.json']\n"
    (came,) = [p for p in done.of("phase_ended") if p.phase == "download"]
    assert (came.detail, came.bytes) == ("me/it", 3_001_000)
    counts = [r.bytes for r in seen(tmp_path) if r.phase == "download" and r.bytes]
    assert len(set(counts)) > 2


def test_a_download_that_fails(run: Any, hub: str, tmp_path: Path) -> None:
    done = start(
        run,
        hub,
        tmp_path,
        """
        import io, tempfile
        from huggingface_hub.file_download import http_get
        url = os.environ["HF_ENDPOINT"] + "/me/it/resolve/main/"
        with tempfile.NamedTemporaryFile() as file:
            try:
                http_get(url + "none.bin", file, expected_size=7)
            except Exception as error:
                print(type(error).__name__)
        memory = io.BytesIO()
        http_get(url + "small.json", memory)
        print(len(memory.getvalue()))
        """,
    )
    assert done.stdout.splitlines()[-1] == "1000"
    (came,) = [p for p in done.of("phase_ended") if p.phase == "download"]
    assert (came.failed, came.bytes) == (True, None)
