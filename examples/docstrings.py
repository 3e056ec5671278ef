"""Questions and answers to fine-tune on: the docstrings of the standard library."""

from __future__ import annotations

import importlib
import inspect
import random
from collections.abc import Iterator

MODULES = """
    argparse ast base64 bisect calendar codecs collections colorsys configparser
    contextlib copy csv dataclasses datetime decimal difflib email.message enum
    fileinput fnmatch fractions functools getopt gettext glob graphlib gzip hashlib
    heapq hmac html inspect io ipaddress itertools json keyword linecache locale
    logging math mimetypes numbers operator os.path pathlib pickle pprint queue
    random re reprlib sched secrets shelve shlex shutil statistics string struct
    subprocess tempfile textwrap threading timeit tokenize traceback types
    urllib.parse uuid weakref zipfile
"""


def pairs(limit: int | None = None, seed: int = 0) -> list[tuple[str, str]]:
    """At most `limit` (question, answer) pairs, in an order that `seed` decides."""
    found = sorted(set(_pairs()))
    random.Random(seed).shuffle(found)
    return found[:limit]


def chats(limit: int | None = None, seed: int = 0) -> list[dict]:
    """The pairs as rows of a conversational data set: {"messages": [...]}."""
    return [
        {
            "messages": [
                {"role": "user", "content": question},
                {"role": "assistant", "content": answer},
            ]
        }
        for question, answer in pairs(limit, seed)
    ]


def _pairs() -> Iterator[tuple[str, str]]:
    for module_name in MODULES.split():
        module = importlib.import_module(module_name)
        for name, member in _public(module):
            yield from _pair(f"{module_name}.{name}", member)
            if inspect.isclass(member):
                for method, function in _public(member):
                    yield from _pair(f"{module_name}.{name}.{method}", function)


def _public(owner: object) -> Iterator[tuple[str, object]]:
    for name, member in vars(owner).items():
        if not name.startswith("_") and callable(member):
            yield name, member


def _pair(name: str, member: object) -> Iterator[tuple[str, str]]:
    answer = " ".join((inspect.getdoc(member) or "").split())
    if len(answer) < 150:
        return
    try:
        signature = str(inspect.signature(member))
    except (TypeError, ValueError):
        signature = "(...)"
    if " at 0x" in signature or len(signature) > 80:
        signature = "(...)"
    yield f"What does {name}{signature} do?", answer
