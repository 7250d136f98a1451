"""The interactive prompt and its scripts: `Shell(session, console).feed(lines, "<stdin>")`, or `.interact(read)`.

Statements run as in a pipeline (demand, drain, replay), on one connection that lives as long as the shell: settings,
temporary tables and transactions last. Whatever it has to print goes through a `Console`, which the command line owns.
"""

from distil_sql.shell.console import Console
from distil_sql.shell.shell import How, Leave, Shell

__all__ = ["Console", "How", "Leave", "Shell"]
