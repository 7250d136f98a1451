"""How runs, statements and durations read in words: a line of text each, for terminals and notebooks alike."""

from __future__ import annotations

from distil_sql.status import Line, now

_BAR = 20


def ended(line: Line, of: int) -> str:
    """A finished statement, in one line."""
    mark = {"done": "✓", "skipped": "·", "failed": "✗", "interrupted": "■"}[line.state]
    parts = [f"{mark} {line.statement_no}/{of} {label(line)}"]
    if line.state == "skipped":
        parts.append("done before")
    elif line.tally.total or line.tally.hits:
        parts.append(counts(line))
    if line.state == "done" and line.started_at and line.finished_at:
        parts.append(span((line.finished_at - line.started_at).total_seconds()))
    if line.note and line.state == "done":
        parts.append(line.note)
    return "  ".join(parts)


def running(line: Line, of: int) -> str:
    """The running statement, in one line."""
    head = f"{line.statement_no}/{of} {label(line)}"
    return f"{head} {bar(line)}" if line.tally.total else f"{head}  …"


def bar(line: Line) -> str:
    """How far the calls of a statement are: bar, calls, tokens, cost, errors, time left."""
    tally = line.tally
    share = tally.done / tally.total
    drawn = "█" * int(share * _BAR) + "░" * (_BAR - int(share * _BAR))
    seconds = (now() - line.started_at).total_seconds() if line.started_at else 0.0
    left = seconds * (tally.total - tally.done) / tally.done if tally.done else None
    eta = f"  {span(left)} left" if left is not None else ""
    return f"{drawn} {share:4.0%}  {counts(line)}{eta}"


def counts(line: Line) -> str:
    """Calls, hits, tokens, cost and errors of a statement."""
    tally = line.tally
    parts = [f"{tally.rows:,} rows"] if tally.rows else []
    parts.append(f"{tally.done:,}/{tally.total:,} calls" if tally.total else "0 calls")
    if tally.hits:
        parts.append(f"{tally.hits:,} from the ledger")
    if tally.total:
        parts.append(f"{tally.input_tokens + tally.output_tokens:,} tokens")
    if tally.priced:
        parts.append(f"${tally.cost:,.4f}")
    if tally.failed:
        parts.append(f"{tally.failed:,} failed")
    return ", ".join(parts)


def label(line: Line) -> str:
    """What a statement is about: its verb and target."""
    verb = line.statement.split(None, 1)[0].upper() if line.statement.strip() else ""
    return f"{verb} {line.target}" if line.target else verb


def span(seconds: float) -> str:
    """A duration as people say it."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = int(seconds // 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"
