"""
A file beside the script that takes the place of a module with the same name.

The script's folder comes first where Python looks for modules, so a `random.py`
there is what `import random` finds, also inside torch.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Collection, Mapping

from trainwatch.runner.accidents.accident import Accident

LIBRARIES = (
    "torch",
    "transformers",
    "trl",
    "peft",
    "accelerate",
    "datasets",
    "tokenizers",
    "evaluate",
    "safetensors",
    "bitsandbytes",
    "huggingface_hub",
    "numpy",
    "pandas",
    "scipy",
    "sklearn",
    "wandb",
    "deepspeed",
    "sentencepiece",
    "vllm",
    "triton",
    "unsloth",
    "yaml",
    "requests",
    "tqdm",
    "matplotlib",
)
_BENEATH = """
    abc argparse array ast asyncio base64 bisect calendar code codeop collections
    colorsys concurrent configparser contextlib copy copyreg csv ctypes dataclasses
    datetime decimal difflib dis email enum filecmp fnmatch fractions ftplib functools
    getpass glob gzip hashlib heapq hmac html http importlib inspect ipaddress json
    keyword linecache locale logging lzma math mimetypes multiprocessing numbers
    opcode operator optparse pathlib pdb pickle pickletools pkgutil platform plistlib
    pprint profile pstats queue quopri random re runpy sched secrets select selectors
    shlex shutil signal site socket sqlite3 ssl statistics string stringprep struct
    subprocess symtable sysconfig tarfile tempfile textwrap threading token tokenize
    traceback tracemalloc types typing unittest urllib uuid warnings weakref xml
    zipfile zipimport
"""
BENEATH = frozenset(_BENEATH.split())
"""Of the standard library, what torch and transformers import by themselves."""
ALWAYS = frozenset(sys.builtin_module_names) | {
    *("os", "site", "codecs", "io", "abc", "stat", "encodings", "genericpath"),
    *("posixpath", "zipimport", "runpy", "importlib", "warnings", "types"),
}
"""Imported, or built in, before a script's folder counts."""


def imported(tree: ast.Module) -> Mapping[str, frozenset[str]]:
    """Top-level module -> the names taken from it, of every import in a script."""
    found: dict[str, set[str]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                found.setdefault(alias.name.partition(".")[0], set())
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = found.setdefault(node.module.partition(".")[0], set())
            names.update(alias.name for alias in node.names)
    return {name: frozenset(names) for name, names in found.items()}


def shadows(
    imports: Mapping[str, Collection[str]],
    beside: Collection[str],
    folder: str,
    own: Collection[str] = (),
) -> list[Accident]:
    """
    The modules that files beside the script take the place of.

    Args:
        imports: what `imported` found.
        beside: files `x.py` and packages `x/` (those with an `__init__.py`).
        folder: how that folder is called in sentences.
        own: modules that the script means when it imports them: the file beside it
            has all the names that are taken from it.
    """
    found = []
    uses = any(name in LIBRARIES for name in imports)
    for entry in sorted(beside):
        name = entry.removesuffix("/").removesuffix(".py")
        if name in ALWAYS:
            continue
        direct = name in imports and name not in own
        if direct and (name in LIBRARIES or name in sys.stdlib_module_names):
            found.append(shadow(name, entry, folder))
        elif uses and (name in BENEATH or name in LIBRARIES):
            found.append(shadow(name, entry, folder, direct=False))
    return found


def shadow(name: str, entry: str, folder: str, *, direct: bool = True) -> Accident:
    """`entry` in `folder` is found where module `name` is meant."""
    who = f"`import {name}`" if direct else f"a library's own `import {name}`"
    library = name in LIBRARIES
    what = "the library" if library else "Python's own module"
    if not direct and library:
        return Accident(
            "shell.shadow",
            f"{entry} beside the script stands in the way of {what} {name}",
            f"Rename {entry} in {folder}.",
            (f"{folder} comes first where Python looks for modules",),
            severity="attention",
            status="possible",
        )
    return Accident(
        "shell.shadow",
        f"{entry} beside the script hides {what} {name}",
        f"Rename {entry} in {folder}, and delete its copy in __pycache__.",
        (f"{who} finds {folder}/{entry} first",),
        severity="serious" if direct and library else "attention",
        status="likely",
    )
