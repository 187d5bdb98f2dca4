submission = test[__KEYS__].copy()
for target in targets:
    submission[target] = predicted[target]
submission.to_csv(__FILE__, index=False)
written = pd.read_csv(__FILE__)
print(written.head(3).to_string())
print("written:", written.shape, "of", len(test), "rows, missing:", int(written.isna().sum().sum()))
