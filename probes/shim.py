"""
The staged `sitecustomize`: arms the probes, then runs the sitecustomize it hides.

It runs at the start of every Python process below the user's command, of any
version, so it keeps to syntax that all of them read.
"""

import os
import sys

OLDEST = (3, 9)


def _arm(here):
    # type: (str) -> None
    """Arm the probes; whatever goes wrong stays here, in a file of the run."""
    try:
        if sys.version_info < OLDEST:
            raise RuntimeError("this Python is older than %d.%d" % OLDEST)
        sys.path.insert(0, here)
        try:
            from _trainwatch_probes import bootstrap  # type: ignore[import-not-found]
        finally:
            sys.path.remove(here)
        bootstrap.arm()
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        try:
            name = os.path.join(os.environ["TRAINWATCH_RUN"], "flight")
            with open(os.path.join(name, "%d.failed" % os.getpid()), "w") as file:
                file.write("%s: %s\n" % (type(error).__name__, error))
        except Exception:
            return


def _chain():
    # type: () -> None
    """Run the sitecustomize that would have run without us, errors included."""
    try:
        from importlib.machinery import PathFinder
    except ImportError:
        return
    spec = PathFinder.find_spec("sitecustomize", sys.path)
    if spec is None or spec.loader is None:
        return
    from importlib.util import module_from_spec

    module = module_from_spec(spec)
    sys.modules["sitecustomize"] = module
    spec.loader.exec_module(module)


def _run():
    # type: () -> None
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [
        folder for folder in sys.path if os.path.abspath(folder or ".") != here
    ]
    armed = "TRAINWATCH_SOCKET" in os.environ and "TRAINWATCH_RUN" in os.environ
    if armed:
        _arm(here)
    _chain()


_run()
