"""Watch a fine-tuning run in a terminal, and be told the truth about it."""

from trainwatch.probes.custom import phase as phase

__version__ = "0.1.0"
