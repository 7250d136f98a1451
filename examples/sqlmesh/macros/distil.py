"""The tasks of distil-sql as functions on SQLMesh's own connection: `before_all: ["@distil('tasks.sql')"]`."""

from pathlib import Path

from sqlmesh import macro

import distil_sql


@macro()
def distil(evaluator, script=None):
    """Register the tasks, and run a script of CREATE MODEL and CREATE … TASK statements beside config.yaml."""
    if evaluator.runtime_stage == "before_all":
        con = distil_sql.register(evaluator.engine_adapter.connection)
        if script is not None:
            distil_sql.run(Path(script.name), con)
