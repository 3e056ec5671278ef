"""
All keys, in one place.

A binding has an id (so that a keymap can change it), a word for the key line and
a sentence for the help.
"""

from __future__ import annotations

from textual.binding import Binding


def key(
    keys: str, action: str, word: str, sentence: str, *, show: bool = True
) -> Binding:
    """A binding with the id of its action."""
    return Binding(
        keys,
        action,
        word,
        show=show,
        tooltip=sentence,
        id=f"{action}.{word}".replace(" ", "-"),
    )


ABORT = key("a", "abort", "abort", "Stop the run; asks how, and which run, first")
SNAPSHOT = key(
    "s", "snapshot", "snapshot", "Save where the run stands, at the next step boundary"
)
STACK = key("t", "stack", "stack", "Show what every process is executing right now")
WARNINGS = key("w", "warnings", "warnings", "All warnings: why they come, what to do")
MEMORY = key("m", "memory", "memory", "Memory of every process, with its ledger")
CONSOLE = key("l", "console", "console", "What the program wrote, with search")
TYPE = key(
    "i", "type", "type", "Give the keyboard to the program; ctrl+] takes it back"
)
LEAVE = key("q,d", "leave", "leave", "Leave; the run goes on and can be attached again")
HELP = key("question_mark", "help", "help", "Show these keys")
PALETTE = key(
    "colon",
    "app.command_palette",
    "palette",
    "All actions by name (also ctrl+p)",
    show=False,
)
BACK = key("escape", "back", "back", "Back to where you came from")
RUNS = key("escape", "back", "runs", "Back to the list of runs", show=False)
SEARCH = key("slash", "search", "search", "Search; enter keeps the search, esc ends it")
NEXT = key("n", "next", "next", "Next place that matches the search", show=False)
BEFORE = key(
    "N", "before", "before", "Place before that matches the search", show=False
)
FOLLOW = key("f", "follow", "follow", "Stay at the end as new lines come")

MARK = key(
    "m", "mark", "mark", "Mark a warning as known, or change its severity for yourself"
)
EXPORT = key("e", "export", "export", "Write the warnings to a file, .md or .json")

DOWN = key("j,down", "cursor_down", "down", "One line down", show=False)
UP = key("k,up", "cursor_up", "up", "One line up", show=False)
FIRST = key("g,home", "first", "first", "To the first line", show=False)
LAST = key("G,end", "last", "last", "To the last line", show=False)

OPEN = key("enter", "open", "open", "Open the run under the cursor")
NEW = key("n", "launch", "new run", "Start a command of your own, or a demo")
RENAME = key("r", "rename", "rename", "Call the run under the cursor something else")
REMOVE = key("x", "remove", "remove", "Delete the run under the cursor; asks first")
PRUNE = key("p", "prune", "prune", "Delete all but the newest runs; asks first")
QUIT = key("q", "leave", "quit", "Quit; runs go on")
CANCEL = key("escape,q", "cancel", "cancel", "Change nothing")

RUN_KEYS = [
    ABORT,
    SNAPSHOT,
    STACK,
    WARNINGS,
    MEMORY,
    CONSOLE,
    TYPE,
    LEAVE,
    HELP,
    PALETTE,
    RUNS,
]
HANDS_KEYS = [ABORT, SNAPSHOT, STACK, TYPE, LEAVE, HELP, PALETTE]
COMMANDS = (ABORT, SNAPSHOT, STACK, TYPE)
"""Keys that mean nothing once the run is over."""
CHANGES = (NEW, RENAME, REMOVE, PRUNE)
"""Keys of the list that change it."""
LIST_KEYS = [DOWN, UP, FIRST, LAST]

LONG = {
    "type": "type to the program",
    "leave": "leave (run goes on)",
    "new run": "new run or demo",
}
"""Words for the key line where there is room."""
SPARE = ("memory", "stack", "type", "console", "snapshot")
"""Words that give way first where the key line is too narrow."""

KEY_NAMES = {
    "question_mark": "?",
    "slash": "/",
    "colon": ":",
    "escape": "esc",
    "down": "↓",
    "up": "↑",
    "enter": "enter",
}


def shown_key(binding: Binding) -> str:
    """The first key of a binding as people write it."""
    first = binding.key.split(",")[0]
    return KEY_NAMES.get(first, first)


def all_keys(binding: Binding) -> str:
    """Every key of a binding: "q d"."""
    return " ".join(KEY_NAMES.get(k, k) for k in binding.key.split(","))
