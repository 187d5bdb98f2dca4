//! The parameters of a prescribed workflow: what its instructions say and what its reference solution does, both written from here.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::dice::Dice;

/// A workflow to be followed to the letter: load, filter, select, impute, scale, encode, fit, predict.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Recipe {
    /// What is predicted.
    pub problem: Problem,
    /// The columns to predict, in order. Of several, a regressor is fitted once to all; a classifier once to each.
    pub targets: Vec<String>,
    /// The columns to learn from, in the order in which the workflow names them.
    pub features: Vec<Feature>,
    /// What training rows must keep to; a row is left out if a value that it has breaks one. Columns that are no features are
    /// among them.
    pub ranges: Vec<Range>,
    /// How gaps in numeric features are filled; those in categorical ones take the most frequent value.
    pub imputer: Imputer,
    /// How numeric features are scaled; categorical ones are one-hot encoded, unknown categories ignored.
    pub scaler: Scaler,
    /// The model.
    pub model: Model,
    /// The model's parameters that are not scikit-learn's defaults, in the order of their names; the seed is not among them.
    pub params: Vec<(String, Value)>,
    /// The model's `random_state`, where it takes one.
    pub random_state: u32,
    /// How the files are written.
    pub format: Format,
    /// The training rows with noise, under `data/`.
    pub train_file: String,
    /// For `sqlite`: the tables of the training file, to be joined on the id column; one or more.
    pub train_tables: Vec<String>,
    /// The rows to predict, under `data/`.
    pub test_file: String,
    /// For `sqlite`: the one table of the test file.
    pub test_table: String,
    /// The file that describes the columns, under `data/`: a line `name: description` for each, the descriptions as they stand here.
    pub metadata_file: String,
    /// The column that names rows, in every table.
    pub id_column: String,
    /// The file to write, a CSV with the id column and the targets, the rows in the order of the test file.
    pub submission: String,
}

/// What is predicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Problem {
    /// Labels.
    Classification,
    /// Numbers.
    Regression,
}

/// A column to learn from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Feature {
    /// The column.
    pub column: String,
    /// Numeric, or else categorical.
    pub is_numeric: bool,
    /// What it means, for instructions that describe columns; a phrase that differs from all others', never empty.
    pub description: String,
}

/// What the values of a column keep to in rows that are sound.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Range {
    /// The column.
    pub column: String,
    /// What it means, as in [`Feature::description`].
    pub description: String,
    /// The values.
    pub within: Within,
}

/// Sound values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Within {
    /// Numbers from the first to the second, both included.
    Between(f64, f64),
    /// These texts and no others, sorted. Columns with such a range hold text that pandas reads as text.
    OneOf(Vec<String>),
}

/// How gaps in numeric features are filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Imputer {
    /// By the mean.
    Mean,
    /// By the median.
    Median,
    /// By the most frequent value.
    MostFrequent,
}

impl Imputer {
    /// The `strategy` of scikit-learn's `SimpleImputer`.
    pub(crate) const fn strategy(self) -> &'static str {
        match self {
            Self::Mean => "mean",
            Self::Median => "median",
            Self::MostFrequent => "most_frequent",
        }
    }
}

/// How numeric features are scaled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Scaler {
    /// To mean 0 and variance 1.
    Standard,
    /// To 0..1.
    MinMax,
}

impl Scaler {
    /// scikit-learn's class, in `sklearn.preprocessing`.
    pub(crate) const fn class(self) -> &'static str {
        match self {
            Self::Standard => "StandardScaler",
            Self::MinMax => "MinMaxScaler",
        }
    }
}

/// A model of scikit-learn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Model {
    /// Linear support vectors.
    #[serde(rename = "LinearSVC")]
    LinearSvc,
    /// Gaussian naive Bayes.
    #[serde(rename = "GaussianNB")]
    GaussianNb,
    /// Logistic regression.
    LogisticRegression,
    /// A decision tree for labels.
    DecisionTreeClassifier,
    /// A neural network for labels.
    #[serde(rename = "MLPClassifier")]
    MlpClassifier,
    /// A decision tree for numbers.
    DecisionTreeRegressor,
    /// Least squares with a squared penalty.
    Ridge,
    /// Least squares.
    LinearRegression,
    /// A neural network for numbers.
    #[serde(rename = "MLPRegressor")]
    MlpRegressor,
    /// Least squares with an absolute penalty.
    Lasso,
}

impl Model {
    /// Those for a problem.
    pub(crate) const fn of(problem: Problem) -> [Self; 5] {
        match problem {
            Problem::Classification => [
                Self::DecisionTreeClassifier,
                Self::LogisticRegression,
                Self::MlpClassifier,
                Self::LinearSvc,
                Self::GaussianNb,
            ],
            Problem::Regression => [
                Self::DecisionTreeRegressor,
                Self::Ridge,
                Self::MlpRegressor,
                Self::Lasso,
                Self::LinearRegression,
            ],
        }
    }

    /// scikit-learn's module and class.
    pub(crate) const fn class(self) -> (&'static str, &'static str) {
        match self {
            Self::LinearSvc => ("sklearn.svm", "LinearSVC"),
            Self::GaussianNb => ("sklearn.naive_bayes", "GaussianNB"),
            Self::LogisticRegression => ("sklearn.linear_model", "LogisticRegression"),
            Self::DecisionTreeClassifier => ("sklearn.tree", "DecisionTreeClassifier"),
            Self::MlpClassifier => ("sklearn.neural_network", "MLPClassifier"),
            Self::DecisionTreeRegressor => ("sklearn.tree", "DecisionTreeRegressor"),
            Self::Ridge => ("sklearn.linear_model", "Ridge"),
            Self::LinearRegression => ("sklearn.linear_model", "LinearRegression"),
            Self::MlpRegressor => ("sklearn.neural_network", "MLPRegressor"),
            Self::Lasso => ("sklearn.linear_model", "Lasso"),
        }
    }

    /// Whether it takes a `random_state`.
    pub(crate) const fn takes_seed(self) -> bool {
        !matches!(self, Self::GaussianNb | Self::LinearRegression)
    }

    /// Parameters that give it something to say, drawn.
    pub(crate) fn draw_params(self, dice: &mut Dice) -> Vec<(String, Value)> {
        let of = |name: &str, value: Value| (name.to_owned(), value);
        match self {
            Self::LinearSvc => vec![of("C", dice.pick(&[json!(0.1), json!(0.5), json!(2.0)]))],
            Self::LogisticRegression => vec![
                of("C", dice.pick(&[json!(0.1), json!(0.5), json!(2.0)])),
                of("max_iter", json!(500)),
            ],
            Self::DecisionTreeClassifier | Self::DecisionTreeRegressor => vec![
                of(
                    "max_depth",
                    dice.pick(&[json!(6), json!(9), json!(12), Value::Null]),
                ),
                of(
                    "min_samples_leaf",
                    dice.pick(&[json!(1), json!(2), json!(3)]),
                ),
            ],
            Self::MlpClassifier | Self::MlpRegressor => vec![
                of(
                    "hidden_layer_sizes",
                    dice.pick(&[json!([16]), json!([32]), json!([32, 16])]),
                ),
                of("max_iter", json!(200)),
            ],
            Self::Ridge => vec![of(
                "alpha",
                dice.pick(&[json!(0.5), json!(2.0), json!(10.0)]),
            )],
            Self::Lasso => vec![of(
                "alpha",
                dice.pick(&[json!(0.01), json!(0.05), json!(0.2)]),
            )],
            Self::GaussianNb | Self::LinearRegression => Vec::new(),
        }
    }
}

/// How a task's tables are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Format {
    /// Comma-separated, UTF-8.
    Csv,
    /// `SQLite`, the training rows in several tables.
    Sqlite,
    /// Parquet.
    Parquet,
}

impl Format {
    /// The ending of its files.
    pub(crate) const fn ending(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Sqlite => "sqlite",
            Self::Parquet => "parquet",
        }
    }
}
