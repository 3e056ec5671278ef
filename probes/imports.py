"""
Call back when a library has been imported.

A finder in front of `sys.meta_path` asks the other finders and wraps the
loader's `exec_module` on that one instance, so the module, its loader's type and
its source stay what they are.
"""

from __future__ import annotations

import sys

from .guard import switch_off

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType
    from typing import Any, Callable, Dict, List

    Callback = Callable[[ModuleType], None]


class ImportWatch:
    """
    The finder.

    Args:
        began: called with a name before that module's code runs.
        ended: called with the name and the module, or None when it failed.
    """

    def __init__(
        self, began: Callable[[str], None], ended: Callable[[str, Any], None]
    ) -> None:
        self._began = began
        self._ended = ended
        self._callbacks: Dict[str, List[Callback]] = {}

    def watch(self, name: str, callback: Callback) -> None:
        """Call `callback(module)` once `name` is imported, now if it is."""
        if name in sys.modules:
            self._call(name, callback, sys.modules[name])
        else:
            self._callbacks.setdefault(name, []).append(callback)

    def install(self) -> None:
        sys.meta_path.insert(0, self)

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name not in self._callbacks:
            return None
        for finder in list(sys.meta_path):
            if finder is self:
                continue
            find = getattr(finder, "find_spec", None)
            spec = find(name, path, target) if find is not None else None
            if spec is not None:
                self._wrap(name, spec)
                return spec
        return None

    def _wrap(self, name: str, spec: Any) -> None:
        loader = spec.loader
        execute = getattr(loader, "exec_module", None)
        if execute is None:
            return

        def exec_module(module: ModuleType) -> None:
            if module.__name__ != name or name not in self._callbacks:
                execute(module)
                return
            self._began(name)
            try:
                execute(module)
            except BaseException:
                self._ended(name, None)
                raise
            try:
                del loader.exec_module
            except AttributeError:
                pass
            self._ended(name, module)
            for callback in self._callbacks.pop(name, ()):
                self._call(name, callback, module)

        try:
            loader.exec_module = exec_module
        except AttributeError as error:
            # A loader without a __dict__: the library works, unwatched.
            switch_off("import " + name, error)

    def _call(self, name: str, callback: Callback, module: ModuleType) -> None:
        try:
            callback(module)
        except Exception as error:
            switch_off("import " + name, error)
