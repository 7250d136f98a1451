"""`distil_vector(response)`: the FLOAT[] of a vector as `models.embedding` packs it, NULL of anything else."""

from __future__ import annotations

import base64

import numpy as np
import numpy.typing as npt
import pyarrow as pa


def read_vectors(responses: pa.ChunkedArray) -> pa.Array:
    """A column of vectors."""
    return pa.array([_vector(response) for response in responses.to_pylist()], pa.list_(pa.float32()))


def _vector(response: str | None) -> npt.NDArray[np.float32] | None:
    if not response:
        return None
    try:
        return np.frombuffer(base64.b64decode(response, validate=True), "<f4")
    except ValueError:
        return None
