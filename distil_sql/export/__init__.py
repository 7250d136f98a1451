"""Tables on their way out: training-set formats, files, Argilla records, dataset folders and the Hub.

`rows_of(con, "labelled", Shape("dpo"))` gives the query, `write_file(con, rows, "pairs.jsonl")` the file.
"""

from __future__ import annotations

from distil_sql.export.files import write_file
from distil_sql.export.formats import FORMATS, Rows, Shape, rows_of
from distil_sql.export.splits import parts_of

__all__ = ["FORMATS", "Rows", "Shape", "parts_of", "rows_of", "write_file"]
