print("train:", train.shape, "test:", test.shape, "example submission:", sample.shape)
print(train.iloc[:3, :10].to_string(max_colwidth=24))
print(sample.head(3).to_string(max_colwidth=24))
targets, sources = __TARGETS__, __SOURCES__
answers = [name for name in train.columns if name not in test.columns]
for source in sources:
    if source not in train.columns:
        # The submission calls the column by another name than the table with the answers.
        same = [name for name in train.columns if name.lower().strip() == source.lower().strip()] or answers[-1:]
        print(source, "is not among the answers; taken from", same)
        train[source] = train[same[0]]
    print(train[source].describe().to_string())
    print(train[source].value_counts(normalize=True).head(8).round(3).to_dict())
print("only in train:", answers[:20])
print("missing:", train.isna().sum()[lambda n: n > 0].head(12).to_dict())
