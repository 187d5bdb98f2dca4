//! Rows turned into Arrow columns, in the order of `schema`.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, ListArray, StringArray, StructArray,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, Fields};

use crate::parts::PartRow;
use crate::rows::{JudgeScore, Message, Provenance, RlRow, SftRow};
use crate::schema;

/// The columns of the `sft` config.
pub fn sft(rows: &[SftRow], timings: bool) -> Vec<ArrayRef> {
    let mut columns = vec![
        text(rows, |row| &row.id),
        messages(rows, |row| &row.messages),
    ];
    columns.extend(provenance(rows, |row| &row.provenance));
    columns.extend([
        text(rows, |row| &row.generation.model),
        text(rows, |row| &row.generation.sampling_params),
        judge_scores(rows, |row| &row.generation.judge_scores),
        double(rows, |row| Some(row.generation.reward)),
        double(rows, |row| row.generation.pass_rate),
        integer(rows, |row| Some(row.generation.num_samples)),
        optional(rows, |row| row.generation.metric.as_deref()),
        double(rows, |row| row.generation.metric_value),
        integer(rows, |row| Some(row.generation.num_turns)),
        optional(rows, |row| row.generation.tokenizer.as_deref()),
        integer(rows, |row| row.generation.num_tokens),
        integer(rows, |row| row.generation.num_trainable_tokens),
        text(rows, |row| &row.generation.metadata),
    ]);
    if timings {
        columns.push(double(rows, |row| row.wall_seconds));
    }
    columns
}

/// The columns of the `rl` and `eval` configs.
pub fn rl(rows: &[RlRow]) -> Vec<ArrayRef> {
    let truth = || text(rows, |row| &row.ground_truth);
    let create_kwargs = structure(vec![
        ("task_id", text(rows, |row| &row.tool_arguments.task_id)),
        (
            "dataset_id",
            text(rows, |row| &row.tool_arguments.dataset_id),
        ),
        ("split", text(rows, |row| &row.tool_arguments.split)),
        (
            "timeout_s",
            integer(rows, |row| Some(row.tool_arguments.timeout_s)),
        ),
    ]);
    let tools_kwargs = structure(vec![(
        "execute_python",
        structure(vec![("create_kwargs", create_kwargs)]),
    )]);
    let interaction_kwargs = structure(vec![
        ("name", text(rows, |row| &row.interaction)),
        ("query", text(rows, |row| &row.question)),
        ("ground_truth", truth()),
    ]);
    let mut columns = vec![
        text(rows, |row| &row.id),
        text(rows, |row| &row.data_source),
        messages(rows, |row| &row.prompt),
        text(rows, |row| &row.ability),
        structure(vec![
            ("style", text(rows, |row| &row.reward_style)),
            ("ground_truth", truth()),
        ]),
        text(rows, |row| &row.env_class),
        structure(vec![
            ("method", text(rows, |row| &row.reward_method)),
            ("ground_truth", truth()),
        ]),
        truth(),
        text(rows, |row| &row.info),
        structure(vec![
            ("split", text(rows, |row| &row.split)),
            ("index", integer(rows, |row| Some(row.index))),
            (
                "need_tools_kwargs",
                boolean(rows, |row| row.need_tools_kwargs),
            ),
            ("tools_kwargs", tools_kwargs),
            ("interaction_kwargs", interaction_kwargs),
        ]),
        text(rows, |row| &row.reward_fn),
        text(rows, |row| &row.metric),
        boolean(rows, |row| row.higher_is_better),
        integer(rows, |row| Some(row.max_turns)),
    ];
    columns.extend(provenance(rows, |row| &row.provenance));
    columns.extend([
        double(rows, |row| row.pass_rate),
        integer(rows, |row| Some(row.num_samples)),
        optional(rows, |row| row.reference_model.as_deref()),
        integer(rows, |row| row.num_prompt_tokens),
        text(rows, |row| &row.metadata),
    ]);
    columns
}

/// The columns of a stage's parts.
pub fn parts(rows: &[PartRow]) -> Vec<ArrayRef> {
    vec![
        text(rows, |row| &row.id),
        text(rows, |row| &row.parent),
        text(rows, |row| &row.status),
        optional(rows, |row| row.reason.as_deref()),
        optional(rows, |row| row.message.as_deref()),
        optional(rows, |row| row.record.as_deref()),
    ]
}

fn provenance<R>(rows: &[R], of: impl Fn(&R) -> &Provenance) -> [ArrayRef; 6] {
    [
        text(rows, |row| &of(row).query_id),
        text(rows, |row| &of(row).source),
        optional(rows, |row| of(row).dataset_id.as_deref()),
        optional(rows, |row| of(row).competition_id.as_deref()),
        text(rows, |row| &of(row).license),
        text(rows, |row| &of(row).created_at),
    ]
}

fn messages<R>(rows: &[R], of: impl Fn(&R) -> &[Message]) -> ArrayRef {
    let all = || rows.iter().flat_map(&of);
    let roles: StringArray = all().map(|(role, _)| Some(role)).collect();
    let contents: StringArray = all().map(|(_, content)| Some(content)).collect();
    let lengths = rows.iter().map(|row| of(row).len());
    list(
        schema::message(),
        lengths,
        vec![Arc::new(roles), Arc::new(contents)],
    )
}

fn judge_scores<R>(rows: &[R], of: impl Fn(&R) -> &[JudgeScore]) -> ArrayRef {
    let all = || rows.iter().flat_map(&of);
    let judges: StringArray = all().map(|(judge, _, _)| Some(judge)).collect();
    let criteria: StringArray = all().map(|(_, criterion, _)| Some(criterion)).collect();
    let scores: Float64Array = all().map(|(_, _, score)| Some(*score)).collect();
    let lengths = rows.iter().map(|row| of(row).len());
    list(
        schema::judge_score(),
        lengths,
        vec![Arc::new(judges), Arc::new(criteria), Arc::new(scores)],
    )
}

fn list(fields: Fields, lengths: impl Iterator<Item = usize>, arrays: Vec<ArrayRef>) -> ArrayRef {
    let elements = StructArray::new(fields.clone(), arrays, None);
    let offsets = OffsetBuffer::from_lengths(lengths);
    Arc::new(ListArray::new(
        schema::element(fields),
        offsets,
        Arc::new(elements),
        None,
    ))
}

fn structure(columns: Vec<(&str, ArrayRef)>) -> ArrayRef {
    let (fields, arrays): (Vec<_>, Vec<_>) = columns
        .into_iter()
        .map(|(name, array)| {
            (
                Field::new(name, DataType::clone(array.data_type()), true),
                array,
            )
        })
        .unzip();
    Arc::new(StructArray::new(fields.into(), arrays, None))
}

fn text<R>(rows: &[R], of: impl Fn(&R) -> &str) -> ArrayRef {
    optional(rows, |row| Some(of(row)))
}

fn optional<R>(rows: &[R], of: impl Fn(&R) -> Option<&str>) -> ArrayRef {
    Arc::new(rows.iter().map(of).collect::<StringArray>())
}

fn integer<R>(rows: &[R], of: impl Fn(&R) -> Option<i64>) -> ArrayRef {
    Arc::new(rows.iter().map(of).collect::<Int64Array>())
}

fn double<R>(rows: &[R], of: impl Fn(&R) -> Option<f64>) -> ArrayRef {
    Arc::new(rows.iter().map(of).collect::<Float64Array>())
}

fn boolean<R>(rows: &[R], of: impl Fn(&R) -> bool) -> ArrayRef {
    Arc::new(
        rows.iter()
            .map(|row| Some(of(row)))
            .collect::<BooleanArray>(),
    )
}
