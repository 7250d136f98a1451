"""What a server's headers say of its limits: how long to wait, and what it allows a minute.

Retry-After is RFC 9110 section 10.2.3; the x-ratelimit headers are OpenAI's, which many servers send.
"""

from __future__ import annotations

import email.utils
import re
import time
from collections.abc import Mapping

from distil_sql.models.base import Told

_A_MINUTE_AT_MOST = 90.0  # seconds


def told_in(headers: Mapping[str, str]) -> Told | None:
    """A minute's requests and tokens, from what is used of a limit and how long it takes to fill up again."""

    def a_minute(what: str) -> float | None:
        limit = headers.get(f"x-ratelimit-limit-{what}")
        if limit is None:
            return None
        try:
            used = float(limit) - float(headers.get(f"x-ratelimit-remaining-{what}", "0"))
            seconds = _duration(headers.get(f"x-ratelimit-reset-{what}", ""))
            if seconds is None:
                return float(limit)
            if used <= 0 or not seconds or float(limit) / used * seconds > _A_MINUTE_AT_MOST:
                return None  # nothing is used yet; or the limit is a day's, which says little of a minute
            return used / seconds * 60
        except ValueError:
            return None

    told = Told(a_minute("requests"), a_minute("tokens"))
    return told if any(limit is not None for limit in told) else None


def _duration(text: str) -> float | None:
    """Seconds in a duration such as `6m0s`, `1.2s`, `120ms`; None for anything else."""
    units = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
    parts = re.findall(r"([\d.]+)(ms|h|m|s)", text)
    return sum(float(number) * units[unit] for number, unit in parts) if parts else None


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait, from Retry-After (seconds or a date, RFC 9110 section 10.2.3) or its millisecond form."""
    try:
        if "retry-after-ms" in headers:
            return max(0.0, float(headers["retry-after-ms"]) / 1000)
        value = headers.get("retry-after")
        if value is None:
            return None
        try:
            return max(0.0, float(value))
        except ValueError:
            moment = email.utils.parsedate_to_datetime(value)
            return max(0.0, moment.timestamp() - time.time())
    except (ValueError, TypeError):
        return None
