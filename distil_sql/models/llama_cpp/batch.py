"""Continuous batching: many rows in one context, joining when a slot is free and leaving when their answer is done.

`submit(row)`, then `step()` while `busy`; all in one thread. A slot keeps its tokens after its row has left, so that
the next row with the same beginning (a system text, another sample of a prompt) computes only the rest.

With weights of q8_0 or q4_0, or unquantised ones, the bits of a row's answer on a CPU do not depend on its neighbours
(`plan` says how), as long as flash attention is off: it computes single tokens otherwise than several, and on CPUs is
slower besides.
"""

from __future__ import annotations

from collections.abc import Sequence

from distil_sql.models.base import CLOSED, CallError
from distil_sql.models.llama_cpp.api import Context, LlamaError, Weights
from distil_sql.models.llama_cpp.options import KV_CACHES, UNQUANTISED, LlamaOptions
from distil_sql.models.llama_cpp.plan import FEWEST, Part, answers, prompts
from distil_sql.models.llama_cpp.room import Allowance, Room
from distil_sql.models.llama_cpp.rows import Row, Slot
from distil_sql.models.llama_cpp.threads import Threads
from distil_sql.models.llama_cpp.waiting import Waiting

WORTH_COPYING = 16
"""Shared tokens from which copying another slot's cells beats computing them again."""

PATIENCE = 8
"""Steps for which a gap among the running slots may last before it is closed: mostly a new row comes first."""


class Batch:
    """The rows of one model. `abort()` may be called from another thread; the running step then ends at once."""

    def __init__(self, weights: Weights, options: LlamaOptions, threads: int, allowance: Allowance) -> None:
        """`threads`: the most that a decode has."""
        self._weights, self._options = weights, options
        self.limit = min(options.context or weights.n_ctx_train, weights.n_ctx_train)
        flash = options.flash_attention
        self._flash = (options.gpu_layers != 0 or options.kv_cache not in UNQUANTISED) if flash is None else flash
        steady = self._flash and options.kv_cache in UNQUANTISED
        self._threads = Threads(threads, steady=steady)
        self._context: Context | None = None
        self._slots: list[Slot] = []
        self._waiting = Waiting()
        self._room = Room(weights, self.limit, self._flash, options.kv_cache, allowance)
        self._steps = self._gaps = 0
        self._aborted = False

    @property
    def busy(self) -> bool:
        return bool(self._waiting) or any(slot.row for slot in self._slots)

    @property
    def context_bytes(self) -> int:
        """About what the context takes."""
        context = self._context  # asked from another thread
        return self._room.taken(context.sequences, context.cells) if context else 0

    def submit(self, row: Row) -> None:
        """Queue a row; one whose prompt is too long ends here, one whose answer might be is cut to what fits."""
        if len(row.tokens) >= self.limit:
            row.error = CallError(
                "context_length", f"the prompt has {len(row.tokens)} tokens, and the model's context is {self.limit}"
            )
            row.end()
            return
        row.max_tokens = min(row.max_tokens, self.limit - len(row.tokens))
        row.begin(self._weights.piece)
        if row.finish:
            row.end()  # there is only one answer
            return
        self._waiting.add(row)

    def step(self) -> None:
        """Let rows in, read from their prompts, decode every running row's last token and choose its next.

        Raises `room.Crowded` where other models hold the memory; no row is running then, and all may be asked again.
        """
        self._steps += 1
        self._drop_cancelled()
        self._admit()
        self._share()
        self._close_gap()
        trimmable = self._weights.trimmable
        room = self._context.batch if self._context is not None else 0
        self._decode(prompts(self._slots, room, again=trimmable))
        self._decode(answers(self._slots, pad_holes=trimmable, pad_lone=trimmable and not self._weights.quantised))

    def abort(self) -> None:
        self._aborted = True
        if self._context is not None:
            self._context.abort()

    def close(self, failure: CallError | None = None) -> None:
        """Free the context; rows still here end with `failure`."""
        rows = [*(slot.row for slot in self._slots if slot.row), *self._waiting.clear()]
        self._slots = []
        for row in rows:
            row.error = failure or CallError("server", CLOSED)
            row.end()
        if self._context is not None:
            self._context.close()
            self._context = None

    # --- letting rows in

    def _drop_cancelled(self) -> None:
        for slot in self._slots:
            if slot.row and slot.row.cancelled:
                self._leave(slot)
        for row in self._waiting.drop_cancelled():
            row.end()

    def _admit(self) -> None:
        while self._waiting:
            row = self._waiting.peek()
            if self._context is None or row.need > self._context.cells:
                if any(slot.row for slot in self._slots):
                    return  # a larger context is made when the rows of this one are done
                try:
                    self._grow(row)
                except LlamaError as error:
                    self._waiting.pop()
                    row.error = CallError("context_length", f"{error} (the prompt has {len(row.tokens)} tokens)")
                    row.end()
                    continue
            idle = [slot for slot in self._slots if slot.row is None]
            if not idle:
                return
            self._place(self._waiting.pop(), idle)

    def _grow(self, row: Row) -> None:
        """Make a context for the longest row waiting, of as many sequences as memory allows."""
        if self._context is not None:
            self._context.close()
            self._context, self._slots = None, []
        wanted = max(2, self._options.concurrency)  # two, so that no token is decoded alone while there is memory
        sequences, cells = self._room.shape(wanted, row.need, max(other.need for other in self._waiting))
        while self._context is None:
            try:
                self._context = self._weights.context(
                    sequences=sequences,
                    cells=cells,
                    flash_attention=self._flash,
                    kv_cache=KV_CACHES[self._options.kv_cache],
                )
            except LlamaError:  # there is less memory than there seemed to be
                if sequences <= 2:
                    raise
                sequences //= 2
        self._slots = [Slot(sequence) for sequence in range(sequences)]
        if self._aborted:
            self._context.abort()

    def _place(self, row: Row, idle: Sequence[Slot]) -> None:
        """Give a row the idle slot that knows most of its prompt, or one that will copy a busy slot that knows more.

        Of slots that know as much the one that was used least lately; at the end, when no other rows wait, the first.
        """
        prompt, last = _reusable(row), not self._waiting
        slot = max(idle, key=lambda slot: (slot.knows(prompt), 0 if last else -slot.left, -slot.sequence))
        known = slot.knows(prompt)
        donor = max((s for s in self._slots if s.row), key=lambda s: s.will_know(prompt), default=None)
        slot.row = row
        if donor and donor.row and self._weights.trimmable and donor.will_know(prompt) >= known + WORTH_COPYING:
            slot.waits_for = (donor, donor.row)
        else:
            self._begin(slot, known)

    def _share(self) -> None:
        """Copy the beginnings that slots have been waiting for."""
        for slot in self._slots:
            if slot.waits_for is None or slot.row is None or self._context is None:
                continue
            (donor, row), prompt = slot.waits_for, _reusable(slot.row)
            here, there = slot.knows(prompt), donor.knows(prompt)
            if donor.row is row and there < donor.will_know(prompt):
                continue  # still reading
            slot.waits_for = None
            if there >= here + WORTH_COPYING:
                self._context.copy(donor.sequence, slot.sequence)
                slot.cells, here = list(donor.cells), there
            self._begin(slot, here)

    def _begin(self, slot: Slot, known: int) -> None:
        """Keep the first `known` tokens of a slot's cells, where this kind of model can keep a part."""
        if slot.row is None or self._context is None:
            return
        if not (known and self._weights.trimmable and self._context.trim(slot.sequence, known)):
            self._context.trim(slot.sequence, 0)
            known = 0
        del slot.cells[known:]
        slot.prompt = slot.row.cached = known

    def _close_gap(self) -> None:
        """When rows run out: move the last running row to the first idle slot, so that neighbours decode together."""
        running = [slot for slot in self._slots if slot.row]
        gap = next((slot for slot in self._slots if slot.row is None), None)
        if self._waiting or not running or gap is None or gap.sequence > running[-1].sequence:
            self._gaps = 0
            return
        self._gaps += 1
        last, context = running[-1], self._context
        needed = any(slot.waits_for and last in (slot, slot.waits_for[0]) for slot in running)
        if self._gaps >= PATIENCE and context is not None and self._weights.trimmable and not needed:
            context.copy(last.sequence, gap.sequence)
            gap.cells, gap.prompt, gap.row, last.row = list(last.cells), last.prompt, last.row, None

    # --- decoding

    def _decode(self, parts: Sequence[Part]) -> None:
        context = self._context
        if not parts or context is None or self._aborted:
            return
        for part in parts:
            if part.padding and len(part.slot.cells) == context.cells:
                part.slot.cells.pop()  # a full slot makes room, for the price of one token if it is reused
                context.trim(part.slot.sequence, len(part.slot.cells))
            if part.again:
                del part.slot.cells[-part.again :]
                context.trim(part.slot.sequence, len(part.slot.cells))
        exact = self._weights.quantised  # of other weights, one row of logits is computed otherwise than several
        what = [(p.slot.sequence, len(p.slot.cells), p.tokens, p.output or (p.padding and not exact)) for p in parts]
        size, outputs = sum(len(part.tokens) for part in parts), 1 if exact else 2
        code = self._threads.run(size, lambda threads: context.decode(what, outputs=outputs, threads=threads))
        if code:
            if not self._aborted:
                self._spoil(context, parts, code)
            return
        last = -1
        for part in parts:
            slot, last = part.slot, last + len(part.tokens)
            if part.padding:
                context.trim(slot.sequence, len(slot.cells))
                continue
            slot.cells.extend(part.tokens)
            slot.prompt = min(len(slot.cells), slot.row.start) if slot.row else 0
            if part.output:
                self._choose(slot, context, last)

    def _choose(self, slot: Slot, context: Context, index: int) -> None:
        """What a row makes of the logits at `index` of the last decode."""
        row = slot.row
        assert row is not None
        try:
            row.choose(context.logits(index), self._weights.end_tokens, self._weights.piece)
        except LlamaError as error:
            row.error = CallError("invalid_request", str(error))
        except Exception as error:  # a fault of ours must not take the other rows along
            row.error = CallError("invalid_request", f"the answer cannot be written (please report this): {error!r}")
        if row.finish or row.error:
            self._leave(slot)
        elif len(slot.cells) > row.start and row.reading is not None:
            del slot.cells[row.start :]  # another branch is read from where the first was
            context.trim(slot.sequence, row.start)

    def _leave(self, slot: Slot) -> None:
        row, slot.row, slot.waits_for, slot.left = slot.row, None, None, self._steps
        if row is not None:
            row.end()

    def _spoil(self, context: Context, parts: Sequence[Part], code: int) -> None:
        """A decode failed: its rows end with an error, and nothing of their cells is believed."""
        for part in parts:
            context.trim(part.slot.sequence, 0)
            part.slot.cells, part.slot.prompt = [], 0
            if part.slot.row is not None:
                part.slot.row.error = CallError("server", f"llama.cpp could not decode a batch (code {code})")
                self._leave(part.slot)


def _reusable(row: Row) -> Sequence[int]:
    """What of a prompt need not be computed: all but the tokens that a last decode must have, to give the answer."""
    return row.tokens[:-FEWEST]
