"""The weights in this process's memory: loaded when first needed, shared by the models of one file, freed in turns.

A model that needs memory others hold waits until one of them has nothing to do; that one then frees its own, and loads
again with its next call. How much there is: `models.max_model_memory`, else what the machine has.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from distil_sql import models
from distil_sql.errors import DistilError
from distil_sql.models.base import CLOSED, CallError
from distil_sql.models.llama_cpp.files import fingerprint, local_files, read_model
from distil_sql.models.llama_cpp.files import size as size_of
from distil_sql.models.llama_cpp.header import Value
from distil_sql.models.llama_cpp.machine import Pages, available_bytes
from distil_sql.models.llama_cpp.options import LlamaOptions, check_header
from distil_sql.models.llama_cpp.probe import probe

if TYPE_CHECKING:
    from distil_sql.models.llama_cpp.api import Weights

_TICK_S = 1.0

_FORGET_EVERY = 0.05
"""Of a file that is read: after so much, what was read is let go of."""


class User(Protocol):
    """A model that holds weights."""

    closing: bool
    away: bool
    """Downloading: nothing is lost where nobody waits for that."""

    @property
    def context_bytes(self) -> int:
        """What it takes beside the weights."""
        ...

    def wanted(self) -> None:
        """Somebody waits for memory: give it back when there is nothing to do. Called from another thread."""
        ...


@dataclass(eq=False)
class Copy:
    """One file's weights in memory."""

    weights: Weights
    head: Mapping[str, Value]
    size: int
    users: set[User] = field(default_factory=set)


_Key = tuple[str, str, int, bool]


class Shelf:
    """All copies of one process. Thread-safe."""

    def __init__(self) -> None:
        self._changed = threading.Condition()  # on a lock that its holder may take again
        self._copies: dict[_Key, Copy] = {}
        self._loading: dict[_Key, tuple[int, User]] = {}
        self._waiting = 0

    @property
    def crowded(self) -> bool:
        """Whether a model waits for memory."""
        return self._waiting > 0

    def take(self, options: LlamaOptions, user: User, need: int = 0) -> Copy:
        """The weights of a model, loaded if nobody has; waits for memory, for `need` bytes beside them as well.

        Raises `CallError`.
        """
        try:
            user.away = True
            paths = local_files(options, download=True)
            user.away = False
            assert paths is not None
            path, head, content = paths[0], read_model(paths), fingerprint(paths)
            check_header(path, head, options, chat=False)
            bytes_of_it = size_of(paths)
        except (DistilError, OSError) as error:
            user.away = False
            raise CallError("invalid_request", str(error), fatal=True) from error
        key = (os.path.realpath(path), content, options.gpu_layers, options.mmap)
        if not self._reserve(key, path, bytes_of_it, need, user, options):
            try:
                if options.path != "tiny":
                    probe(path, content, bytes_of_it, lambda: not user.closing)
                copy = self._load(paths, head, bytes_of_it, options, user)
            except DistilError as error:
                self._loaded(key, None, user)
                raise CallError("invalid_request", str(error), fatal=True) from error
            except BaseException:
                self._loaded(key, None, user)
                raise
            self._loaded(key, copy, user)
        return self._copies[key]

    def _reserve(self, key: _Key, path: str, size: int, need: int, user: User, options: LlamaOptions) -> bool:
        """Wait for memory. Whether the weights are there, and now used; else they are to be loaded."""
        with self._changed:
            self._waiting += 1
            try:
                while True:
                    if not any(other[0] == key[0] for other in self._loading):
                        more = 0 if key in self._copies else size
                        others = [other for copy in self._copies.values() for other in copy.users]
                        lacking = self._lacking(path, more, need if others else 0, options)
                        if not lacking:
                            break
                        if not others and not self._loading:
                            raise CallError("invalid_request", lacking, fatal=True)
                        for other in others:
                            other.wanted()
                    self._changed.wait(_TICK_S)
                    if user.closing:
                        raise CallError("server", CLOSED)
            finally:
                self._waiting -= 1
            if key in self._copies:
                self._copies[key].users.add(user)
                return True
            self._loading[key] = size, user
            return False

    def _loaded(self, key: _Key, copy: Copy | None, user: User) -> None:
        with self._changed:
            del self._loading[key]
            if copy is not None:
                copy.users.add(user)
                self._copies[key] = copy
            self._changed.notify_all()

    def bury(self, user: User) -> None:
        """A user will never come back: its weights are left where they are, and nobody waits for them."""
        with self._changed:
            self._taken_from(user)
            self._loading = {key: (size, by) for key, (size, by) in self._loading.items() if by is not user}
            self._changed.notify_all()

    def give_back(self, user: User) -> None:
        """A user is done, for now; weights that nobody uses are freed."""
        with self._changed:
            for copy in self._taken_from(user):
                copy.weights.close()
            self._changed.notify_all()

    def _taken_from(self, user: User) -> list[Copy]:
        """Take all copies from a user; gives those that nobody uses any more. The lock is held."""
        for copy in self._copies.values():
            copy.users.discard(user)
        unused = {key: copy for key, copy in self._copies.items() if not copy.users}
        for key in unused:
            del self._copies[key]
        return list(unused.values())

    def room(self, user: User) -> int | None:
        """Bytes that a user's context may take of the memory allowed; None: as much as there is."""
        allowed = models.max_model_memory
        if allowed is None:
            return None
        with self._changed:
            copies = list(self._copies.values())
            users = {other for copy in copies for other in copy.users if other is not user}
        return max(0, allowed - sum(copy.size for copy in copies) - sum(other.context_bytes for other in users))

    def shared(self, user: User) -> bool:
        """Whether others hold memory."""
        with self._changed:
            return any(other is not user for copy in self._copies.values() for other in copy.users)

    def _lacking(self, path: str, size: int, need: int, options: LlamaOptions) -> str:
        """Why there is no memory for a file of this size and `need` more; "" where there is."""
        allowed, free = models.max_model_memory, available_bytes()
        if allowed is not None:
            copies = self._copies.values()
            free_here = allowed - sum(copy.size + sum(user.context_bytes for user in copy.users) for copy in copies)
            free_here -= sum(size for size, _ in self._loading.values())
            if size + need > free_here:
                return f"the model file {path} has {_said(size)}, and models may take {_said(allowed)} together"
        if options.gpu_layers == 0 and free is not None and size > free:
            return f"the model file {path} has {_said(size)}, and {_said(free)} of memory are free"
        return ""

    def _load(
        self, paths: Sequence[str], head: Mapping[str, Value], size: int, options: LlamaOptions, user: User
    ) -> Copy:
        from distil_sql.models.llama_cpp import api

        path, pages = paths[0], Pages(paths)

        forgotten = -_FORGET_EVERY

        def go_on(share: float) -> bool:
            nonlocal forgotten
            if options.mmap and (share == 1 or share >= forgotten + _FORGET_EVERY):
                pages.forget()
                forgotten = share
            return not user.closing

        try:
            weights = api.Weights(path, gpu_layers=options.gpu_layers, mmap=options.mmap, go_on=go_on)
            go_on(1)
            return Copy(weights, head, size)
        except api.LlamaError as error:
            if user.closing:
                raise CallError("server", CLOSED) from error
            kind = head.get("general.architecture")
            raise CallError("invalid_request", f"the model file {path} ({kind}): {error}", fatal=True) from error


def _said(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"


SHELF = Shelf()
