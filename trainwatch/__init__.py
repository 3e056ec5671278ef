"""Watch a fine-tuning run in a terminal, and be told the truth about it."""

__version__ = "0.1.0"
