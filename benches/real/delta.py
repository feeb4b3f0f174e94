"""usage: delta.py DIRECTORY ROWS: writes a Delta table, merges rows into it, sorts its files."""

import shutil
import sys

import arro3.core as arrow
from deltalake import DeltaTable, write_deltalake

directory, rows = sys.argv[1], int(sys.argv[2])


def table(start):
    ids = range(start, start + rows)
    names = [f"name {i * 7919 % 100003}" for i in ids]
    columns = {"id": (ids, arrow.DataType.int64()), "name": (names, arrow.DataType.string())}
    return arrow.Table.from_pydict({k: arrow.Array(*column) for k, column in columns.items()})


shutil.rmtree(directory, ignore_errors=True)
for batch in range(4):
    write_deltalake(directory, table(batch * rows), mode="append")
delta = DeltaTable(directory)
merge = delta.merge(table(3 * rows + rows // 2), "t.id = s.id", source_alias="s", target_alias="t")
merge.when_matched_update_all().when_not_matched_insert_all().execute()
delta.optimize.z_order(["name"])
