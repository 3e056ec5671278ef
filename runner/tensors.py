"""
Files that hold tensors, looked at without a training library.

safetensors: an 8-byte little-endian length, a JSON header of that length, the data,
which the tensors fill from its first to its last byte. `torch.save` writes a zip
archive, whose directory stands at its end and holds a CRC-32 of every record.
"""

from __future__ import annotations

import json
import math
import struct
import zipfile
from pathlib import Path
from typing import Any

CHUNK = 1 << 22
HEADER_LIMIT = 100_000_000
"""Bytes; what the safetensors library itself refuses above."""
WIDTHS = {
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0"), 1),
    **dict.fromkeys(("I16", "U16", "F16", "BF16"), 2),
    **dict.fromkeys(("I32", "U32", "F32"), 4),
    **dict.fromkeys(("I64", "U64", "F64", "C64"), 8),
}
"""Bytes of one element. Types of less than a byte are not in it."""
ARCHIVES = (".bin", ".pt", ".pth")


def problem(path: Path, *, deep: bool = False) -> str | None:
    """
    What is wrong with the file, None where nothing is, or where its kind is not
    known.

    Args:
        path: the file.
        deep: read every byte, and compare checksums where there are any.

    Raises:
        OSError: it cannot be read.
    """
    if path.suffix == ".safetensors":
        return safetensors_problem(path, deep=deep)
    if path.suffix in ARCHIVES:
        return archive_problem(path, deep=deep)
    return None


def safetensors_problem(path: Path, *, deep: bool = False) -> str | None:
    """
    What is wrong with a safetensors file, or None.

    Raises:
        OSError: it cannot be read.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
        if len(start) < 8:
            return "no header"
        (length,) = struct.unpack("<Q", start)
        if length > min(size - 8, HEADER_LIMIT):
            return "header cut short"
        try:
            header = json.loads(file.read(length))
            tensors = _tensors(header)
        except (ValueError, KeyError, TypeError, AttributeError):
            return "header is not readable"
        expected = 8 + length + max((end for _, end, _ in tensors), default=0)
        if size != expected:
            return f"{size} bytes, its header says {expected}"
        at = 0
        for begin, end, name in tensors:
            if begin != at:
                return f"{name}: its bytes are not where the ones before it end"
            at = end
        if deep:
            read = 8 + length
            while data := file.read(CHUNK):
                read += len(data)
            if read != size:
                return f"only {read} of {size} bytes can be read"
    return None


def _tensors(header: dict[str, Any]) -> list[tuple[int, int, str]]:
    """
    (begin, end, name) of every tensor, by place.

    Raises:
        ValueError, KeyError, TypeError: an entry is no tensor, or its bytes are not
            as many as its shape takes.
    """
    found = []
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        begin, end = entry["data_offsets"]
        width = WIDTHS.get(entry["dtype"])
        if width is not None and end - begin != width * math.prod(entry["shape"]):
            raise ValueError(name)
        found.append((begin, end, name))
    return sorted(found)


def archive_problem(path: Path, *, deep: bool = False) -> str | None:
    """
    What is wrong with a file of `torch.save`, or None; a file from before torch 1.6
    is no archive, and of it only is known that it is not empty.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        start = file.read(4)
    if not start:
        return "empty"
    if not start.startswith(b"PK"):
        return None
    try:
        with zipfile.ZipFile(path) as archive:
            return _records_problem(archive) if deep else None
    except zipfile.BadZipFile:
        return "cut short: an archive without its directory"


def _records_problem(archive: zipfile.ZipFile) -> str | None:
    """The first record whose bytes are not those of its checksum. Where none of
    them is, checksums were switched off (`torch.serialization.set_crc32_options`)."""
    records = [record for record in archive.infolist() if record.file_size]
    broken = []
    for record in records:
        try:
            with archive.open(record) as file:
                while file.read(CHUNK):
                    pass
        except zipfile.BadZipFile:
            broken.append(record.filename)
        except EOFError:
            return f"{record.filename} is cut short"
    if broken and len(broken) < len(records):
        return f"{broken[0]}: its bytes do not match its checksum"
    return None
