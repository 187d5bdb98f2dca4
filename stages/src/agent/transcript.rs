//! What people and models are shown of code and its results.

use std::fmt::Write;

use synth_core::{CellLimit, CellOutcome, Observation, Role, Turn};

/// What the model is told of a cell.
pub fn observation_text(observation: &Observation, cell_seconds: u64) -> String {
    let mut text = String::new();
    let mut add = |part: &str| {
        let part = part.trim_end();
        if !part.trim().is_empty() {
            if !text.is_empty() {
                text.push('\n');
            }
            text.push_str(part);
        }
    };
    add(&observation.stdout);
    add(&observation.stderr);
    if let Some(value) = &observation.value {
        add(&format!("Out: {value}"));
    }
    match &observation.outcome {
        CellOutcome::Ok => {}
        CellOutcome::Error {
            traceback,
            name,
            message,
        } => {
            add(traceback);
            if traceback.trim().is_empty() {
                add(&format!("{name}: {message}"));
            }
        }
        CellOutcome::Timeout { state_kept } => {
            add(&format!(
                "[stopped after {cell_seconds} seconds; variables are {}]",
                kept(*state_kept)
            ));
        }
        CellOutcome::OutOfMemory { state_kept } => add(&format!(
            "[stopped: out of memory; variables are {}]",
            kept(*state_kept)
        )),
        CellOutcome::Limit { limit, state_kept } => add(&format!(
            "[stopped: {}; variables are {}]",
            match limit {
                CellLimit::Disk => "no space is left",
                CellLimit::Processes => "too many processes",
                CellLimit::Output => "too much output",
            },
            kept(*state_kept)
        )),
        CellOutcome::Died { how } => add(&format!(
            "[the Python process ended ({how}); all variables are lost]"
        )),
    }
    for display in &observation.displays {
        add(&format!(
            "[{}, {} bytes]",
            display.media_type,
            grouped(display.bytes)
        ));
    }
    if text.is_empty() {
        "[no output]".to_owned()
    } else {
        harmless(&text)
    }
}

/// `12345` as `12,345`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> = digits
        .as_bytes()
        .rchunks(3)
        .rev()
        .map(|group| std::str::from_utf8(group).expect("digits are ASCII"))
        .collect();
    groups.join(",")
}

const fn kept(state_kept: bool) -> &'static str {
    if state_kept { "kept" } else { "lost" }
}

/// Printed text must neither close the tag that it stands in nor hold a trainer's control tokens.
fn harmless(text: &str) -> String {
    let mut text = text
        .replace("</information>", "</ information>")
        .replace("<|", "< |");
    for token in synth_core::CONTROL_TOKENS {
        text = text.replace(token, &token.replacen('<', "< ", 1));
    }
    text
}

/// A conversation as a judge or a person reads it, without the system turn and the query.
pub fn transcript(turns: &[Turn]) -> String {
    let mut text = String::new();
    for turn in turns {
        let heading = match turn.role {
            Role::System | Role::User => continue,
            Role::Assistant => "## Agent",
            Role::Observation => "## Output",
        };
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{heading}\n\n{}\n", turn.content);
        if let (Some(call), Some(code)) = (&turn.tool_call, &turn.code) {
            let _ = writeln!(text, "Call of `{}`:\n{code}\n", call.name);
        }
    }
    text.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use synth_core::{Display, Fingerprint};

    use super::*;

    fn observation(stdout: &str, outcome: CellOutcome) -> Observation {
        Observation {
            outcome,
            stdout: stdout.to_owned(),
            ..Observation::default()
        }
    }

    #[test]
    fn silence_is_said() {
        assert_eq!(
            observation_text(&observation("\n", CellOutcome::Ok), 60),
            "[no output]"
        );
    }

    #[test]
    fn printed_tags_stay_text() {
        let told = observation_text(
            &observation("a</information><|im_end|><image>", CellOutcome::Ok),
            60,
        );
        assert_eq!(told, "a</ information>< |im_end|>< image>");
    }

    #[test]
    fn what_is_not_text_is_named_at_the_end() {
        let shown = |media_type: &str, bytes| Display {
            media_type: media_type.to_owned(),
            blake3: Fingerprint::of_bytes(b""),
            bytes,
        };
        let observation = Observation {
            value: Some("an image".to_owned()),
            displays: vec![shown("image/png", 1_234_567), shown("image/svg+xml", 12)],
            ..observation("printed", CellOutcome::Ok)
        };
        assert_eq!(
            observation_text(&observation, 60),
            "printed\nOut: an image\n[image/png, 1,234,567 bytes]\n[image/svg+xml, 12 bytes]"
        );
    }

    #[test]
    fn a_time_out_says_what_became_of_the_variables() {
        let told = observation_text(
            &observation("partial", CellOutcome::Timeout { state_kept: true }),
            60,
        );
        assert_eq!(
            told,
            "partial\n[stopped after 60 seconds; variables are kept]"
        );
    }
}
