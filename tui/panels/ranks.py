"""The ranks of a run on several devices, the odd one on top."""

from __future__ import annotations

from textual.content import Content

from trainwatch.runner.state import Process
from trainwatch.runner.text import duration, size
from trainwatch.runner.view import RunView
from trainwatch.tui.faces import Face, face_of
from trainwatch.tui.format import ABSENT, fit, roughly, safe
from trainwatch.tui.panels.memory import held
from trainwatch.tui.panels.pace import usual_step_s
from trainwatch.tui.panels.panel import Panel
from trainwatch.tui.theme import BAD, MUTED, STRONG, WARN

COLUMNS = (
    ("rank", 6),
    ("phase", 11),
    ("for", 12),
    ("step", 8),
    ("a step", 8),
    ("memory", 9),
    ("moved", 12),
)
MOST = 6


def odd_first(ranks: tuple[Process, ...]) -> list[Process]:
    """Failed, gone, behind in steps, longest without progress; then by rank."""
    return sorted(
        ranks,
        key=lambda p: (
            not p.error_kind,
            p.left is None,
            p.step if p.step is not None else -1,
            round(p.progressed or 0.0),
            p.rank or 0,
        ),
    )


class RanksPanel(Panel):
    """One line for each rank. Hidden while there is only one."""

    DEFAULT_CSS = """
    RanksPanel {
        height: auto;
        max-height: 9;
    }
    """
    TITLE = "Ranks"
    AGES = True
    GROWS = True

    def face(self, view: RunView) -> Face:
        return face_of(view, True)

    def facts(self, view: RunView) -> object:
        return tuple(
            (
                p.rank,
                p.phase,
                p.step,
                p.left,
                p.error_kind,
                p.memory.allocated,
                p.memory.rss,
            )
            for p in view.state.ranks
        )

    def watch_view(self, view: RunView) -> None:
        self.display = len(view.state.ranks) > 1
        super().watch_view(view)

    def on_mount(self) -> None:
        self.display = len(self.view.state.ranks) > 1
        super().on_mount()

    def lines(self, view: RunView, width: int, height: int) -> list[Content]:
        ranks = odd_first(view.state.ranks)
        front = max((p.step or 0 for p in ranks), default=0)
        head = "".join(name.ljust(cells) for name, cells in COLUMNS)
        lines = [Content.styled(head.rstrip(), MUTED)]
        lines += [rank_line(p, view, front) for p in ranks[:MOST]]
        if len(ranks) > MOST:
            lines.append(Content.styled(f"and {len(ranks) - MOST} more", MUTED))
        return lines


def rank_line(process: Process, view: RunView, front: int) -> Content:
    """One rank; what sets it apart is coloured and named."""
    until = view.now if not view.state.over else process.phase.seen
    behind = front - (process.step or 0)
    seen = process.progressed
    texts = (
        str(process.rank if process.rank is not None else "?"),
        safe(process.phase.name),
        duration(max(0.0, until - process.phase.since)),
        ABSENT if process.step is None else f"{process.step:,}",
        ABSENT if usual_step_s(process) is None else duration(usual_step_s(process)),
        size(held(process.memory)[1]) if held(process.memory)[1] else ABSENT,
        ABSENT if seen is None else f"{roughly(until - seen)} ago",
    )
    cells = [
        fit(Content.styled(text, STRONG if name == "rank" else ""), width)
        for text, (name, width) in zip(texts, COLUMNS, strict=True)
    ]
    line = Content("").join(cells)
    if process.error_kind:
        return line + Content.styled(
            safe(f"{process.error_kind}: {process.error}"), BAD
        )
    if process.left is not None and not view.state.over:
        return line + Content.styled(f"gone ({safe(process.left_reason)})", BAD)
    if behind > 0:
        return line + Content.styled(f"{behind} behind", WARN)
    return line
