"""What can be said of a file of tensors without a training library."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.checkpoints import GOOD, archive, safetensors, tensor
from trainwatch.runner import tensors
from trainwatch.runner.verification import Verification, verify


def test_a_whole_file_has_no_problem(tmp_path: Path) -> None:
    path = safetensors(tmp_path / "m.safetensors", GOOD)
    assert tensors.problem(path, deep=True) is None
    odd = {"a": tensor(0, 24, [48], "F4")}
    assert tensors.problem(safetensors(path, odd), deep=True) is None


@pytest.mark.parametrize(
    ("header", "data", "problem"),
    [
        (GOOD, b"\0" * 20, "its header says"),
        (b"{", b"\0" * 24, "header is not readable"),
        (b"[]", b"", "header is not readable"),
        ({"a": tensor(0, 24, [2])}, b"\0" * 24, "header is not readable"),
        ({"a": tensor(0, 8, [2]), "b": tensor(16, 24, [2])}, b"\0" * 24, "b: its"),
        ({"a": {"dtype": "F32"}}, b"", "header is not readable"),
    ],
)
def test_a_damaged_safetensors_file_is_told(
    tmp_path: Path, header: object, data: bytes, problem: str
) -> None:
    path = safetensors(tmp_path / "m.safetensors", header, data)
    assert problem in (tensors.problem(path) or "")


@pytest.mark.parametrize("size", [0, 5, 12])
def test_a_safetensors_file_that_has_barely_begun(tmp_path: Path, size: int) -> None:
    path = safetensors(tmp_path / "m.safetensors", GOOD)
    path.write_bytes(path.read_bytes()[:size])
    assert tensors.problem(path)


def test_an_archive_is_whole_with_its_directory(tmp_path: Path) -> None:
    path = archive(tmp_path / "optimizer.pt")
    assert tensors.problem(path, deep=True) is None
    path.write_bytes(path.read_bytes()[:150])
    assert "cut short" in (tensors.problem(path) or "")


def test_a_flipped_byte_is_found_by_reading_it_all(tmp_path: Path) -> None:
    path = archive(tmp_path / "optimizer.pt")
    data = bytearray(path.read_bytes())
    data[data.index(bytes(range(100, 120)))] ^= 1
    path.write_bytes(data)
    assert tensors.problem(path) is None
    assert "archive/data/0" in (tensors.problem(path, deep=True) or "")


def test_an_archive_without_checksums_is_not_called_damaged(tmp_path: Path) -> None:
    path = archive(tmp_path / "optimizer.pt")
    data = bytearray(path.read_bytes())
    for mark, at in ((b"PK\x03\x04", 14), (b"PK\x01\x02", 16)):
        place = data.find(mark)
        while place >= 0:
            data[place + at : place + at + 4] = b"\1\2\3\4"
            place = data.find(mark, place + 1)
    path.write_bytes(data)
    assert tensors.problem(path, deep=True) is None


def test_other_files(tmp_path: Path) -> None:
    old = tmp_path / "pytorch_model.bin"
    old.write_bytes(b"\x80\x02an old pickle.")
    assert tensors.problem(old, deep=True) is None
    old.write_bytes(b"")
    assert tensors.problem(old) == "empty"
    assert tensors.problem(tmp_path / "README.md") is None


def test_a_rescue_file_is_verified(tmp_path: Path) -> None:
    path = archive(tmp_path / "rescue.pt")
    found = Verification(path).found(10)
    assert found is not None
    assert (found.complete, found.resumable, found.verified) == (True, False, True)
    path.write_bytes(path.read_bytes()[:100])
    assert (verify(path).complete, verify(path).resumable) == (False, None)
    gone = Verification(tmp_path / "gone.pt").found(10)
    assert gone is not None
    assert (gone.complete, gone.verified) == (False, False)
