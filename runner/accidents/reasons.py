"""
Which slip, or which change of a library, ended a program, by what it raised.

What a look at the script could only think likely is certain here: the program has
stopped at it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from trainwatch.runner.accidents import missing, modules, source, usage
from trainwatch.runner.accidents.accident import Accident
from trainwatch.runner.accidents.failure import Failure, Setting
from trainwatch.runner.accidents.mismatch import mismatch

Explain = Callable[[Failure, Setting], "Accident | None"]


def explain(failure: Failure, setting: Setting) -> Accident | None:
    """The slip behind a failure; None where it is none of these."""
    for kinds, reason in _REASONS:
        if failure.kind.rpartition(".")[2] in kinds:
            found = reason(failure, setting)
            if found is not None:
                told = [line for line in found.evidence if failure.said not in line]
                evidence = (failure.said, *told)
                return replace(found, evidence=evidence, severity="serious")
    return None


def _mismatch(failure: Failure, setting: Setting) -> Accident | None:
    python = setting.python()
    folders = python.packages if python is not None else ()
    return mismatch(
        failure.kind, failure.said, failure.traceback, folders, setting.versions
    )


_REASONS: tuple[tuple[tuple[str, ...], Explain], ...] = (
    (("SyntaxError", "IndentationError", "TabError"), source.syntax),
    (("NameError",), source.name),
    (("ImportError",), modules.imported),
    (("ImportError", "ModuleNotFoundError"), _mismatch),
    (("ImportError", "ModuleNotFoundError"), modules.module),
    (("AttributeError",), modules.attribute),
    (("TypeError", "AttributeError", "ValueError"), _mismatch),
    (("FileNotFoundError", "NotADirectoryError"), missing.file),
    (("OSError", "HFValidationError", "DatasetNotFoundError"), missing.model),
    (("ValueError",), usage.parsed),
)
