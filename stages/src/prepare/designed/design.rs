//! What the designer says of a table: the two forms of its answer, read strictly, and asked for again with what does not hold.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use synth_core::{Source, TableSummary};
use synth_llm::{ChatRequest, Message, ReplySchema};
use synth_pipeline::WorkError;

use super::Refusal;
use super::frame::Frame;
use crate::prompts::{self, Prompt};
use crate::{Cx, sampling};

/// Targets of a task, at most.
pub(super) const MAX_TARGETS: usize = 3;
/// Steps between the rows of a series, as pandas calls them.
pub(super) const FREQUENCIES: [&str; 10] = [
    "1min", "5min", "15min", "30min", "1h", "1D", "1W", "1MS", "1QS", "1YS",
];
/// How a target is gathered into steps.
pub(super) const AGGREGATIONS: [&str; 6] = ["mean", "sum", "min", "max", "last", "count"];

/// Characters of a page that the designer is shown.
const SHOWN_OF_PAGE: usize = 4000;
/// Rows that it is shown.
const SHOWN_ROWS: usize = 5;
/// Characters of a cell that it is shown.
const SHOWN_OF_CELL: usize = 60;

/// A design for classification or regression.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TableDesign {
    pub feasible: bool,
    pub why: String,
    #[serde(default)]
    pub task: String,
    #[serde(default)]
    pub target_candidates: Vec<String>,
    #[serde(default)]
    pub targets: Vec<String>,
    #[serde(default)]
    pub features: Vec<String>,
    #[serde(default)]
    pub entity_columns: Vec<String>,
    #[serde(default)]
    pub columns: Vec<ColumnDesign>,
}

/// A design for a forecast.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SeriesDesign {
    pub feasible: bool,
    pub why: String,
    #[serde(default)]
    pub targets: Vec<String>,
    #[serde(default)]
    pub time_column: String,
    #[serde(default)]
    pub time_format: String,
    #[serde(default)]
    pub entity_columns: Vec<String>,
    #[serde(default)]
    pub frequency: String,
    #[serde(default)]
    pub resample_rule: Option<String>,
    #[serde(default)]
    pub aggregation: Option<String>,
    #[serde(default)]
    pub features: Vec<String>,
    #[serde(default)]
    pub columns: Vec<ColumnDesign>,
}

/// What a design says of a column.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ColumnDesign {
    pub name: String,
    #[serde(rename = "type")]
    pub kind: ColumnKind,
    #[serde(default)]
    pub description: String,
    #[serde(default)]
    pub low: Option<f64>,
    #[serde(default)]
    pub high: Option<f64>,
    #[serde(default)]
    pub categories: Option<Vec<Value>>,
}

/// A column's type, as a design says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ColumnKind {
    Numerical,
    Categorical,
}

/// A design that can be asked for.
pub(super) trait Design: DeserializeOwned {
    /// The prompt.
    const PROMPT: Prompt;
    /// The name of its schema.
    const NAME: &'static str;
    /// Its JSON schema.
    fn schema() -> Value;
    /// Whether there is a task, and why.
    fn feasible(&self) -> (bool, &str);
}

impl Design for TableDesign {
    const PROMPT: Prompt = prompts::DESIGN_TABLE;
    const NAME: &'static str = "table_design";

    fn schema() -> Value {
        let mut column = column_schema();
        let number = json!({"type": ["number", "null"]});
        let categories =
            json!({"type": ["array", "null"], "items": {"type": ["string", "number", "boolean"]}});
        extend(
            &mut column,
            &[
                ("low", number.clone()),
                ("high", number),
                ("categories", categories),
            ],
        );
        object(&[
            ("feasible", json!({"type": "boolean"})),
            ("why", json!({"type": "string"})),
            (
                "task",
                json!({"type": "string", "enum": ["classification", "regression"]}),
            ),
            ("target_candidates", names()),
            ("targets", names()),
            ("features", names()),
            ("entity_columns", names()),
            ("columns", json!({"type": "array", "items": column})),
        ])
    }

    fn feasible(&self) -> (bool, &str) {
        (self.feasible, &self.why)
    }
}

impl Design for SeriesDesign {
    const PROMPT: Prompt = prompts::DESIGN_SERIES;
    const NAME: &'static str = "series_design";

    fn schema() -> Value {
        let choice = |of: &[&str]| json!({"type": ["string", "null"], "enum": of.iter().map(|name| json!(name)).chain([Value::Null]).collect::<Vec<_>>()});
        let frequencies: Vec<&str> = FREQUENCIES.into_iter().chain(["irregular"]).collect();
        object(&[
            ("feasible", json!({"type": "boolean"})),
            ("why", json!({"type": "string"})),
            ("targets", names()),
            ("time_column", json!({"type": "string"})),
            ("time_format", json!({"type": "string"})),
            ("entity_columns", names()),
            ("frequency", json!({"type": "string", "enum": frequencies})),
            ("resample_rule", choice(&FREQUENCIES)),
            ("aggregation", choice(&AGGREGATIONS)),
            ("features", names()),
            (
                "columns",
                json!({"type": "array", "items": column_schema()}),
            ),
        ])
    }

    fn feasible(&self) -> (bool, &str) {
        (self.feasible, &self.why)
    }
}

fn names() -> Value {
    json!({"type": "array", "items": {"type": "string"}})
}

fn column_schema() -> Value {
    object(&[
        ("name", json!({"type": "string"})),
        (
            "type",
            json!({"type": "string", "enum": ["numerical", "categorical"]}),
        ),
        ("description", json!({"type": "string"})),
    ])
}

/// A strict object: every property is required, as endpoints demand of strict schemas.
fn object(properties: &[(&str, Value)]) -> Value {
    let mut schema =
        json!({"type": "object", "properties": {}, "required": [], "additionalProperties": false});
    extend(&mut schema, properties);
    schema
}

fn extend(schema: &mut Value, properties: &[(&str, Value)]) {
    for (name, value) in properties {
        schema["properties"][*name] = value.clone();
        if let Some(required) = schema["required"].as_array_mut() {
            required.push(json!(name));
        }
    }
}

/// Asks for a design until one holds. `check` is told whether it may still be asked again: at the end it makes the best of what
/// was said. `Err` in the result is what does not hold, or why there is no task.
pub(super) async fn ask<D: Design, T>(
    cx: &Cx<'_>,
    source: &Source,
    summary: &TableSummary,
    frame: &Frame,
    check: impl Fn(&D, bool) -> Result<T, Refusal>,
) -> Result<Result<T, Refusal>, WorkError> {
    let model = cx.services.model("designer").await?;
    let settings = &cx.config.prepare.designed;
    let mut request = ChatRequest {
        messages: vec![Message::User(prompt::<D>(source, summary, frame))],
        tools: Vec::new(),
        sampling: sampling::seeded(
            cx,
            "designer",
            &settings.sampling,
            &(&source.id, &summary.path, D::NAME),
        ),
        schema: Some(ReplySchema {
            name: D::NAME.to_owned(),
            schema: D::schema(),
        }),
        sample: 0,
    };
    let mut last = Refusal::new("malformed_design", "the designer was not asked");
    for retry in 0..=settings.retries {
        let reply = model
            .complete(&request)
            .await
            .map_err(|error| cx.services.model_error(error))?;
        let checked = parse::<D>(&reply.content)
            .map_err(|problem| Refusal::new("malformed_design", problem))
            .and_then(|design| match design.feasible() {
                (false, why) => Err(Refusal::new("not_feasible", short(why))),
                (true, _) => check(&design, retry < settings.retries),
            });
        match checked {
            Ok(checked) => return Ok(Ok(checked)),
            Err(refusal) if refusal.reason == "not_feasible" => return Ok(Err(refusal)),
            Err(refusal) => {
                let again = prompts::render(
                    &prompts::DESIGN_AGAIN,
                    minijinja::context! { problem => &refusal.message },
                );
                request.messages.push(Message::assistant(reply.content));
                request.messages.push(Message::User(again));
                last = refusal;
            }
        }
    }
    if last.reason == "malformed_design" {
        // A record all the same: the source has other tasks, which a model that cannot answer must not take away.
        let message = format!(
            "no well-formed design in {} tries; the last: {}; look at the designer's model or raise `prepare.designed.retries`",
            settings.retries + 1,
            last.message
        );
        last = Refusal::new("malformed_design", message);
    }
    Ok(Err(last))
}

fn prompt<D: Design>(source: &Source, summary: &TableSummary, frame: &Frame) -> String {
    prompts::render(
        &D::PROMPT,
        minijinja::context! {
            title => short_title(source),
            tags => &source.tags,
            description => cut(&source.pages.description, SHOWN_OF_PAGE),
            table => minijinja::Value::from(minijinja::value::Serde(summary)),
            columns_known => cut(&source.pages.data, SHOWN_OF_PAGE),
            rows => first_rows(frame),
            max_targets => MAX_TARGETS,
            frequencies => FREQUENCIES,
            aggregations => AGGREGATIONS,
        },
    )
}

fn short_title(source: &Source) -> &str {
    if source.title.trim().is_empty() {
        &source.slug
    } else {
        source.title.trim()
    }
}

fn first_rows(frame: &Frame) -> String {
    let mut writer = csv::Writer::from_writer(Vec::new());
    let mut write = |cells: Vec<String>| {
        writer
            .write_record(cells)
            .expect("writing to memory does not fail");
    };
    write(
        frame
            .columns
            .iter()
            .map(|column| column.name.clone())
            .collect(),
    );
    for row in 0..frame.rows().min(SHOWN_ROWS) {
        write(
            frame
                .columns
                .iter()
                .map(|column| column.cells[row].chars().take(SHOWN_OF_CELL).collect())
                .collect(),
        );
    }
    let bytes = writer
        .into_inner()
        .expect("writing to memory does not fail");
    String::from_utf8_lossy(&bytes).trim_end().to_owned()
}

fn cut(text: &str, characters: usize) -> String {
    match text.trim().char_indices().nth(characters) {
        Some((end, _)) => format!("{}…", &text.trim()[..end]),
        None => text.trim().to_owned(),
    }
}

fn short(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.is_empty() {
        "the designer gives no reason".to_owned()
    } else {
        cut(&line, 300)
    }
}

/// The one JSON object of a reply, perhaps between code fences.
fn parse<D: Design>(reply: &str) -> Result<D, String> {
    let text = reply.trim();
    let text = text
        .strip_prefix("```json")
        .or_else(|| text.strip_prefix("```"))
        .and_then(|rest| rest.trim_end().strip_suffix("```"))
        .unwrap_or(text);
    serde_json::from_str(text).map_err(|error| format!("it is no such JSON object: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_design_is_one_strict_json_object() {
        let whole = r#"{"feasible": true, "why": "y", "task": "classification", "target_candidates": ["a"], "targets": ["a"], "features": ["b"], "entity_columns": [], "columns": [{"name": "a", "type": "categorical", "description": "d", "low": null, "high": null, "categories": ["x", 1]}]}"#;
        let design: TableDesign = parse(whole).unwrap();
        assert_eq!(
            (design.targets[0].as_str(), design.columns[0].kind),
            ("a", ColumnKind::Categorical)
        );
        assert!(parse::<TableDesign>(&format!("```json\n{whole}\n```")).is_ok());
        for wrong in [
            "",
            "no",
            "[]",
            "{}",
            r#"{"feasible": "yes", "why": ""}"#,
            r#"{"feasible": true, "why": "", "colour": 1}"#,
            &format!("Here it is: {whole}"),
            &whole.replace("categorical\"", "nominal\""),
        ] {
            assert!(parse::<TableDesign>(wrong).is_err(), "{wrong}");
        }
        assert!(
            !parse::<SeriesDesign>(r#"{"feasible": false, "why": "no time"}"#)
                .unwrap()
                .feasible
        );
    }

    #[test]
    fn schemas_are_strict_throughout() {
        fn check(schema: &Value) {
            if let Some(properties) = schema["properties"].as_object() {
                assert_eq!(schema["additionalProperties"], json!(false));
                assert_eq!(
                    schema["required"].as_array().unwrap().len(),
                    properties.len()
                );
                properties.values().for_each(check);
            }
            if schema["items"].is_object() {
                check(&schema["items"]);
            }
        }
        for schema in [TableDesign::schema(), SeriesDesign::schema()] {
            assert!(schema["properties"].as_object().unwrap().len() > 5);
            check(&schema);
        }
    }
}
