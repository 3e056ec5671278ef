"""Why a run does not go on: one cause a file, each a pure function of a `Sight`."""
