import json
import warnings

import numpy as np
import pandas as pd

warnings.filterwarnings("ignore")
tables = {
__TABLES__
}


def short(value):
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, (float, np.floating)):
        return float(value)
    return str(value)


def numbers(column, facts):
    values = pd.to_numeric(column, errors="coerce").dropna().astype(float)
    distinct = values.nunique()
    key = column.is_unique and pd.api.types.is_integer_dtype(column) and column.is_monotonic_increasing
    if distinct < 10 or not np.isfinite(values).all() or key:
        return
    facts["num"] = [float("%.6g" % v) for v in [values.min(), *values.quantile([0.2, 0.4, 0.6, 0.8]), values.max()]]
    if distinct < 0.02 * len(values) or values.quantile(0.1) == values.quantile(0.9):
        facts["flat"] = 1


def dates(column, facts):
    text = column.dropna().astype(str)
    if not text.head(50).str.contains(r"\d[-/:.]\d|\d{4}", regex=True).mean() > 0.9 or text.str.len().max() > 40:
        return
    parsed = pd.to_datetime(column, errors="coerce")
    if parsed.dtype.kind != "M" or getattr(parsed.dtype, "tz", None) is not None or parsed.notna().sum() < 0.95 * len(text):
        return
    days = parsed.dropna().dt.normalize()
    facts["date"] = [int(days.nunique()), int(days.dt.to_period("M").nunique()), int(days.dt.year.nunique())]


def describe(column):
    present = column.dropna()
    facts = {"n": str(column.name), "u": int(present.nunique()), "m": int(column.isna().sum())}
    if len(present) == 0:
        return facts
    if pd.api.types.is_bool_dtype(column):
        pass
    elif pd.api.types.is_numeric_dtype(column):
        numbers(column, facts)
    else:
        share = pd.to_numeric(present, errors="coerce").notna().mean()
        if 0.9 <= share < 1:
            facts["mixed"] = 1
            numbers(column, facts)
        elif share < 0.5 and facts["u"] > 5:
            dates(column, facts)
        if share < 0.1 and facts["u"] > 5 and "date" not in facts:
            facts["text"] = 1
    if 2 <= facts["u"] <= 20 and facts["u"] < 0.5 * len(present) and "date" not in facts and "mixed" not in facts:
        if not (pd.api.types.is_float_dtype(column) and not (present % 1 == 0).all()):
            facts["cat"] = [[short(value), int(count)] for value, count in present.value_counts().head(5).items()]
    return facts


profile = {"tables": [], "keys": []}
for path, table in tables.items():
    print(path, table.shape)
    print(table.iloc[:3, :8].to_string(max_colwidth=20))
    missing = table.isna().sum().sort_values(ascending=False)
    print("missing:", missing[missing > 0].head(6).to_dict())
    print(table.describe().iloc[:, :5].round(3).to_string() if len(table.select_dtypes("number").columns) else "no numbers")
    profile["tables"].append({"path": path, "rows": len(table), "columns": [describe(table[name]) for name in table.columns[:60]]})

names = list(tables)
for left in names:
    for right in names:
        for key in tables[left].columns.intersection(tables[right].columns) if left != right else []:
            a, b = tables[left][key].dropna(), tables[right][key].dropna()
            if a.dtype == b.dtype and not pd.api.types.is_float_dtype(a) and b.nunique() >= 0.9 * len(b) and a.isin(b).mean() > 0.5:
                profile["keys"].append([left, right, str(key)])
profile["keys"] = profile["keys"][:6]

text = json.dumps(profile, separators=(",", ":"))
while len(text.encode()) > 5000 and any(len(t["columns"]) > 1 for t in profile["tables"]):
    max(profile["tables"], key=lambda t: len(t["columns"]))["columns"].pop()
    text = json.dumps(profile, separators=(",", ":"))
print("PROFILE " + text)
