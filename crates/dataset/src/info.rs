//! `dataset_info.json`, by which LLaMA-Factory finds the conversations.

use std::fs;
use std::io;
use std::path::Path;

use serde_json::{Map, Value, json};

/// Writes `dataset_info.json` for the `sft` splits that are there: `synth_sft` to train on, `synth_sft_<split>` for others.
///
/// LLaMA-Factory reads a folder of Parquet files per entry; `sharegpt` with these tags is its name for plain messages.
pub fn write_dataset_info(folder: &Path) -> io::Result<()> {
    let mut splits = Vec::new();
    match fs::read_dir(folder.join("data/sft")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        entries => {
            for entry in entries? {
                splits.extend(entry?.file_name().into_string());
            }
        }
    }
    splits.sort();
    let entries: Map<String, Value> = splits
        .iter()
        .map(|split| {
            let name = if split == "train" {
                "synth_sft".to_owned()
            } else {
                format!("synth_sft_{split}")
            };
            (name, entry(split))
        })
        .collect();
    let text = serde_json::to_string_pretty(&Value::Object(entries)).expect("JSON values print");
    let temporary = folder.join(".dataset_info.json.tmp");
    fs::write(&temporary, text + "\n")?;
    fs::rename(temporary, folder.join("dataset_info.json"))
}

fn entry(split: &str) -> Value {
    json!({
        "file_name": format!("data/sft/{split}"),
        "formatting": "sharegpt",
        "columns": {"messages": "messages"},
        "tags": {
            "role_tag": "role",
            "content_tag": "content",
            "system_tag": "system",
            "user_tag": "user",
            "assistant_tag": "assistant",
            "observation_tag": "tool",
            "function_tag": "function",
        },
    })
}
