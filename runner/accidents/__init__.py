"""
Slips of the editor, the clipboard and the shell, found in a script and its command.

Pure functions over text, but for `place` and `interpreter`, which look at folders.
Nothing of the user's is executed, and nothing is refused.
"""
