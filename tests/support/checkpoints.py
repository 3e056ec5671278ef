"""Checkpoints as they lie on a disk, small."""

from __future__ import annotations

import json
import struct
import zipfile
from pathlib import Path


def safetensors(path: Path, header: object, data: bytes = b"\0" * 24) -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)
    return path


def tensor(begin: int, end: int, shape: list[int], dtype: str = "F32") -> object:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


GOOD = {
    "__metadata__": {"format": "pt"},
    "a": tensor(0, 8, [2]),
    "b": tensor(8, 24, [4]),
}


def archive(path: Path) -> Path:
    """As `torch.save` writes it: stored, a directory at the end."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as file:
        file.writestr("archive/data.pkl", b"\x80\x02}q\x00.")
        file.writestr("archive/data/0", bytes(range(200)))
    return path


WRITTEN = (
    "model.safetensors",
    "training_args.bin",
    "optimizer.pt",
    "scheduler.pt",
    "rng_state.pth",
    "trainer_state.json",
)
"""In the order in which a Trainer writes them."""


def trainers(folder: Path, names: tuple[str, ...] = WRITTEN) -> Path:
    """A Trainer's checkpoint, or as much of it."""
    folder.mkdir(parents=True)
    for name in names:
        if name.endswith(".safetensors"):
            safetensors(folder / name, GOOD)
        elif name.endswith(".json"):
            (folder / name).write_text("{}")
        else:
            archive(folder / name)
    return folder
