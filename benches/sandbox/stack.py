"""What "with the stack imported" means for the baselines; a sandbox has imported more than this."""

IMPORTS = """
import numpy, pandas, sklearn
import sklearn.linear_model, sklearn.ensemble, sklearn.tree, sklearn.model_selection, sklearn.metrics, sklearn.preprocessing
"""
