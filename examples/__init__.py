"""Runs a user would write: each script stands alone and is started by path."""
