"""`distil-sql dbt`: a dbt project's packages.yml, which names the package that ships with distil-sql."""

from __future__ import annotations

import json

import click


@click.command("dbt")
def command() -> None:
    """Print a packages.yml with the dbt package of this installation: the `distil` materialization, tests of labels.

    In a dbt project: distil-sql dbt > packages.yml && dbt deps. The tasks come from the plugin, in profiles.yml:
    plugins: [{module: distil_sql.dbt, config: {files: tasks/*.sql}}].
    """
    from distil_sql.dbt import PACKAGE

    click.echo(f"packages:\n  - local: {json.dumps(str(PACKAGE))}")
