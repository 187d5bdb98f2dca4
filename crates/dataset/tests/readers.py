"""Opens a dataset folder with every reader and compares their rows with pyarrow's."""

import glob
import os
import sys
import tempfile

os.environ.update(HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1", HF_DATASETS_DISABLE_PROGRESS_BARS="1")

import datasets
import duckdb
import pandas
import polars
import pyarrow.parquet
import yaml

folder = sys.argv[1]
with open(f"{folder}/README.md", encoding="utf-8") as file:
    card = yaml.safe_load(file.read().split("---\n", 2)[1])
assert [config["config_name"] for config in card["configs"] if config.get("default")] == ["sft"], card
for config in card["configs"]:
    name = config["config_name"]
    for entry in config["data_files"]:
        split, pattern = entry["split"], f"{folder}/{entry['path']}"
        rows = [row for path in sorted(glob.glob(pattern)) for row in pyarrow.parquet.read_table(path).to_pylist()]
        assert rows, pattern
        assert polars.read_parquet(pattern).to_dicts() == rows, f"polars, {name}/{split}"
        relation = duckdb.sql(f"select * from read_parquet('{pattern}')")
        found = [dict(zip(relation.columns, row)) for row in relation.fetchall()]
        assert found == rows, f"duckdb, {name}/{split}"
        frame = pandas.read_parquet(f"{folder}/data/{name}/{split}")
        assert list(frame["id"]) == [row["id"] for row in rows], f"pandas, {name}/{split}"
        assert list(frame.columns) == list(rows[0]), f"pandas, {name}/{split}"
        with tempfile.TemporaryDirectory() as cache:
            loaded = datasets.load_dataset(folder, name, split=split, cache_dir=cache)
            assert list(loaded) == rows, f"datasets, {name}/{split}"
