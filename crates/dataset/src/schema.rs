//! The Arrow schemas, column by column. Every field may be null by its type, as readers expect; messages never are.

use std::sync::{Arc, LazyLock};

use arrow::datatypes::DataType::{Boolean, Float64, Int64, List, Struct, Utf8};
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef};

/// The columns of the `sft` config.
pub fn sft(timings: bool) -> SchemaRef {
    static PLAIN: LazyLock<SchemaRef> = LazyLock::new(|| sft_columns(false));
    static TIMED: LazyLock<SchemaRef> = LazyLock::new(|| sft_columns(true));
    Arc::clone(if timings { &TIMED } else { &PLAIN })
}

/// The columns of the `rl` and `eval` configs.
pub fn rl() -> SchemaRef {
    static COLUMNS: LazyLock<SchemaRef> = LazyLock::new(rl_columns);
    Arc::clone(&COLUMNS)
}

/// The columns of a stage's parts.
pub fn parts() -> SchemaRef {
    static COLUMNS: LazyLock<SchemaRef> = LazyLock::new(|| {
        schema(&[
            ("id", Utf8),
            ("parent", Utf8),
            ("status", Utf8),
            ("reason", Utf8),
            ("message", Utf8),
            ("record", Utf8),
        ])
    });
    Arc::clone(&COLUMNS)
}

/// The fields of a message.
pub fn message() -> Fields {
    fields(&[("role", Utf8), ("content", Utf8)])
}

/// The fields of a grade.
pub fn judge_score() -> Fields {
    fields(&[("judge", Utf8), ("criterion", Utf8), ("score", Float64)])
}

/// The element of a list, under the name that the Parquet format gives it.
pub fn element(fields: Fields) -> FieldRef {
    Arc::new(Field::new("element", Struct(fields), true))
}

fn sft_columns(timings: bool) -> SchemaRef {
    let mut columns = vec![("id", Utf8), ("messages", List(element(message())))];
    columns.extend(provenance());
    columns.extend([
        ("model", Utf8),
        ("sampling_params", Utf8),
        ("judge_scores", List(element(judge_score()))),
        ("reward", Float64),
        ("pass_rate", Float64),
        ("num_samples", Int64),
        ("metric", Utf8),
        ("metric_value", Float64),
        ("num_turns", Int64),
        ("tokenizer", Utf8),
        ("num_tokens", Int64),
        ("num_trainable_tokens", Int64),
        ("metadata", Utf8),
    ]);
    if timings {
        columns.push(("wall_seconds", Float64));
    }
    schema(&columns)
}

fn rl_columns() -> SchemaRef {
    let create_kwargs = fields(&[
        ("task_id", Utf8),
        ("dataset_id", Utf8),
        ("split", Utf8),
        ("timeout_s", Int64),
    ]);
    let execute_python = fields(&[("create_kwargs", Struct(create_kwargs))]);
    let tools_kwargs = fields(&[("execute_python", Struct(execute_python))]);
    let interaction_kwargs = fields(&[("name", Utf8), ("query", Utf8), ("ground_truth", Utf8)]);
    let extra_info = fields(&[
        ("split", Utf8),
        ("index", Int64),
        ("need_tools_kwargs", Boolean),
        ("tools_kwargs", Struct(tools_kwargs)),
        ("interaction_kwargs", Struct(interaction_kwargs)),
    ]);
    let mut columns = vec![
        ("id", Utf8),
        ("data_source", Utf8),
        ("prompt", List(element(message()))),
        ("ability", Utf8),
        (
            "reward_model",
            Struct(fields(&[("style", Utf8), ("ground_truth", Utf8)])),
        ),
        ("env_class", Utf8),
        (
            "reward_spec",
            Struct(fields(&[("method", Utf8), ("ground_truth", Utf8)])),
        ),
        ("answer", Utf8),
        ("info", Utf8),
        ("extra_info", Struct(extra_info)),
        ("reward_fn", Utf8),
        ("metric", Utf8),
        ("higher_is_better", Boolean),
        ("max_turns", Int64),
    ];
    columns.extend(provenance());
    columns.extend([
        ("pass_rate", Float64),
        ("num_samples", Int64),
        ("reference_model", Utf8),
        ("num_prompt_tokens", Int64),
        ("metadata", Utf8),
    ]);
    schema(&columns)
}

fn provenance() -> [(&'static str, DataType); 6] {
    [
        "query_id",
        "source",
        "dataset_id",
        "competition_id",
        "license",
        "created_at",
    ]
    .map(|name| (name, Utf8))
}

fn schema(columns: &[(&str, DataType)]) -> SchemaRef {
    Arc::new(Schema::new(fields(columns)))
}

fn fields(columns: &[(&str, DataType)]) -> Fields {
    columns
        .iter()
        .map(|(name, kind)| Field::new(*name, kind.clone(), true))
        .collect()
}
