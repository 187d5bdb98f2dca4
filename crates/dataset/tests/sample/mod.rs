//! Rows to write in tests: valid, all different, with text that is awkward to store.

use synth_core::config::EmitConfig;
use synth_dataset::{Generation, Provenance, RlRow, SftRow, ToolArguments};

pub fn options(row_group_bytes: u64, shard_bytes: u64) -> EmitConfig {
    EmitConfig {
        name: "sample".to_owned(),
        row_group_bytes,
        shard_bytes,
    }
}

pub fn sft(number: usize) -> SftRow {
    let mut messages = vec![
        ("system".to_owned(), "You are a data scientist.".to_owned()),
        (
            "user".to_owned(),
            format!("Question {number}: the mean of `price`? (é, 数据, \"x\")\n"),
        ),
    ];
    for turn in 0..number % 4 {
        messages.push((
            "assistant".to_owned(),
            format!("<reasoning>look</reasoning>\n<code>\nprint({number} + {turn})\n</code>"),
        ));
        messages.push((
            "user".to_owned(),
            format!("<information>\n{}\n</information>", number + turn),
        ));
    }
    messages.push((
        "assistant".to_owned(),
        format!("<answer>@mean[{number}.5]</answer>"),
    ));
    let num_turns = messages
        .iter()
        .filter(|message| message.0 == "assistant")
        .count() as i64;
    SftRow {
        id: format!("trj_{number}"),
        messages,
        provenance: provenance(number),
        generation: Generation {
            model: "builtin/teacher".to_owned(),
            sampling_params: r#"{"temperature":1.0}"#.to_owned(),
            judge_scores: (0..number % 3)
                .map(|grade| {
                    (
                        "judge".to_owned(),
                        format!("criterion {grade}"),
                        grade as f64 + 0.5,
                    )
                })
                .collect(),
            reward: 1.0,
            pass_rate: number.is_multiple_of(2).then_some(0.75),
            num_samples: 4,
            metric: Some("keyed".to_owned()),
            metric_value: Some(number as f64 / 3.0),
            num_turns,
            tokenizer: None,
            num_tokens: Some(400),
            num_trainable_tokens: None,
            metadata: format!(r#"{{"number":{number}}}"#),
        },
        wall_seconds: Some(number as f64 / 7.0),
    }
}

pub fn rl(number: usize, split: &str) -> RlRow {
    RlRow {
        id: format!("rl_{split}_{number}"),
        data_source: "synth/analysis".to_owned(),
        prompt: vec![
            ("system".to_owned(), "You are a data scientist.".to_owned()),
            ("user".to_owned(), format!("Question {number}?")),
        ],
        ability: "data_science".to_owned(),
        ground_truth: format!(r#"{{"type":"keyed","value":"{number}"}}"#),
        reward_style: "rule".to_owned(),
        reward_method: "rule".to_owned(),
        env_class: "synth".to_owned(),
        info: r#"{"files":["train.csv"]}"#.to_owned(),
        split: split.to_owned(),
        index: number as i64,
        need_tools_kwargs: true,
        tool_arguments: ToolArguments {
            task_id: "tsk_1".to_owned(),
            dataset_id: "iris".to_owned(),
            split: split.to_owned(),
            timeout_s: 60,
        },
        interaction: "synth".to_owned(),
        question: format!("Question {number}?"),
        reward_fn: "synth.rewards:keyed".to_owned(),
        metric: "keyed".to_owned(),
        higher_is_better: true,
        max_turns: 15,
        provenance: provenance(number),
        pass_rate: None,
        num_samples: 0,
        reference_model: None,
        num_prompt_tokens: Some(12),
        metadata: "{}".to_owned(),
    }
}

fn provenance(number: usize) -> Provenance {
    Provenance {
        query_id: format!("qry_{number}"),
        source: "folder".to_owned(),
        dataset_id: Some("iris".to_owned()),
        competition_id: None,
        license: "CC-BY-4.0".to_owned(),
        created_at: "1988-07-01".to_owned(),
    }
}
