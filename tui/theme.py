"""
Colours, and the mark of each state: a glyph, a word and a colour.

The colours follow Okabe and Ito, which stay apart under deuteranopia, protanopia
and tritanopia. Nothing outside this file names a colour.
"""

from __future__ import annotations

from textual.theme import Theme

MUTED = "$foreground 62%"
FAINT = "$foreground 32%"
STRONG = "bold"
GOOD = "$success"
WARN = "$warning"
BAD = "$error"
CALM = "$primary"
NOTE = "$accent"

VERDICT_MARKS = {
    "starting": ("○", CALM),
    "working": ("●", GOOD),
    "slow": ("◐", WARN),
    "waiting": ("◔", NOTE),
    "stuck": ("■", BAD),
    "failing": ("▼", BAD),
    "finished": ("✔", GOOD),
    "failed": ("✖", BAD),
    "aborted": ("◼", WARN),
    "killed": ("✖", BAD),
    "lost": ("?", WARN),
}
SEVERITY_MARKS = {
    "serious": ("✖", BAD),
    "attention": ("▲", WARN),
    "cleanup": ("○", CALM),
    "unclassified": ("?", NOTE),
    "harmless": ("·", MUTED),
}
OUTCOME_MARKS = {
    "done": ("✔", GOOD),
    "refused": ("▲", WARN),
    "failed": ("✖", BAD),
    "unknown": ("?", WARN),
}
UNKNOWN_MARK = ("?", MUTED)

OWN_PHASE = GOOD
"""A phase that the user named."""
PHASE_STYLES = {
    "fetch": NOTE,
    "forward": CALM,
    "loss": CALM,
    "backward": CALM,
    "clip": CALM,
    "optimizer": CALM,
    "reference": CALM,
    "other": MUTED,
}

DARK = Theme(
    name="trainwatch",
    primary="#6CB2E3",
    secondary="#4F86AB",
    accent="#C79BD1",
    success="#3FBF9B",
    warning="#E8A628",
    error="#F0764A",
    foreground="#D5DAE1",
    background="#101419",
    surface="#171C23",
    panel="#1E252E",
    dark=True,
    variables={
        "block-cursor-background": "#2B4257",
        "block-cursor-foreground": "#FFFFFF",
        "block-cursor-text-style": "none",
        "block-cursor-blurred-background": "#222C37",
        "block-cursor-blurred-foreground": "#D5DAE1",
        "input-cursor-background": "#D5DAE1",
    },
)
LIGHT = Theme(
    name="trainwatch-light",
    primary="#005F9E",
    secondary="#3B7EA8",
    accent="#8A3F8F",
    success="#00735A",
    warning="#8F5B00",
    error="#B93F00",
    foreground="#1D242C",
    background="#FAFBFC",
    surface="#F0F3F6",
    panel="#E4E9EE",
    dark=False,
    variables={
        "block-cursor-background": "#BBD7EC",
        "block-cursor-foreground": "#10151A",
        "block-cursor-text-style": "none",
        "block-cursor-blurred-background": "#DCE5EC",
        "block-cursor-blurred-foreground": "#1D242C",
    },
)
THEMES = (DARK, LIGHT)
