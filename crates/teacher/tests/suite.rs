//! The share of a real suite's questions, asked in words that are not the teacher's, that it answers right.

#![expect(
    clippy::print_stderr,
    reason = "measurements are shown with --nocapture"
)]

mod driver;

use driver::{Worker, converse, prompt, python, same, values};
use serde_json::{Value, json};
use synth_teacher::TeacherConfig;

#[test]
#[ignore = "needs an unpacked suite in DSGym's task format, its folder named by SYNTH_TEST_SUITE"]
fn a_decent_share_of_a_real_suite_is_answered() {
    let (Some(python), Ok(suite)) = (python(), std::env::var("SYNTH_TEST_SUITE")) else {
        return;
    };
    let root = std::path::PathBuf::from(suite);
    let file = std::fs::read_dir(&root)
        .expect("readable")
        .map(|entry| entry.expect("readable").path())
        .find(|path| {
            path.extension()
                .is_some_and(|extension| extension == "json")
        })
        .expect("a suite has a JSON file");
    let tasks: Vec<Value> =
        serde_json::from_slice(&std::fs::read(file).expect("readable")).expect("a list of tasks");
    let mut worker = Worker::start(&python);
    let (mut right, mut wrong, mut honest) = (0, 0, 0);
    for (number, task) in tasks.iter().enumerate() {
        let folder =
            std::env::temp_dir().join(format!("synth-teacher-suite-{}", std::process::id()));
        std::fs::remove_dir_all(&folder).ok();
        std::fs::create_dir_all(folder.join("data")).expect("writable");
        for path in task["data"].as_array().expect("paths") {
            let path = path.as_str().expect("a path").trim_start_matches('/');
            let name = path.rsplit('/').next().expect("a name");
            std::fs::copy(root.join(path), folder.join("data").join(name)).expect("readable");
        }
        let tables = worker.tables(&folder);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let message = prompt(
            "trajectories/solve",
            &json!({"title": "t", "context": task["context"], "tables": tables, "question": text(&task["question"]),
                "constraints": text(&task["metadata"]["constraints"]), "answer_format": text(&task["metadata"]["format"])}),
        );
        let ended = converse(
            &TeacherConfig {
                error_rate: 0.0,
                wrong_rate: 0.0,
            },
            &mut worker,
            &folder,
            &message,
            1,
            false,
        );
        let answer = ended.answer.expect("every attempt ends with an answer");
        let literal = text(&task["answer"])
            .replace("['", "[\"")
            .replace("']", "\"]")
            .replace("', '", "\", \"")
            .replace("\", '", "\", \"")
            .replace("', \"", "\", \"");
        let expected: Vec<(String, String)> =
            serde_json::from_str::<Vec<(String, String)>>(&literal).unwrap_or_default();
        let got = values(&answer);
        let verdict = if got.is_empty() {
            honest += 1;
            "none"
        } else if same(&got, &expected, 1e-6) {
            right += 1;
            "right"
        } else {
            wrong += 1;
            "wrong"
        };
        let last = ended
            .cells
            .last()
            .map(|cell| cell.1.lines().rev().take(2).collect::<Vec<_>>().join(" / "))
            .unwrap_or_default();
        eprintln!(
            "{number} {verdict}: {answer} | expected {expected:?} | {}",
            last.chars().take(200).collect::<String>()
        );
    }
    eprintln!(
        "{right} right, {wrong} wrong, {honest} without an answer, of {}",
        tasks.len()
    );
    assert!(
        right * 143 >= 35 * tasks.len(),
        "{right} of {}",
        tasks.len()
    );
}
