//! An agent loop around the teacher over real Python, as the product has one around any model.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};
use synth_teacher::{TeacherConfig, complete};

/// The Python to test with: it needs numpy, pandas, `SciPy`, scikit-learn and statsmodels.
pub fn python() -> Option<PathBuf> {
    let python = std::env::var_os("SYNTH_TEST_PYTHON").map(PathBuf::from);
    if python.is_none() {
        eprintln!(
            "skipped: SYNTH_TEST_PYTHON names no Python with numpy, pandas, scipy, scikit-learn and statsmodels"
        );
    }
    python
}

/// A Python process whose names live on from cell to cell.
pub struct Worker {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Worker {
    pub fn start(python: &Path) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/driver/worker.py");
        let mut child = Command::new(python)
            .arg(script)
            .env("OMP_NUM_THREADS", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the test Python starts");
        let input = child.stdin.take().expect("stdin is piped");
        let output = BufReader::new(child.stdout.take().expect("stdout is piped"));
        Self {
            child,
            input,
            output,
        }
    }

    fn ask(&mut self, request: &Value) -> Value {
        writeln!(self.input, "{request}").expect("the worker reads");
        self.input.flush().expect("the worker reads");
        let mut line = String::new();
        self.output
            .read_line(&mut line)
            .expect("the worker answers");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
    }

    /// A fresh namespace in this folder.
    pub fn open(&mut self, folder: &Path) {
        self.ask(&json!({"op": "open", "folder": folder}));
    }

    pub fn run(&mut self, code: &str) -> String {
        self.ask(&json!({"op": "run", "code": code}))["output"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    /// The tables under `data/` of this folder, as the product's prompts describe them.
    pub fn tables(&mut self, folder: &Path) -> Value {
        self.ask(&json!({"op": "tables", "folder": folder}))["tables"].clone()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// A prompt of the product, rendered.
pub fn prompt(name: &str, values: &Value) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../prompts");
    let mut environment = minijinja::Environment::new();
    for name in [
        "tables",
        "queries/explore",
        "trajectories/solve",
        "trajectories/predict",
        "agent/tags",
        "agent/tools",
        "judge/grade",
        "prepare/instructions_steps",
        "prepare/instructions_prose",
        "prepare/instructions_brief",
    ] {
        let text =
            std::fs::read_to_string(root.join(format!("{name}.md"))).expect("the prompt is there");
        let body = text
            .splitn(3, "---\n")
            .nth(2)
            .expect("a prompt has front matter")
            .to_owned();
        environment
            .add_template_owned(name.to_owned(), body)
            .expect("the prompt parses");
    }
    environment
        .get_template(name)
        .expect("the prompt is known")
        .render(minijinja::value::Serde(values))
        .expect("the prompt renders")
}

pub fn system(tools: bool) -> String {
    prompt(
        if tools { "agent/tools" } else { "agent/tags" },
        &json!({"turns": 15, "cell_seconds": 60}),
    )
}

/// What came of a conversation.
pub struct Ended {
    pub answer: Option<String>,
    pub cells: Vec<(String, String)>,
    pub thoughts: Vec<String>,
}

/// Plays a whole conversation.
pub fn converse(
    config: &TeacherConfig,
    worker: &mut Worker,
    folder: &Path,
    task: &str,
    seed: u64,
    tools: bool,
) -> Ended {
    worker.open(folder);
    let mut messages = vec![
        json!({"role": "system", "content": system(tools)}),
        json!({"role": "user", "content": task}),
    ];
    let mut ended = Ended {
        answer: None,
        cells: Vec::new(),
        thoughts: Vec::new(),
    };
    for _ in 0..15 {
        let mut request = json!({"model": "builtin/teacher", "messages": messages, "seed": seed, "temperature": 1.0});
        if tools {
            request["tools"] = json!([{"type": "function", "function": {"name": "python"}}]);
        }
        let reply = complete(config, &request)["choices"][0]["message"].clone();
        let content = reply["content"].as_str().unwrap_or_default().to_owned();
        ended.thoughts.push(
            content
                .split("<code>")
                .next()
                .unwrap_or_default()
                .to_owned(),
        );
        messages.push(reply.clone());
        if let Some((_, rest)) = content.split_once("<answer>\n") {
            ended.answer = Some(
                rest.split("\n</answer>")
                    .next()
                    .unwrap_or_default()
                    .to_owned(),
            );
            break;
        }
        let code = if tools {
            let arguments = reply["tool_calls"][0]["function"]["arguments"]
                .as_str()
                .expect("a call or an answer");
            serde_json::from_str::<Value>(arguments).expect("arguments are JSON")["code"]
                .as_str()
                .expect("code")
                .to_owned()
        } else {
            let start = content.find("<code>\n").expect("code or an answer") + 7;
            content[start..content.rfind("\n</code>").expect("the code ends")].to_owned()
        };
        let output = worker.run(&code);
        messages.push(if tools {
            json!({"role": "tool", "tool_call_id": reply["tool_calls"][0]["id"], "content": output})
        } else {
            json!({"role": "user", "content": format!("<information>\n{output}\n</information>")})
        });
        ended.cells.push((code, output));
    }
    ended
}

/// The values of an answer such as `@a[1], @b[x]`.
pub fn values(answer: &str) -> Vec<(String, String)> {
    answer
        .split('@')
        .skip(1)
        .filter_map(|part| {
            let (name, rest) = part.split_once('[')?;
            let (value, _) = rest.rsplit_once(']')?;
            Some((name.trim().to_owned(), value.trim().to_owned()))
        })
        .collect()
}

/// Whether two answers hold the same values: numbers within a tolerance, all else as text without case.
pub fn same(one: &[(String, String)], other: &[(String, String)], tolerance: f64) -> bool {
    one.len() == other.len()
        && one.iter().all(|(name, value)| {
            other.iter().any(|(their_name, theirs)| {
                name == their_name
                    && match (
                        value.trim_end_matches('%').parse::<f64>(),
                        theirs.trim_end_matches('%').parse::<f64>(),
                    ) {
                        (Ok(a), Ok(b)) => (a - b).abs() <= tolerance * (1.0 + b.abs()),
                        _ => value.to_lowercase() == theirs.to_lowercase(),
                    }
            })
        })
}
