"""Runs cells in a persistent namespace and measures tables: one JSON object a line in, one out."""

import contextlib
import csv
import io
import json
import os
import sys
import traceback
import warnings

import numpy as np
import pandas as pd

warnings.filterwarnings("ignore")
OUTPUT_BYTES = 10_000


def run(code, namespace):
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        try:
            exec(compile(code, "cell", "exec"), namespace)
        except BaseException:
            lines = traceback.format_exc().splitlines()
            print("\n".join(lines[:1] + lines[3:]))
    data = out.getvalue().encode()
    if len(data) > OUTPUT_BYTES:
        half = OUTPUT_BYTES // 2
        data = data[:half] + b"\n[...]\n" + data[-half:]
    return data.decode("utf-8", "replace")


def read(path):
    raw = open(path, "rb").read()
    for encoding in ["utf-8", "cp1252", "latin-1"]:
        try:
            head = raw.decode(encoding).split("\n", 1)[0]
            break
        except UnicodeDecodeError:
            continue
    if raw.startswith(b"\xef\xbb\xbf"):
        encoding = "utf-8-sig"
    separator = max([",", ";", "\t", "|"], key=head.count)
    return encoding, separator, pd.read_csv(path, encoding=encoding, sep=separator)


def summary(folder, path):
    encoding, separator, table = read(os.path.join(folder, "data", path))
    columns = []
    for name in table.columns:
        column = table[name]
        present = column.dropna()
        facts = {"name": str(name), "missing": int(column.isna().sum()), "distinct": min(1000, int(present.nunique())),
                 "examples": [str(v) for v in present.unique()[:5]]}
        if present.empty:
            facts["kind"] = "empty"
        elif pd.api.types.is_bool_dtype(column):
            facts["kind"] = "boolean"
        elif pd.api.types.is_numeric_dtype(column):
            facts["kind"] = "integer" if (present % 1 == 0).all() else "number"
            facts["min"], facts["max"] = str(present.min()), str(present.max())
        else:
            parsed = pd.to_datetime(present.astype(str).head(200), errors="coerce")
            facts["kind"] = "date" if parsed.notna().all() else "text"
        columns.append(facts)
    return {"path": path, "encoding": encoding, "separator": separator, "rows": len(table), "columns": columns}


def main():
    namespace = {}
    answers = sys.stdout
    for line in sys.stdin:
        request = json.loads(line)
        if request["op"] == "open":
            os.chdir(request["folder"])
            namespace = {"__name__": "__main__"}
            reply = {}
        elif request["op"] == "tables":
            files = sorted(f for f in os.listdir(os.path.join(request["folder"], "data")) if f.endswith((".csv", ".tsv")))
            reply = {"tables": [summary(request["folder"], path) for path in files]}
        else:
            reply = {"output": run(request["code"], namespace)}
        answers.write(json.dumps(reply) + "\n")
        answers.flush()


main()
