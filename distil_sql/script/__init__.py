"""A pipeline script as data: tokens, statements, our DDL, and what a statement reads, writes and calls."""

from distil_sql.script.lexer import Source, Token, tokenize
from distil_sql.script.statements import CreateModel, CreateTask, Drop, LoadTasks, Sql, Statement, read_script

__all__ = [
    "CreateModel",
    "CreateTask",
    "Drop",
    "LoadTasks",
    "Source",
    "Sql",
    "Statement",
    "Token",
    "read_script",
    "tokenize",
]
