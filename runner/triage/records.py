"""
One record of a program's output: a warning, a logged line, a traceback.

`read` takes the text of one record apart: which level, logger, category and
place its prefixes name, and what remains as the message.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from trainwatch.runner.text import plain

MAX_LINES = 200
MAX_CHARACTERS = 64 * 1024

_RANK = re.compile(
    r"(?:\[(?:rank|RANK |default)(\d{1,6})\]:? ?|(\d{1,4}): (?=Traceback|\[))"
)
_LEVEL = r"(DEBUG|INFO|NOTICE|WARN|WARNING|ERROR|CRITICAL|FATAL)"
_CLOCK = r"\d{4}[-/]\d\d[-/]\d\d[ T_]\d\d:\d\d:\d\d\S{0,20}"
_HEADERS = tuple(
    (re.compile(pattern), names)
    for pattern, names in (
        # [WARNING|trainer.py:781] 2024-01-01 10:00:00,123 >> text
        (
            rf"\[{_LEVEL}\|([^\]:|]{{1,120}}):?(\d{{0,6}})\]"
            rf"[^>\n]{{0,200}}>> ?",
            ("level", "file", "line"),
        ),
        # [INFO|2025-05-27 15:17:16] llamafactory.model.adapter:143 >> text
        (
            rf"\[{_LEVEL}\|[^\]]{{1,40}}\] ([\w.]{{1,120}}):(\d{{1,6}}) >> ?",
            ("level", "logger", "line"),
        ),
        # [W1123 07:31:27.7 reducer.cpp:1529] Warning: text
        (
            r"\[([IWEF]) ?[\d:. ]{0,40} ?([\w./-]{1,120}):(\d{1,6})\] ?"
            r"(?:Warning: )?(?:WARNING: )?",
            ("level", "file", "line"),
        ),
        # E0622 19:47:17.565751 140373504014144 torch/x/api.py:826] text
        (
            r"([IWEF])\d{4} [\d:.]{8,26} {1,8}(?:\d{1,20} )?"
            r"([\w./-]{1,200}):(\d{1,6})\] ?",
            ("level", "file", "line"),
        ),
        # 2024-10-12 09:21:44.123456: E external/xla/cuda_fft.cc:485] text
        (
            rf"{_CLOCK} ([IWEF]) ([\w./-]{{1,200}}):(\d{{1,6}})\] ?",
            ("level", "file", "line"),
        ),
        # [2023-04-21 22:17:11,840] [INFO] [comm.py:652:init] text
        (
            rf"\[{_CLOCK}\] ?\[{_LEVEL} {{0,4}}\] ?"
            r"(?:\[([^\]]{1,160})\] ?)?(?:\[RANK:\d{1,6}\] ?)?",
            ("level", "logger"),
        ),
        # 2024-06-04 10:44:39.356 | INFO     | module:function:155 - text
        (
            rf"{_CLOCK} ?\| ?{_LEVEL} {{0,8}}\| ?([\w.<>]{{1,120}}):[^ ]{{0,120}} - ",
            ("level", "logger"),
        ),
        # 04/21/2023 22:17:14 - WARNING - datasets.builder - text
        (
            rf"\d\d[/-]\d\d[/-]\d{{4}} \d\d:\d\d:\d\d[\d,.]{{0,8}} - {_LEVEL} - "
            r"(?:([\w.]{1,120}) - {1,4})?",
            ("level", "logger"),
        ),
        # 2023-04-21 22:17:14,123 - datasets.builder - WARNING - text
        (
            rf"{_CLOCK} - ([\w.]{{1,120}}) - {_LEVEL} - ",
            ("logger", "level"),
        ),
        # 2023-04-21 22:17:14,123 - WARNING - text; 2023-... WARNING text
        (
            rf"{_CLOCK}:? (?:- )?\[?{_LEVEL}\]?:? {{1,8}}(?:- )?"
            r"(?:([a-z_][\w.]{1,120}): (?=\S))?",
            ("level", "logger"),
        ),
        # [11/23/26 07:31:10] WARNING  text
        (
            rf"\[\d\d/\d\d/\d\d \d\d:\d\d:\d\d\] {_LEVEL} {{1,8}}",
            ("level",),
        ),
        # WARNING:root:text
        (
            rf"{_LEVEL}:([\w.]{{1,120}}):",
            ("level", "logger"),
        ),
        # wandb: WARNING text
        (
            rf"([a-z][\w.-]{{1,40}}): {_LEVEL}:? ",
            ("logger", "level"),
        ),
        # slurmstepd: error: text
        (
            r"([a-z][\w.-]{1,40}): (error|fatal|warning): ",
            ("logger", "level"),
        ),
        # [NeMo W 2024-05-01 10:00:00 nemo_logging:349] text
        (
            r"\[[A-Z]\w{1,20} ([IWEF]) [^\]]{1,60} (\w{1,60}):(\d{1,6})\] ?",
            ("level", "file", "line"),
        ),
        # [WARNING:swift] text
        (
            rf"\[{_LEVEL}:([\w.-]{{1,60}})\] ?",
            ("level", "logger"),
        ),
        # (RayTrainWorker pid=123, ip=10.0.0.1) text
        (
            r"\((raylet|(?:[\w ]{1,60} )?pid=\d{1,9}[^)]{0,60})\) ",
            ("logger",),
        ),
        # WARNING[XFORMERS]: text
        (
            rf"{_LEVEL}\[(\w{{1,40}})\]: ",
            ("level", "logger"),
        ),
        # [WARNING] text; [WARNING] [launch.py:325:handler] text
        (
            rf"\[{_LEVEL}\]:? ?(?:\[([^\]]{{1,160}})\] ?)?",
            ("level", "logger"),
        ),
        # WARNING: text; Warning: text; ERROR text
        (
            rf"(?:{_LEVEL}:? {{1,8}}|{_LEVEL}:(?=\S))",
            ("level", "level"),
        ),
        (r"(Warning|Error): ", ("level",)),
        # [transformers] text
        (r"\[([a-z][\w.]{1,40})\] ", ("logger",)),
    )
)
_STARTS = {
    start: tuple(
        header for header in _HEADERS if header[0].pattern.startswith(openings)
    )
    for start, openings in {
        "[": (r"\[",),
        "(": (r"\(",),
        "01/": (r"\d\d[/-]",),
        "2026": (r"\d{4}",),
        "a": ("([a-z]",),
        "A": ("([IWEF]", f"{_LEVEL}", f"(?:{_LEVEL}", "(Warning"),
    }.items()
}
"""The headers by what they begin with: a bracket, a day, a year, a letter."""
_LETTERS = {"I": "INFO", "W": "WARNING", "E": "ERROR", "F": "CRITICAL"}
_WARNED = re.compile(
    r"(?:(?P<file>[^\n:]{1,400}|[A-Za-z]:[^\n:]{1,400}):(?P<line>\d{1,7}): )?"
    r"(?P<category>(?:[A-Za-z_]\w{0,60}\.){0,6}[A-Z]\w{0,60}Warning): ?"
)
_PLACED = re.compile(
    r"(?P<file>[^\n:]{1,300}(?:site|dist)-packages[^\n:]{1,200}\.py"
    r"|[A-Za-z]:[^\n:]{1,300}(?:site|dist)-packages[^\n:]{1,200}\.py)"
    r":(?P<line>\d{1,7}): (?=\S)"
)
"""How Lightning formats a warning: no category."""
_FRAME = re.compile(r' {0,8}File "([^"\n]{1,400})", line (\d{1,7})')
_EXCEPTION = re.compile(
    r"(?:[A-Za-z_]\w{0,80}\.){0,8}"
    r"(?:[A-Z]\w{0,80}(?:Error|Exception|Interrupt|Exit|Failure|Timeout|Warning|Iteration)"
    r"|Exception|Error)(?::(?= |$)|$)"
    r"|(?:[a-z_]\w{0,80}\.){1,8}[A-Z]\w{0,80}[a-z]\w{0,80}: (?=\S)"
    r"|(?:[a-z_]\w{0,80}\.){1,8}[a-z]{0,20}(?:error|timeout): (?![-+\d. ])"
)
"""A name that ends as the names of exceptions do, or `package.module.Name: text`."""
_SPACES = re.compile(r"\s+")
_MODULE = re.compile(r"(?:[A-Za-z_]\w{0,80}\.){1,8}(?=[A-Z])")


@dataclass(frozen=True)
class Record:
    text: str
    """The whole record, escape sequences removed."""
    stream: str = ""
    """`stdout`, `stderr`, `logging`, `warnings`, `console`, or nothing."""
    logger: str = ""
    level: str = ""
    category: str = ""
    """A warning's class, without its module."""
    file: str = ""
    line: int = 0
    context: Mapping[str, object] = field(default_factory=dict)
    message: str = ""
    """What was said, without prefixes: the warning's text, or "Kind: message" of
    the exception that a traceback ends with."""
    rank: int | None = None
    """The rank that a prefix such as `[rank3]: ` names."""
    traceback: bool = False

    @property
    def headline(self) -> str:
        """The first line of the message."""
        return self.message.partition("\n")[0].strip()

    @property
    def failure(self) -> bool:
        """It ends with an exception."""
        return self.traceback or is_exception(self.message)

    @property
    def fingerprint(self) -> str:
        """The same for the same saying, wherever it was caught."""
        return fingerprint(self.message)


def fingerprint(message: str) -> str:
    """The first line, spaces folded, an exception without its module path."""
    for line in message.split("\n", 20):
        words = _SPACES.sub(" ", line[:2000]).strip()
        if words:
            return _MODULE.sub("", words[:300], count=1)
    return ""


def strip_rank(line: str) -> tuple[int | None, str]:
    """`[rank0]: text` -> (0, "text")."""
    if not line or line[0] not in "[0123456789":
        return None, line
    found = _RANK.match(line)
    if not found:
        return None, line
    return int(found[1] or found[2]), line[found.end() :]


def is_exception(line: str) -> bool:
    """True for `ValueError: text` and `package.SomeError`."""
    return bool(_EXCEPTION.match(line))


def is_warning(line: str) -> bool:
    """True for `file.py:12: UserWarning: text`."""
    return "Warning:" in line and bool(_WARNED.match(line))


def is_logged(line: str) -> bool:
    """True for a line with a logging prefix."""
    return _opening(line) is not None


def _opening(text: str) -> tuple[re.Match[str], tuple[str, ...]] | None:
    """The header that `text` begins with, and what its groups mean."""
    for pattern, names in _headers(text):
        if found := pattern.match(text):
            return found, names
    return None


def _headers(text: str) -> tuple[tuple[re.Pattern[str], tuple[str, ...]], ...]:
    """Those that `text` can begin with."""
    first = text[:1]
    if first in ("[", "("):
        return _STARTS[first]
    if "a" <= first <= "z":
        return _STARTS["a"] if ": " in text[:60] else ()
    if "A" <= first <= "Z":
        return _STARTS["A"]
    if not first.isdigit():
        return ()
    return _STARTS["01/"] if text[2:3] in ("/", "-") else _STARTS["2026"]


def is_frame(line: str) -> bool:
    """True for `  File "x.py", line 3, in f`, and what follows it."""
    return 'File "' in line and bool(_FRAME.match(line))


def read(
    text: str,
    *,
    stream: str = "",
    logger: str = "",
    level: str = "",
    category: str = "",
    file: str = "",
    line: int = 0,
    context: Mapping[str, object] | None = None,
    rank: int | None = None,
) -> Record:
    """
    The record with this text.

    Args:
        text: one record. Above `MAX_LINES` or `MAX_CHARACTERS` its middle is
            left out.
        stream, logger, level, category, file, line: what is known from where it
            was caught; it wins over what the text's prefixes say.
        context: facts about the run, such as phase, device, model.
        rank: the rank whose prefix was taken off the text already.
    """
    if len(text) > MAX_CHARACTERS:
        half = MAX_CHARACTERS // 2
        text = text[:half] + text[-half:]
    if not text.isprintable():
        lines = text.split("\n")
        if len(lines) > MAX_LINES:
            half = MAX_LINES // 2
            lines = lines[:half] + lines[-half:]
        text = "\n".join([plain(part) for part in lines])
    found: dict[str, str] = {}
    named, rest = strip_rank(text)
    rank = named if rank is None else rank
    traceback = "Traceback (most" in rest or is_frame(rest)
    if traceback:
        message = _last_exception(rest)
        frames = _FRAME.findall(rest)
        if frames:
            found["file"], found["line"] = frames[-1]
    else:
        rest, rank = _strip_headers(rest, found, rank)
        warned = _WARNED.match(rest) if "Warning:" in rest else None
        if warned:
            found["file"] = warned["file"] or found.get("file", "")
            found["line"] = warned["line"] or found.get("line", "")
            found["category"] = warned["category"].rpartition(".")[2]
            rest = rest[warned.end() :]
            shown = rest.rpartition("\n  ")
            rest = shown[0] or rest
        elif "-packages" in rest and (placed := _PLACED.match(rest)):
            found["file"], found["line"] = placed["file"], placed["line"]
            found.setdefault("level", "WARNING")
            rest = rest[placed.end() :]
        message = rest.strip()
    return Record(
        text,
        stream,
        logger or found.get("logger", ""),
        level or found.get("level", ""),
        category.rpartition(".")[2] if category else found.get("category", ""),
        file or found.get("file", ""),
        line or int(found.get("line") or 0),
        context or {},
        message,
        rank,
        traceback,
    )


def _strip_headers(
    rest: str, found: dict[str, str], rank: int | None
) -> tuple[str, int | None]:
    for _ in range(4):
        if rest[:1] in ("[", ""):
            here, rest = strip_rank(rest)
            rank = here if rank is None else rank
        opened = _opening(rest)
        if opened is None:
            break
        match, names = opened
        for name, value in zip(names, match.groups(), strict=True):
            if value and name not in found:
                found[name] = _LETTERS.get(value, value) if name == "level" else value
        if found.get("level"):
            level = found["level"].upper()
            found["level"] = "WARNING" if level == "WARN" else level
        rest = rest[match.end() :]
    return rest, rank


def _last_exception(text: str) -> str:
    """`Kind: message` of the exception that a traceback ends with."""
    lines = text.split("\n")
    last = ""
    framed = False
    for number, line in enumerate(lines):
        _, line = strip_rank(line)
        if line.startswith("Traceback (most") or is_frame(line):
            framed = True
        elif framed and line[:1] not in (" ", "\t", ""):
            last = line.strip()
            framed = False
            more = [strip_rank(part)[1] for part in lines[number + 1 : number + 6]]
            if not is_exception(last):
                # "SomeKind" of a library whose exceptions end otherwise, or noise.
                continue
            for part in more:
                if not part.strip():
                    break
                last += "\n" + part.rstrip()
    return last or next((line.strip() for line in reversed(lines) if line.strip()), "")
