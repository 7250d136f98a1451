"""What `t_details` shows of a call: the fields of its STRUCT, and one of them filled in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from distil_sql.task import Task
from distil_sql.udf.reading import Reader

_DETAIL_FIELDS: tuple[tuple[str, str], ...] = (
    ("call_id", "UUID"),
    ("response", "VARCHAR"),
    ("readable", "VARCHAR"),
    ("prompt", "VARCHAR"),
    ("model", "VARCHAR"),
    ("status", "VARCHAR"),
    ("error_kind", "VARCHAR"),
    ("error", "VARCHAR"),
    ("finish_reason", "VARCHAR"),
    ("input_tokens", "BIGINT"),
    ("output_tokens", "BIGINT"),
    ("cached_tokens", "BIGINT"),
    ("cost", "DOUBLE"),
    ("scores", "VARCHAR"),
    ("reasoning_tokens", "BIGINT"),
)
_ARROW = {"BIGINT": pa.int64(), "DOUBLE": pa.float64()}
DETAIL = pa.struct([(field, _ARROW.get(kind, pa.string())) for field, kind in _DETAIL_FIELDS])
DETAIL_SQL = "STRUCT(" + ", ".join(f"{f} {'VARCHAR' if k == 'UUID' else k}" for f, k in _DETAIL_FIELDS) + ")[]"


def shown(task: Task, reader: Reader, found: tuple[Any, ...], values: Mapping[str, Any]) -> dict[str, Any]:
    """A call as the ledger holds it (`found` as `Ledger.details` gives it)."""
    (
        call_id,
        response,
        status,
        error_kind,
        _,
        error,
        finish,
        model,
        messages,
        tokens_in,
        tokens_out,
        cached,
        cost,
        scores,
        reasoning,
    ) = found
    return {
        "call_id": call_id,
        "response": response,
        "readable": reader(response, values) if response is not None and task.usable(status, error_kind) else None,
        "prompt": messages,
        "model": model,
        "status": status,
        "error_kind": error_kind,
        "error": error,
        "finish_reason": finish,
        "input_tokens": tokens_in,
        "output_tokens": tokens_out,
        "cached_tokens": cached,
        "cost": cost,
        "scores": scores,
        "reasoning_tokens": reasoning,
    }


def unasked(reason: str) -> dict[str, Any]:
    """A row for which no call could be made."""
    return {"error": reason, "error_kind": "invalid_request"}
