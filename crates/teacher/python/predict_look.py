import numpy as np
import pandas as pd

train = __TRAIN__
test = __TEST__
print("train:", train.shape, "test:", test.shape)
print(train.iloc[:3, :10].to_string(max_colwidth=24))
print("only in train:", [name for name in train.columns if name not in test.columns])
print(train[__TARGET__].describe())
print(train[__TARGET__].value_counts(normalize=True).head(8).round(3).to_dict())
print("missing:", train.isna().sum()[lambda n: n > 0].head(12).to_dict())
