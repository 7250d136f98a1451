"""Which files of a folder need which others, from the names that their statements make, write and read."""

from __future__ import annotations

import fnmatch
import os
from collections import defaultdict
from collections.abc import Container, Iterator, Sequence
from functools import cached_property

from distil_sql.registry import SUFFIXES
from distil_sql.script import CreateTask, Sql, Statement
from distil_sql.script.references import Name, References, references, within

_SETTINGS = ("SET", "RESET", "PRAGMA", "ATTACH", "USE", "LOAD", "INSTALL")
_DEFINED = ("model", "task", "macro", "schema", "type", "database")


class File:
    """One file: its statements, and the names of each. `offers` are names it brings without writing them."""

    def __init__(self, name: str, statements: Sequence[Statement], offers: Sequence[Name] = ()) -> None:
        self.name, self.statements, self.offers = name, statements, offers
        self.references = [references(statement) for statement in statements]

    def all(self, what: str) -> set[Name]:
        """The names in one of the sets of `References`, over all statements."""
        return set().union(*(getattr(names, what) for names in self.references))

    def name_within(self, attached: Container[str]) -> None:
        """Call each table by one name, whatever way it is written."""
        for names in self.references:
            for what in ("makes", "writes", "drops", "reads"):
                setattr(names, what, {within(name, attached) for name in getattr(names, what)})

    @cached_property
    def defines_only(self) -> bool:
        """Whether it touches no rows: models, tasks, macros, types, schemas, settings."""
        return all(
            not isinstance(statement, Sql)
            or statement.tokens[0].is_word(*_SETTINGS)
            or bool(names.makes and all(kind in _DEFINED for kind, _ in names.makes))
            or any(token.is_word("SECRET") for token in statement.tokens[:5])
            for statement, names in zip(self.statements, self.references, strict=True)
        )


def needs(files: Sequence[File]) -> dict[int, set[int]]:
    """For each file the files that come before it; raises ScriptError where two make one thing, or go in a circle."""
    graph = _Graph(files)
    for index in range(len(files)):
        graph.add_certain(index)
    if circle := graph.circle():
        raise graph.circular(circle)
    for index in range(len(files)):
        graph.add_likely(index)
    return graph.after


class _Graph:
    """Files as numbers; `after[f]` come before f, `why` says for the sake of what."""

    def __init__(self, files: Sequence[File]) -> None:
        self.files = files
        self.after: dict[int, set[int]] = {index: set() for index in range(len(files))}
        self.why: dict[tuple[int, int], tuple[Statement, Name]] = {}
        self.makers: dict[Name, int] = {}
        self.tasks: dict[str, CreateTask] = {}
        self.macros: dict[str, References] = {}
        self.writers: dict[Name, set[int]] = defaultdict(set)
        self.droppers: dict[Name, set[int]] = defaultdict(set)
        attached = {name for file in files for kind, name in file.all("makes") if kind == "database"}
        for file in files:
            file.name_within(attached)
        for index, file in enumerate(files):
            for statement, names in zip(file.statements, file.references, strict=True):
                self._index(index, statement, names)
        for index, file in enumerate(files):
            for offered in file.offers:
                self.makers.setdefault(offered, index)

    def _index(self, index: int, statement: Statement, names: References) -> None:
        for made in sorted(names.makes):
            other = self.makers.setdefault(made, index)
            if other != index and made[0] not in ("schema", "database"):
                kind, name = made
                first = self.files[other].name
                raise statement.error(f"{kind} {_shown(name)} is made by {first} too: only one file may make it")
        if isinstance(statement, CreateTask):
            self.tasks[statement.task.name.lower()] = statement
        self.macros |= {name: names for kind, name in names.makes if kind == "macro"}
        for written in names.writes:
            self.writers[written].add(index)
        for dropped in names.drops:
            self.droppers[dropped].add(index)

    # -- what is certain ----------------------------------------------------------------------------------------------

    def add_certain(self, index: int) -> None:
        file = self.files[index]
        own = file.all("makes") | file.all("writes") | file.all("drops")
        for statement, names in zip(file.statements, file.references, strict=True):
            is_macro = any(kind == "macro" for kind, _ in names.makes)
            for read in sorted(self._read(names) | names.writes) if not is_macro else ():
                self._add(index, self.makers.get(read), statement, read)
                for writer in self.writers[read] if read not in own else ():
                    self._add(index, writer, statement, read)
            for called in sorted(self._called(names)):
                self._add(index, self.makers.get(called), statement, called)
            for touched in sorted(names.reads | names.writes | names.makes):
                for dropper in self.droppers[touched] - {index}:
                    if dropper > self.makers.get(touched, -1):  # by name: a file that clears up goes last, else first
                        self._add(dropper, index, self.files[dropper].statements[0], touched)
                    else:
                        self._add(index, dropper, statement, touched)

    def _read(self, names: References) -> set[Name]:
        """What a statement reads, itself and through the macros it calls."""
        found, seen = set(names.reads), set[str]()
        calls = list(names.calls)
        while calls:
            call = calls.pop()
            if call in self.macros and call not in seen:
                seen.add(call)
                found |= self.macros[call].reads
                calls += self.macros[call].calls
        return found | {made for made in self.makers if made[0] == "file" and _reads_file(names.strings, made[1])}

    def _called(self, names: References) -> Iterator[Name]:
        """The tasks and macros of a statement, and the models that answer."""
        for function, models in names.calls.items():
            if ("macro", function) in self.makers:
                yield "macro", function
            stems = [function.removesuffix(suffix) for suffix in SUFFIXES if function.endswith(suffix)]
            for stem in stems:
                if ("task", stem) in self.makers:
                    yield "task", stem
                    task = self.tasks[stem].task if stem in self.tasks else None
                    if task is not None and models == {None}:
                        yield "model", (task.model or task.kind).lower()
                    break
            yield from (("model", model) for model in models if model)

    # -- what is likely -----------------------------------------------------------------------------------------------

    def add_likely(self, index: int) -> None:
        """Types by the mere word, tables behind a macro, models of the library's tasks: where no circle comes of it."""
        file = self.files[index]
        wishes: set[Name] = set()
        for names in file.references:
            wishes |= {made for made in self.makers if made[0] == "type" and made[1] in names.words | names.strings}
            wishes |= self._read(names)
            if names.calls and not file.defines_only:
                wishes |= {made for made in self.makers if made[0] == "model"}
        for wish in sorted(wishes):
            maker = self.makers.get(wish)
            if maker is not None and maker != index and not self._leads(maker, index):
                self.after[index].add(maker)

    # -- pieces -------------------------------------------------------------------------------------------------------

    def _add(self, index: int, before: int | None, statement: Statement, name: Name) -> None:
        if before is not None and before != index:
            self.after[index].add(before)
            self.why.setdefault((index, before), (statement, name))

    def _leads(self, start: int, end: int) -> bool:
        """Whether `start` needs `end`, if through others."""
        seen, todo = {start}, [start]
        while todo:
            for other in self.after[todo.pop()] - seen:
                seen.add(other)
                todo.append(other)
        return end in seen

    def circle(self) -> list[int]:
        """A shortest circle of files, each needing the next; empty where there is none."""
        best: list[int] = []
        for start in self.after:
            came: dict[int, int] = {}
            todo = [start]
            for index in todo:
                for other in sorted(self.after[index]):
                    if other == start:
                        path = [index]
                        while path[-1] != start:
                            path.append(came[path[-1]])
                        best = path[::-1] if not best or len(path) < len(best) else best
                    elif other not in came:
                        came[other] = index
                        todo.append(other)
        return best

    def circular(self, circle: list[int]) -> Exception:
        steps = []
        for index, other in zip(circle, [*circle[1:], circle[0]], strict=True):
            kind, name = self.why[index, other][1]
            steps.append(f"{self.files[index].name} needs {kind} {_shown(name)} of {self.files[other].name}")
        statement = self.why[circle[0], circle[1] if len(circle) > 1 else circle[0]][0]
        return statement.error(f"these files need each other: {', and '.join(steps)}; put them into one file")


def _shown(name: str) -> str:
    return repr(name.removeprefix("main."))


def _reads_file(strings: set[str], made: str) -> bool:
    wanted = os.path.normpath(made)
    paths = [os.path.normpath(text) for text in strings if "." in text or "/" in text]
    return any(fnmatch.fnmatch(wanted, path) or path.startswith(wanted + os.sep) for path in paths)
