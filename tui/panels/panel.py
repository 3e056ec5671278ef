"""What all panels share: a title, four faces, and drawing only when it pays."""

from __future__ import annotations

from typing import ClassVar

from textual.content import Content
from textual.geometry import Size
from textual.reactive import reactive
from textual.widget import Widget

from trainwatch.runner.unseen import log_only
from trainwatch.runner.view import NOTHING, RunView
from trainwatch.tui.faces import FACES, Face, face_of
from trainwatch.tui.format import wrapped
from trainwatch.tui.theme import MUTED

MANY_LINES = 200


class Panel(Widget):
    """
    A titled box about one side of the run.

    A panel says in `facts` what it shows. It is drawn again only when these
    change, when it is resized, or once a second where it `ages`.
    """

    DEFAULT_CSS = """
    Panel {
        border: round $foreground 25%;
        border-title-color: $foreground;
        border-title-style: none;
        padding: 0 1;
        text-wrap: nowrap;
        text-overflow: clip;
        &.-stale, &.-empty { text-opacity: 60%; }
    }
    """

    TITLE: ClassVar[str] = ""
    PROMISE: ClassVar[str] = ""
    """What will stand here, said while it is empty."""
    MISSED: ClassVar[str] = ""
    """Said when the run ended without it."""
    ADOPTED: ClassVar[str] = ""
    """Said instead of a run that was adopted, where that never shows it."""
    PROBED: ClassVar[bool] = False
    """Only a probe can tell it."""
    AGES: ClassVar[bool] = False
    """It shows ages, so it is drawn once a second."""
    MOVES: ClassVar[bool] = True
    """What it shows grows old when the run does not go on."""
    GROWS: ClassVar[bool] = False
    """Its height follows its lines."""

    view: reactive[RunView] = reactive(NOTHING, repaint=False, init=False)
    """The run to show."""

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, classes=classes)
        self._shown: object = None
        self._face = Face()
        self._lines_laid_out = -1

    # --- what a panel says ---

    def facts(self, view: RunView) -> object:
        """Everything the panel shows, to compare with `==`."""
        raise NotImplementedError

    def has_data(self, view: RunView) -> bool:
        """False shows the empty face."""
        return True

    def face(self, view: RunView) -> Face:
        return face_of(view, self.has_data(view), self.MOVES)

    def title(self, view: RunView) -> Content:
        """The title, before the note of the face."""
        return Content.styled(self.TITLE, "bold $foreground")

    def lines(self, view: RunView, width: int, height: int) -> list[Content]:
        """At most `height` lines of at most `width` cells."""
        raise NotImplementedError

    # --- drawing ---

    def on_mount(self) -> None:
        self._show(self.view)

    def watch_view(self, view: RunView) -> None:
        self._show(view)

    def _show(self, view: RunView) -> None:
        face = self.face(view)
        tick = int(view.now) if self.AGES and not view.state.over else 0
        shown = (self.facts(view), face, tick)
        if shown == self._shown:
            return
        self._shown = shown
        self._face = face
        if not self.has_class(f"-{face.name}"):
            self.set_classes([*(self.classes - _FACE_CLASSES), f"-{face.name}"])
        if self.TITLE:
            title = self.title(view)
            if face.note:
                title += Content.styled(f" · {face.note}", MUTED)
            self.border_title = title
        self.refresh(layout=self.GROWS and self.display and self._grew())

    def _grew(self) -> bool:
        """True when its lines need another height than they have."""
        width = self.content_size.width
        return not width or len(self._body(width, MANY_LINES)) != self._lines_laid_out

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        self._lines_laid_out = len(self._body(width, MANY_LINES))
        return self._lines_laid_out

    def render(self) -> Content:
        width, height = self.content_size
        return Content("\n").join(self._body(width, height))

    def _body(self, width: int, height: int) -> list[Content]:
        if width < 1 or height < 1:
            return []
        if self._face.name == "empty":
            lines = wrapped(self._absent(), width)
        else:
            lines = self.lines(self.view, width, height)
        return [line.truncate(width, ellipsis=True) for line in lines[:height]]

    def _absent(self) -> str:
        """What is said while there is nothing."""
        state = self.view.state
        why = log_only(state) if self.PROBED else None
        if why is not None:
            return f"Not seen: only a probe could tell, and there is none ({why})."
        if state.run.adopted and self.ADOPTED:
            return self.ADOPTED
        return self.MISSED if state.over else self.PROMISE


_FACE_CLASSES = frozenset(f"-{name}" for name in FACES)
