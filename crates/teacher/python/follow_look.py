import json

targets = __TARGETS__
print("train:", train.shape, "test:", test.shape)
print(train.iloc[:3, :10].to_string(max_colwidth=24))
print("missing:", train.isna().sum()[lambda n: n > 0].head(12).to_dict())
lines = open(__METADATA__, encoding="utf-8").read().splitlines()
print("\n".join(lines[:12])[:1500])
# Each column that the instructions call by its meaning, with its name in the table.
found = {}
for meaning in __WANTED__:
    names = [line[: -len(meaning) - 2] for line in lines if line.endswith(": " + meaning)]
    names = [name for name in names if name in train.columns] or names
    found[meaning] = names[0] if names else meaning
print("COLUMNS " + json.dumps(found))
