"""What several test files need."""

from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from rnnbench.probes.finding import built_in
from rnnbench.records.schemas import SCHEMAS, make_table, table_schema


def table_of(name: str, columns: Mapping[str, Any]) -> pa.Table:
    """A record table from its columns: arrays or lists, or a scalar for all rows."""
    probed = {name: table_schema(own) for probe in built_in().values() for name, own in probe.tables.items()}
    return make_table((SCHEMAS | probed)[name], [columns])


def tables_of(columns: Mapping[str, Mapping[str, Any]]) -> dict[str, pa.Table]:
    """Record tables by their names."""
    return {name: table_of(name, own) for name, own in columns.items()}
