"""
Slips of the editor, the clipboard and the shell, found in a script and its command,
and calls that the installed libraries do not know.

Pure functions over text, but for those that look at folders: `place`, `interpreter`,
`signature` and who calls them.
Nothing of the user's is executed, and nothing is refused.
"""
