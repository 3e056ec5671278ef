"""`run.json`: what a run is and how it ended, readable without its log."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from trainwatch.runner.errors import RefusedError
from trainwatch.runner.files import read_json, write_json
from trainwatch.runner.ladder import GRACE_S

SCHEMA = 1
FILE = "run.json"


@dataclass(frozen=True)
class Manifest:
    """
    Times are Unix seconds. A process is named by its pid and its start time,
    because pids are used again. Environment values are never kept, only names.
    """

    id: str = ""
    name: str = ""
    argv: list[str] = field(default_factory=list)
    cwd: str = ""
    schema: int = SCHEMA
    status: str = "starting"
    exit_code: int | None = None
    signal: int | None = None
    detail: str = ""
    started: float | None = None
    ended: float | None = None
    probes: bool = True
    grace: float = GRACE_S
    """Seconds from a SIGTERM to us until somebody kills the run."""
    terminal: bool = True
    """False: its output goes through a pipe."""
    adopted: bool = False
    """It was started without us."""
    python: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    host: dict[str, Any] = field(default_factory=dict)
    devices: list[str] = field(default_factory=list)
    environment: list[str] = field(default_factory=list)
    child: int | None = None
    child_started: float | None = None
    supervisor: int | None = None
    supervisor_started: float | None = None
    keeper: int | None = None
    keeper_started: float | None = None

    @property
    def over(self) -> bool:
        return self.status not in ("starting", "running")


class NewerSchemaError(RefusedError):
    """The run was written by a later trainwatch."""


def write(folder: Path, manifest: Manifest) -> None:
    """
    Raises:
        OSError: it cannot be written.
    """
    write_json(folder / FILE, asdict(manifest))


def read(folder: Path) -> Manifest:
    """
    Raises:
        RefusedError: there is no readable manifest in `folder`.
        NewerSchemaError: its schema is newer than ours.
    """
    try:
        data = read_json(folder / FILE)
    except FileNotFoundError:
        raise RefusedError(f"{folder} holds no {FILE}") from None
    except (OSError, ValueError) as error:
        raise RefusedError(f"{folder / FILE} cannot be read: {error}") from None
    if not isinstance(data, dict) or not isinstance(data.get("schema"), int):
        raise RefusedError(f"{folder / FILE} is not a run's manifest")
    if data["schema"] > SCHEMA:
        raise NewerSchemaError(
            f"run {folder.name} was written by a newer trainwatch "
            f"(schema {data['schema']}, this one reads {SCHEMA}): upgrade to read it"
        )
    names = {f.name for f in fields(Manifest)}
    try:
        return Manifest(**{key: data[key] for key in names & data.keys()})
    except TypeError as error:
        raise RefusedError(f"{folder / FILE}: {error}") from None


def name_of(folder: Path) -> str | None:
    """The run's name, or None where the manifest does not say."""
    try:
        data = read_json(folder / FILE)
    except (OSError, ValueError):
        return None
    return data.get("name") if isinstance(data, dict) else None
