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


def table_of(rows, seed):
    """A table with numbers, labels, gaps, a date and text that tells something, and what is to be predicted of it."""
    rng = np.random.default_rng(seed)
    kind = rng.choice(["oak", "pine", "birch"], rows)
    age = rng.integers(1, 90, rows)
    wet = rng.random(rows)
    height = 2 + 0.3 * age + 4 * (kind == "pine") + 3 * wet + rng.normal(0, 1.2, rows)
    risk = 1 / (1 + np.exp(-(0.08 * (age - 45) + 2.5 * (kind == "birch") - 3 * wet + rng.normal(0, 0.5, rows))))
    words = np.where(wet > 0.6, "mossy shady damp ground by the brook", "dry sandy slope in the open sun all day")
    return pd.DataFrame({
        "kind": kind,
        "age": age,
        "wetness, share": pd.Series(wet.round(3)).where(rng.random(rows) > 0.08),
        "seen": (pd.Timestamp("2021-01-01") + pd.to_timedelta(rng.integers(0, 300, rows), unit="D")).strftime("%d.%m.%Y"),
        "note": ["%s, plot %d" % (text, i) for i, text in enumerate(words)],
        "height": height.round(2),
        "width": (height * 3.1 + rng.normal(0, 2, rows)).round(1).clip(0.1),
        "sick": np.where(risk > 0.5, "sick", "sound"),
        "grade": np.digitize(height, [10, 18, 26]),
    })


def rich(folder, form, targets, metric):
    """One task of several targets or file formats: `train` and `val` under `data/`, `truth.csv` and `columns.txt` beside it."""
    import sqlite3

    table = table_of(900, len(folder))
    features = ["kind", "age", "wetness, share", "seen"]
    table = table[features + targets]
    table.insert(0, "row_id", np.arange(len(table)))
    known, hidden = table.iloc[:700], table.iloc[700:]
    os.makedirs(os.path.join(root, folder, "data"), exist_ok=True)
    if form == "sqlite":
        with sqlite3.connect(os.path.join(root, folder, "data", "train.sqlite")) as database:
            known[["row_id", "kind", "age"]].to_sql("trees", database, index=False)
            known[["row_id", "wetness, share", "seen"]].sample(frac=1, random_state=0).to_sql("soil \"a\"", database, index=False)
            known[["row_id"] + targets].to_sql("measured", database, index=False)
        with sqlite3.connect(os.path.join(root, folder, "data", "val.sqlite")) as database:
            hidden.drop(columns=targets).to_sql("rows", database, index=False)
    elif form == "parquet":
        known.to_parquet(os.path.join(root, folder, "data", "train.parquet"))
        hidden.drop(columns=targets).to_parquet(os.path.join(root, folder, "data", "val.parquet"))
    else:
        write(folder, "train.csv", known)
        write(folder, "val.csv", hidden.drop(columns=targets))
    hidden[["row_id"] + targets].to_csv(os.path.join(root, folder, "truth.csv"), index=False)


rich("predict-rich-sqlite", "sqlite", ["height", "width"], "r2")
rich("predict-rich-parquet", "parquet", ["sick"], "macro_f1")

rng = np.random.default_rng(11)
days = pd.date_range("2019-01-07", periods=400, freq="D")
parts = []
for place, (store, base) in enumerate([("north", 50), ("south", 400), ("mill street", 120)]):
    price = 5 + rng.random(400).round(2)
    parts.append(pd.DataFrame({
        "day": days.strftime("%d/%m/%Y"), "store": store, "price": price,
        "sold": (base * (1 + 0.4 * (days.day_of_week >= 5) + 0.001 * np.arange(400)) - 6 * base / 50 * (price - 5) + rng.normal(0, base / 25, 400)).round(1),
    }))
shops = pd.concat(parts).sort_values("day", key=lambda day: pd.to_datetime(day, format="%d/%m/%Y"), kind="stable").reset_index(drop=True)
known, hidden = shops.iloc[:1020], shops.iloc[1020:].sample(frac=1, random_state=1)
for folder, columns in [("predict-xf", ["day", "store", "price"]), ("predict-cf", ["day", "store"])]:
    write(folder, "train.csv", known)
    write(folder, "val.csv", hidden[columns])
    hidden[["day", "store", "sold"]].to_csv(os.path.join(root, folder, "truth.csv"), index=False)


def contest(folder, table, key, targets, sample, hidden_rows=200, test=True):
    """A competition: train, test, an example submission; `truth.csv` beside `data/` has what the rows to predict are."""
    table = table.copy()
    table.insert(0, key, ["%05d" % (7 * i) for i in range(len(table))])
    known, hidden = table.iloc[:-hidden_rows], table.iloc[-hidden_rows:]
    write(folder, "train.csv", known)
    if test:
        write(folder, "test.csv", hidden.drop(columns=targets).sample(frac=1, random_state=3))
    example = sample(hidden)
    write(folder, "sample_submission.csv", example)
    hidden.to_csv(os.path.join(root, folder, "truth.csv"), index=False)


trees = table_of(1100, 5)
known_of = ["kind", "age", "wetness, share", "seen", "note"]
contest("predict-contest-numbers", trees[known_of + ["width"]], "Id", ["width"], lambda rows: pd.DataFrame({"id": rows["Id"], "width": 0.0}))
contest("predict-contest-probability", trees[known_of + ["sick"]], "id", ["sick"], lambda rows: pd.DataFrame({"id": rows["id"], "sick": 0.5}))
contest("predict-contest-classes", trees[known_of + ["grade"]], "id", ["grade"], lambda rows: pd.DataFrame({"id": rows["id"], **{"grade_%d" % k: 0.25 for k in range(4)}}))
contest("predict-contest-ranked", trees[known_of + ["grade"]], "id", ["grade"], lambda rows: pd.DataFrame({"id": rows["id"], "grade": "0 1 2"}))
contest("predict-contest-grades", trees[known_of + ["grade"]], "id", ["grade"], lambda rows: pd.DataFrame({"id": rows["id"], "grade": 0}))

# A prescribed workflow: noise in the training rows, gaps, columns called by what they mean.
trees = table_of(500, 9)[["kind", "age", "wetness, share", "height", "width", "sick"]]
trees.insert(0, "row_id", np.arange(len(trees)))
noisy = trees.iloc[:400].copy()
noisy.loc[noisy.index[::9], "age"] = 90 + rng.integers(1, 10, len(noisy.index[::9]))
noisy.loc[noisy.index[4::11], "kind"] = "xx12"
noisy.loc[noisy.index[::17], "kind"] = np.nan
noisy.loc[noisy.index[1::13], "height"] = 300.0
meanings = "About trees.\n\nrow_id: number of the row\nkind: species, in common words\nage: years since planting\nwetness, share: wetness of the soil: 0 to 1\nheight: metres from the ground to the top\nwidth: girth\nsick: state of health\n"
write("predict-follow", "train_v1.csv", noisy)
write("predict-follow", "val_v1.csv", trees.iloc[400:].drop(columns=["sick", "width"]))
with open(os.path.join(root, "predict-follow", "data", "metadata.txt"), "w") as file:
    file.write(meanings)
