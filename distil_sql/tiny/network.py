"""The network in torch and its training loop; imported by train.py only when it runs. Needs ``distil-sql[train]``.

A llama: RMS norm, rotary positions, grouped-query attention, gated SiLU, tied embeddings. Weights are float32, what is
computed between them bfloat16.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .chat import render
from .corpus import chats
from .gguf_file import Shape
from .tokenizer import Vocab

SCORE_WEIGHT = 5.0  # of the one token that is the judge's score
PROMPT_SHARE, PROMPT_WEIGHT = 0.08, 0.3  # of the prompt's tokens, how many are predicted too, and how much they count
Batch = tuple[Tensor, Tensor]  # token ids and the weight of predicting each, both (rows, length)


class Block(nn.Module):  # type: ignore[misc]
    def __init__(self, s: Shape) -> None:
        super().__init__()
        self.s, kv = s, s.kv_heads * s.head_width
        self.attn_norm, self.ffn_norm = nn.Parameter(torch.ones(s.width)), nn.Parameter(torch.ones(s.width))
        self.qkv = nn.ParameterList([torch.empty(n, s.width) for n in (s.width, kv, kv)])
        self.out = nn.Parameter(torch.empty(s.width, s.width))
        self.gate, self.up = nn.Parameter(torch.empty(s.hidden, s.width)), nn.Parameter(torch.empty(s.hidden, s.width))
        self.down = nn.Parameter(torch.empty(s.width, s.hidden))

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        s, (rows, length, _) = self.s, x.shape
        h = F.rms_norm(x, (s.width,), self.attn_norm.to(x.dtype), s.epsilon)
        q, k, v = (F.linear(h, w.to(x.dtype)).view(rows, length, -1, s.head_width).transpose(1, 2) for w in self.qkv)
        y = _attention(_rotate(q, cos, sin), _rotate(k, cos, sin), v)
        x = x + F.linear(y.transpose(1, 2).reshape(rows, length, s.width), self.out.to(x.dtype))
        h = F.rms_norm(x, (s.width,), self.ffn_norm.to(x.dtype), s.epsilon)
        return x + F.linear(
            F.silu(F.linear(h, self.gate.to(x.dtype))) * F.linear(h, self.up.to(x.dtype)), self.down.to(x.dtype)
        )


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary positions on halves of the head; ``Network.export`` makes them the pairs that llama.cpp rotates."""
    a, b = x.chunk(2, -1)
    n = x.shape[-2]
    return torch.cat((a * cos[:n] - b * sin[:n], a * sin[:n] + b * cos[:n]), -1)


def _attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Causal grouped-query attention, written out: on rows this short torch's fused kernel is far slower backwards."""
    rows, heads, length, wide = q.shape
    group = heads // k.shape[1]
    q, k, v = (t.reshape(rows * k.shape[1], -1, wide) for t in (q, k, v))
    mask = torch.full((length, length), float("-inf"), dtype=q.dtype).triu(1).repeat(group, 1)
    return (torch.baddbmm(mask, q, k.transpose(1, 2), alpha=wide**-0.5).softmax(-1) @ v).view(rows, heads, length, wide)


class Network(nn.Module):  # type: ignore[misc]
    cos: Tensor
    sin: Tensor

    def __init__(self, vocab_size: int, s: Shape, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.s = s
        self.embedding = nn.Parameter(torch.empty(vocab_size, s.width))
        self.blocks = nn.ModuleList([Block(s) for _ in range(s.layers)])
        self.norm = nn.Parameter(torch.ones(s.width))
        for name, p in self.named_parameters():
            if p.ndim == 2:
                tail = name.endswith((".out", ".down"))
                nn.init.normal_(p, 0.0, 0.02 if p is self.embedding else p.shape[1] ** -0.5 * (0.3 if tail else 0.7))
        angle = torch.outer(torch.arange(512.0), s.rope_base ** (-torch.arange(0, s.head_width, 2) / s.head_width))
        self.register_buffer("cos", angle.cos().bfloat16())
        self.register_buffer("sin", angle.sin().bfloat16())

    def forward(self, ids: Tensor, keep: Tensor) -> Tensor:
        """Logits (kept positions, vocabulary) of ids (rows, length); keep is a mask of that shape."""
        x = F.embedding(ids, self.embedding).bfloat16()
        for block in self.blocks:
            x = block(x, self.cos, self.sin)
        x = F.rms_norm(x[keep], (self.s.width,), self.norm.bfloat16(), self.s.epsilon)
        return F.linear(x, self.embedding.bfloat16()).float()

    def named_weights(self) -> dict[str, Tensor]:
        """The weights under llama.cpp's names, as they are here."""
        out = {"token_embd.weight": self.embedding, "output_norm.weight": self.norm}
        for i, b in enumerate(self.blocks):
            named = {"attn_norm": b.attn_norm, "ffn_norm": b.ffn_norm, "attn_output": b.out}
            named |= zip(("attn_q", "attn_k", "attn_v"), b.qkv, strict=True)
            named |= {"ffn_gate": b.gate, "ffn_up": b.up, "ffn_down": b.down}
            out |= {f"blk.{i}.{n}.weight": w for n, w in named.items()}
        return out

    def export(self) -> dict[str, Tensor]:
        """The weights as llama.cpp wants them: what is rotated together lies in pairs, not in halves of the head."""
        half = self.s.head_width // 2

        def paired(name: str, w: Tensor) -> Tensor:
            rotated = name.endswith(("attn_q.weight", "attn_k.weight"))
            return w.view(-1, 2, half, self.s.width).transpose(1, 2).reshape(w.shape) if rotated else w

        return {n: paired(n, w.detach().float()) for n, w in self.named_weights().items()}

    def load(self, weights: Mapping[str, npt.NDArray[np.float32]]) -> None:
        """The reverse of ``export``."""
        half = self.s.head_width // 2
        with torch.no_grad():
            for n, w in self.named_weights().items():
                rotated = n.endswith(("attn_q.weight", "attn_k.weight"))
                given = torch.from_numpy(weights[n])
                w.copy_(given.view(-1, half, 2, self.s.width).transpose(1, 2).reshape(w.shape) if rotated else given)


def batches(vocab: Vocab, seed: int, tokens: int) -> Iterator[Batch]:
    """Endless batches of about ``tokens`` tokens, each of chats of one length, rounded up to 8.

    Few distinct shapes, since the matrix library compiles a kernel for each; so the number of predicted positions is
    round as well.
    """
    r, source = random.Random(seed), chats(random.Random(seed + 1))
    waiting: dict[int, list[tuple[list[int], int, int]]] = {}
    while True:
        c = next(source)
        prompt, answer = vocab.encode(render(c.system, c.user), special=True), [*vocab.encode(c.reply), vocab.end]
        length = -(-len(prompt + answer) // 8) * 8
        rows = waiting.setdefault(length, [])
        decides = answer.index(vocab.encode(str(c.score))[0]) if c.score else 0
        rows.append((prompt + answer, len(prompt), decides))
        if len(rows) * length < tokens:
            continue
        x, w = torch.zeros(len(rows), length, dtype=torch.long), torch.zeros(len(rows), length)
        asked = []
        for i, (ids, n, decides) in enumerate(rows):
            x[i, : len(ids)] = torch.tensor(ids)
            w[i, n : len(ids)] = 1.0
            w[i, n + decides] = SCORE_WEIGHT if decides else 1.0
            asked += [(i, j) for j in range(1, n)]
        enough = int(PROMPT_SHARE * len(asked))
        enough += -(int((w > 0).sum()) + enough) % 256
        for i, j in r.sample(asked, min(enough, len(asked))):
            w[i, j] = PROMPT_WEIGHT
        waiting[length] = []
        yield x, w


@dataclass(frozen=True)
class Plan:
    """How to train. ``rate`` is the highest learning rate, held for the share ``hold`` of the time and then lowered.

    ``tokens`` is the size of a batch, ``every`` the seconds from file to file.
    """

    seconds: float
    hold: float
    threads: int
    seed: int
    tokens: int
    rate: float
    compiled: bool
    every: float


def fit(net: Network, vocab: Vocab, plan: Plan, save: Callable[[Network], None]) -> None:
    """Train: Muon on the matrices, AdamW on the rest; the rate warms up, holds, falls to nothing."""
    torch.set_num_threads(plan.threads)
    if plan.compiled:
        for block in net.blocks:
            block.compile(dynamic=True)
    matrices = [p for n, p in net.named_parameters() if p.ndim == 2 and n != "embedding"]
    rest = [p for n, p in net.named_parameters() if p.ndim == 1 or n == "embedding"]
    optimizers: list[torch.optim.Optimizer] = [
        torch.optim.Muon(matrices, lr=plan.rate, weight_decay=0.02, momentum=0.95, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(rest, lr=plan.rate, betas=(0.9, 0.95), weight_decay=0.0, fused=True),
    ]
    began, saved, seen, step, smooth = time.monotonic(), 0.0, 0, 0, 0.0
    say(f"{sum(p.numel() for p in net.parameters())} parameters, {len(vocab)} tokens")
    for x, w in batches(vocab, plan.seed, plan.tokens):
        done = (time.monotonic() - began) / plan.seconds
        if done >= 1:
            break
        for o in optimizers:
            for group in o.param_groups:
                group["lr"] = plan.rate * min(1.0, (step + 1) / 60) * min(1.0, max(0.0, (1 - done) / (1 - plan.hold)))
        keep = w[:, 1:] > 0
        weight = w[:, 1:][keep]
        losses = F.cross_entropy(net(x[:, :-1], keep), x[:, 1:][keep], reduction="none")
        loss = (losses * weight).sum() / weight.sum()
        loss.backward()
        nn.utils.clip_grad_norm_(rest, 1.0)
        for o in optimizers:
            o.step()
            o.zero_grad()
        step, seen = step + 1, seen + int((x > 0).sum())
        answer = float(losses.detach()[weight >= 1].mean())
        smooth = answer if step == 1 else 0.98 * smooth + 0.02 * answer
        if step % 50 == 0:
            took = time.monotonic() - began
            say(f"step {step} {took:.0f} s, answer loss {smooth:.4f}, {seen / 1e6:.2f} M tokens, {seen / took:.0f}/s")
            if took - saved > plan.every:
                saved = took
                save(net)
    save(net)


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
