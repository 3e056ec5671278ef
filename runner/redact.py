"""Secrets do not reach the disk: tokens, keys and passwords in a command line."""

from __future__ import annotations

import re
from collections.abc import Sequence

MASK = "***"
_NAME = re.compile(
    r"(?i)(?:^|[-_.])(?:token|secret|password|passwd|api[-_]?key|access[-_]?key|auth|credentials?)$"
)
_ASSIGNED = re.compile(
    r"(?is)^([+~-]{0,2}[\w./-]*"
    r"(?:token|secret|password|passwd|api[-_]?key|access[-_]?key|auth|credentials?)=).+$"
)
_VALUE = re.compile(
    r"\b(?:hf_[A-Za-z0-9]{8,}|sk-[A-Za-z0-9_-]{8,}|gh[pousr]_[A-Za-z0-9]{16,}"
    r"|AKIA[0-9A-Z]{12,}|xox[abeprs]-[A-Za-z0-9-]{8,}|glpat-[\w-]{16,}"
    r"|github_pat_\w{20,}|npm_[A-Za-z0-9]{20,}|AIza[\w-]{30,}|ya29\.[\w.-]{16,}"
    r"|eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*)"
)
_BEARER = re.compile(r"(?i)(\b(?:bearer|authorization:\s*\w+)\s+)[\w.~+/-]{8,}=*")
_QUERY = re.compile(
    r"(?i)([?&](?:[\w-]*token|[\w-]*key|secret|password|signature|sig)=)[^&#\s]+"
)
_HOOK = re.compile(
    r"(?i)(\b(?:hooks\.slack\.com/services|discord(?:app)?\.com/api/webhooks"
    r"|api\.telegram\.org/bot)[/:]?)[^\s'\"]+"
)
_URL = re.compile(r"(\b[a-z][a-z0-9+.-]*://[^/\s:@]*):[^/\s@]+@")
# Counts and names of tokens are not secrets: --max-tokens, --pad-token.
_HARMLESS = re.compile(
    r"(?i)^-{1,2}(?:\w+[-_])*(?:max|min|num|new|pad|eos|bos|unk|sep|mask|cls)"
    r"[-_]\w*tokens?$"
)


def redact(text: str) -> str:
    """`text` with whatever looks like a secret replaced by `***`."""
    text = _URL.sub(rf"\1:{MASK}@", _VALUE.sub(MASK, text))
    for pattern in (_BEARER, _QUERY, _HOOK):
        text = pattern.sub(rf"\1{MASK}", text)
    return text


def redact_argv(argv: Sequence[str]) -> list[str]:
    """The command line without the values of secret options."""
    shown: list[str] = []
    secret_follows = False
    for word in argv:
        if secret_follows and not word.startswith("-"):
            shown.append(MASK)
            secret_follows = False
            continue
        option = word.partition("=")[0]
        harmless = bool(_HARMLESS.match(option))
        secret_follows = (
            word.startswith("-")
            and "=" not in word
            and bool(_NAME.search(word))
            and not harmless
        )
        word = word if harmless else _ASSIGNED.sub(rf"\1{MASK}", word)
        shown.append(redact(word))
    return shown
