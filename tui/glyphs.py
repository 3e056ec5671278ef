"""
Drawing where the terminal has ASCII only.

Everything is drawn with Unicode; `AsciiOnly` replaces it, cell for cell, on its
way to the terminal.
"""

from __future__ import annotations

import locale
import unicodedata
from collections.abc import Mapping
from functools import lru_cache

from rich.cells import cell_len
from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

_SAME = {
    "*": "●",
    "o": "○",
    "~": "◐…",
    "@": "◔",
    "#": "■◼█▉▊▋▌▍▇▆▅",
    "x": "✖×",
    "!": "▲",
    "v": "▼",
    "+": "✔╭╮╰╯┌┐└┘├┤┬┴┼╂",
    "H": "║",
    ".": "·┈",
    "-": "–—─−",
    "=": "━╸╺▬",
    "|": "┃│▏▎▕",
    ">": "→›▸",
    "<": "←‹",
    "_": "▁▂▃▄",
    '"': "“”",
    "'": "‘’",
}
_TO_ASCII = {mark: ascii_ for ascii_, marks in _SAME.items() for mark in marks}


def wants_ascii(environ: Mapping[str, str], encoding: str | None = None) -> bool:
    """True where `TRAINWATCH_ASCII` asks for it or the locale is not UTF-8."""
    asked = environ.get("TRAINWATCH_ASCII", "")
    if asked:
        return asked != "0"
    encoding = encoding or locale.getpreferredencoding(False)
    return encoding.replace("-", "").lower() not in ("utf8", "cp65001")


@lru_cache(4096)
def ascii_text(text: str) -> str:
    """`text` in ASCII and in the same number of cells."""
    if text.isascii():
        return text
    return "".join(map(_ascii_character, text))


def _ascii_character(character: str) -> str:
    if character.isascii():
        return character
    if character in _TO_ASCII:
        return _TO_ASCII[character]
    if "\u2800" <= character <= "\u28ff":
        return _ascii_dots(ord(character) - 0x2800)
    folded = unicodedata.normalize("NFKD", character)[0]
    if folded.isascii() and folded.isprintable() and cell_len(character) == 1:
        return folded
    return "?" * cell_len(character)


def _ascii_dots(dots: int) -> str:
    """A braille cell by the height of its dots."""
    high, low = bool(dots & 0b00011011), bool(dots & 0b11100100)
    return {(False, False): " ", (True, False): "'", (False, True): "."}.get(
        (high, low), ":"
    )


class AsciiOnly(LineFilter):
    """Replaces what is not ASCII in every line that is drawn."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        return [
            segment
            if segment.control or segment.text.isascii()
            else Segment(ascii_text(segment.text), segment.style)
            for segment in segments
        ]
