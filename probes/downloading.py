"""
Files that come from the hub, one by one or as a snapshot of a repository.

A snapshot is fetched by threads while the caller waits, so files are counted in any
thread. How much of them is there is read from the disk, twice a second.
"""

from __future__ import annotations

import os
import threading
from typing import Any, Dict, Optional, Tuple

from .guard import guarded, wrap
from .process import Process
from .spans import Span
from .timeline import Timeline

NAMED = "_download_to_tmp_and_move"
"""Knows the name of a file; where a version has it not, there is no name."""
File = Tuple[Optional[Span], str, Any]
"""Its span where its thread is the one that is watched, its path, the open file."""


_downloads: Optional[Downloads] = None
"""Those of this process: files and snapshots are in two modules of the library."""


class Downloads:
    """The files that come in now."""

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline
        self._coming: Dict[str, Any] = {}
        """Path -> the open file, or None."""
        self._there = 0
        """Bytes of the files of this phase that have come."""
        self._span: Optional[Span] = None
        self._lock = threading.Lock()

    @guarded("downloading")
    def file_begins(self, args: Any, kwargs: Any) -> Optional[File]:
        file = kwargs.get("temp_file", args[1] if len(args) > 1 else None)
        path = kwargs.get("incomplete_path") or getattr(file, "name", None)
        if not isinstance(path, (str, os.PathLike)):
            return None
        path = os.fspath(path)
        size = kwargs.get("expected_size")
        span = self._begin(kwargs.get("displayed_filename"), size)
        with self._lock:
            if path in self._coming:
                # A retry, inside the first attempt.
                return None
            self._coming[path] = file
        return span, path, file

    @guarded("downloading")
    def file_ends(
        self, token: File, result: Any, error: Optional[BaseException]
    ) -> None:
        span, path, file = token
        size = _size(path, file)
        with self._lock:
            self._coming.pop(path, None)
            self._there += size
        self._end(span, error)

    @guarded("downloading")
    def snapshot_begins(self, args: Any, kwargs: Any) -> Optional[Span]:
        return self._begin(kwargs.get("repo_id", args[0] if args else ""))

    @guarded("downloading")
    def named_begins(self, args: Any, kwargs: Any) -> Optional[Span]:
        """The file that `http_get` or `xet_get` will fetch, by its name."""
        return self._begin(kwargs.get("filename"), kwargs.get("expected_size"))

    @guarded("downloading")
    def phase_ends(
        self, span: Span, result: Any, error: Optional[BaseException]
    ) -> None:
        self._end(span, error)

    def tick(self, now: float) -> None:
        """Show how much has come."""
        span, timeline = self._span, self._timeline
        record = timeline.record
        if span is None or record is None or timeline.current()[0] != "download":
            return
        with self._lock:
            coming = list(self._coming.items())
            size = self._there
        size += sum(_size(path, None) for path, _ in coming)
        if size:
            record.bytes(size)
            if timeline.current()[0] != "download":
                # The phase ended meanwhile; its count is not the next one's.
                record.bytes(-1)

    def _begin(self, name: Any, size: Any = None) -> Optional[Span]:
        total = size if isinstance(size, int) else -1
        span = self._timeline.enter("download", str(name or ""), total=total)
        if span is not None:
            self._there = 0
            self._span = span
        return span

    def _end(self, span: Optional[Span], error: Optional[BaseException]) -> None:
        if span is not None:
            self._span = None
            self._timeline.leave(span, error, nbytes=self._there or None)


def _size(path: str, file: Any) -> int:
    """Bytes of a file that is being written; `file` knows best, if it is open."""
    try:
        return int(os.path.getsize(path) if file is None else file.tell())
    except (OSError, ValueError):
        return 0


def install(process: Process, module: Any) -> None:
    """Watch the downloads of `huggingface_hub`."""
    assert process.timeline is not None
    global _downloads
    downloads = _downloads
    if downloads is None:
        downloads = _downloads = Downloads(process.timeline)
        process.ticks.append(downloads.tick)
    if module.__name__ == "huggingface_hub.file_download":
        for name in ("http_get", "xet_get"):
            wrap(module, name, downloads.file_begins, downloads.file_ends)
        wrap(module, NAMED, downloads.named_begins, downloads.phase_ends)
    else:
        begins = downloads.snapshot_begins
        wrap(module, "snapshot_download", begins, downloads.phase_ends)
