"""Writes folders of small made-up tables with the oddities of real ones: names, encodings, separators, gaps, mixed types, dates."""

import os
import sys

import numpy as np
import pandas as pd

root = sys.argv[1]


def write(folder, name, table, **options):
    path = os.path.join(root, folder, "data")
    os.makedirs(path, exist_ok=True)
    table.to_csv(os.path.join(path, name), index=False, **options)


def odd(seed, rows):
    rng = np.random.default_rng(seed)
    days = pd.Timestamp("2019-03-01") + pd.to_timedelta(rng.integers(0, 1400, rows), unit="D")
    area = rng.gamma(3, 40, rows).round(1) + 5
    table = pd.DataFrame({
        " m/z": (rng.normal(300, 80, rows)).round(3),
        "#photo": rng.integers(1, 400, rows),
        "Floor Area (m²)": area,
        "it's \"big\"": rng.normal(0, 3, rows).round(2),
        "Größe": np.where(rng.random(rows) < 0.15, np.nan, rng.normal(170, 9, rows).round(1)),
        "price": (area * 21.5 + rng.normal(0, 300, rows) + 900).round(2).clip(10),
        "region": rng.choice(["north", "south", "east", "São Paulo"], rows, p=[0.4, 0.3, 0.2, 0.1]),
        "class": rng.choice([1, 2, 3], rows, p=[0.2, 0.5, 0.3]),
        "sold": rng.random(rows) < 0.4,
        "sold on": days.strftime("%Y-%m-%d"),
        "kind of house": pd.Series(rng.choice(["flat", "detached", "terraced", "farm", "loft"], rows)).where(rng.random(rows) > 0.1),
        "note": ["note %d %s" % (i, "x" * int(k)) for i, k in enumerate(rng.integers(0, 30, rows))],
        "score": pd.Series(rng.integers(0, 1000, rows)).astype(str).where(rng.random(rows) > 0.04, "n.a. (see note)"),
    })
    return table


write("odd", "houses & homes.csv", odd(1, 800), encoding="cp1252")
write("semicolon", "houses.csv", odd(2, 150), sep=";")
write("tabs", "houses.tsv", odd(3, 3000), sep="\t")

rng = np.random.default_rng(5)
customers = pd.DataFrame({
    "customer": ["c%03d" % i for i in range(120)],
    "segment": rng.choice(["private", "business", "public"], 120),
    "age of account": rng.integers(1, 200, 120),
})
orders = pd.DataFrame({
    "order date": (pd.Timestamp("2020-01-01") + pd.to_timedelta(np.sort(rng.integers(0, 900, 1500)), unit="h")).strftime("%Y-%m-%d %H:%M:%S"),
    "customer": ["c%03d" % i for i in rng.integers(0, 130, 1500)],
    "amount": rng.gamma(2, 50, 1500).round(2) + 0.5,
    "channel": rng.choice(["web", "shop"], 1500),
})
write("shop", "orders.csv", orders)
write("shop", "customers.csv", customers)


def split(folder, table, target, test_rows):
    """The last rows become the test file, without their target; `truth.csv` beside `data/` keeps it."""
    table.insert(0, "row id", np.arange(len(table)))
    known, hidden = table.iloc[:-test_rows], table.iloc[-test_rows:]
    write(folder, "train.csv", known)
    write(folder, "test.csv", hidden.drop(columns=[target]))
    hidden[["row id", target]].to_csv(os.path.join(root, folder, "truth.csv"), index=False)


homes = odd(7, 1200).drop(columns=["note"])
homes["dear"] = np.where(homes["price"] > homes["price"].median(), "dear", "cheap")
split("predict-class", homes.drop(columns=["price"]), "dear", 240)
split("predict-reg", odd(8, 1200), "price", 240)
days = pd.date_range("2018-01-01", periods=900, freq="D")
series = pd.DataFrame({
    "day": days.strftime("%Y-%m-%d"),
    "visitors": (200 + 0.1 * np.arange(900) + 40 * (days.day_of_week >= 5) + 30 * np.sin(2 * np.pi * days.day_of_year / 365) + rng.normal(0, 8, 900)).round(1),
})
split("predict-series", series, "visitors", 120)
