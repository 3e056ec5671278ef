"""The other end of a TCP connection. Linux only: /proc/PID/net/tcp (proc(5))."""

from __future__ import annotations

import ipaddress
import re
import sys

from trainwatch.runner.signals.proc import Proc

_SOCKET = re.compile(r"^socket:\[(\d+)\]$")


def peer(proc: Proc, pid: int, target: str) -> str:
    """ "tcp 10.0.0.7:443" for `socket:[NUMBER]`; `target` itself for other sockets."""
    match = _SOCKET.match(target)
    if match is None:
        return target
    for family in ("tcp", "tcp6"):
        for line in (proc.text(pid, "net", family) or "").splitlines()[1:]:
            words = line.split()
            if len(words) > 9 and words[9] == match[1]:
                return f"tcp {address(words[2])}"
    return target


def address(text: str) -> str:
    """ "0100007F:1F90" -> "127.0.0.1:8080": words of four bytes, as the machine has
    them, then the port."""
    host, _, port = text.partition(":")
    data = bytes.fromhex(host)
    if sys.byteorder == "little":
        data = b"".join(data[i : i + 4][::-1] for i in range(0, len(data), 4))
    where = ipaddress.ip_address(data)
    mapped = getattr(where, "ipv4_mapped", None)
    shown = str(mapped or where)
    return f"[{shown}]:{int(port, 16)}" if ":" in shown else f"{shown}:{int(port, 16)}"
