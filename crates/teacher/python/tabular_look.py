print("train:", train.shape, "test:", test.shape)
print(train.iloc[:3, :10].to_string(max_colwidth=24))
targets = sources = __TARGETS__
for target in targets:
    print(train[target].describe().to_string())
    print(train[target].value_counts(normalize=True).head(8).round(3).to_dict())
print("only in train:", [name for name in train.columns if name not in test.columns][:20])
print("missing:", train.isna().sum()[lambda n: n > 0].head(12).to_dict())
