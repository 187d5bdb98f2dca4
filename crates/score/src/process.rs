//! Scoring in a process of its own: what an agent's code wrote is read by a clean one that holds nothing else, may use only so much
//! memory and time, and whose end is the end of one score.
//!
//! [`Scorer::score_predictions`] starts the executable that it was given; that calls [`answer`] with its standard streams. What goes
//! in is a line of JSON and the bytes of both tables; what comes out is a [`Score`] as JSON.

use std::io::{self, BufRead, Read, Write};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, setrlimit};
use serde::{Deserialize, Serialize};
use synth_core::{Predictions, Score};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;
use tokio::time::timeout;

use crate::{refused, score_predictions};

/// Address space of a scoring process: many times what the largest submission needs.
const MEMORY_BYTES: u64 = 2 << 30;
/// Time on a processor, in seconds.
const CPU_SECONDS: u64 = 60;
/// Wall time, for a machine that is busy.
const WALL: Duration = Duration::from_secs(300);
/// A score is a few hundred bytes.
const MAX_ANSWER: u64 = 1 << 20;

/// Where scoring happens.
#[derive(Clone, Debug, Default)]
pub enum Scorer {
    /// In this process: for programs that have no executable to start.
    #[default]
    Here,
    /// In a new process of this executable, called with these arguments, which hands its standard streams to [`answer`].
    Process {
        /// The executable.
        executable: PathBuf,
        /// Its arguments.
        arguments: Vec<String>,
    },
}

/// What is asked of a scoring process, beside the tables.
#[derive(Debug, Serialize, Deserialize)]
struct Question {
    rule: Predictions,
    truth_bytes: u64,
    prediction_bytes: Option<u64>,
    leaderboard_bytes: Option<u64>,
}

impl Scorer {
    /// As [`score_predictions`](crate::score_predictions). A process that came to no score gives 0 and the reason.
    ///
    /// # Errors
    ///
    /// When no process can be started or spoken to.
    pub async fn score_predictions(
        &self,
        rule: &Predictions,
        prediction: Option<&[u8]>,
        truth: &[u8],
        leaderboard: Option<&[u8]>,
    ) -> io::Result<Score> {
        let Self::Process {
            executable,
            arguments,
        } = self
        else {
            return Ok(score_predictions(rule, prediction, truth, leaderboard));
        };
        let question = Question {
            rule: rule.clone(),
            truth_bytes: truth.len() as u64,
            prediction_bytes: prediction.map(|bytes| bytes.len() as u64),
            leaderboard_bytes: leaderboard.map(|bytes| bytes.len() as u64),
        };
        let mut line = serde_json::to_vec(&question)?;
        line.push(b'\n');
        let mut process = Command::new(executable)
            .args(arguments)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        let (Some(mut input), Some(output)) = (process.stdin.take(), process.stdout.take()) else {
            return Err(io::ErrorKind::BrokenPipe.into());
        };
        let asking = async {
            let parts = [
                &line,
                truth,
                prediction.unwrap_or_default(),
                leaderboard.unwrap_or_default(),
            ];
            for part in parts {
                // A process that ends before it has read everything says why by how it ends.
                if input.write_all(part).await.is_err() {
                    break;
                }
            }
            drop(input);
        };
        let mut said = Vec::new();
        let mut output = output.take(MAX_ANSWER);
        let talk = async {
            let ((), read) = tokio::join!(asking, output.read_to_end(&mut said));
            read?;
            process.wait().await
        };
        match timeout(WALL, talk).await {
            Ok(status) => {
                let status = status?;
                Ok(serde_json::from_slice(&said).unwrap_or_else(|_| {
                    refused(format!("scoring ended without a score ({status})"))
                }))
            }
            Err(_) => Ok(refused(format!(
                "scoring took more than {} seconds",
                WALL.as_secs()
            ))),
        }
    }
}

/// The other side: limits this process, reads one question and its tables, and writes the score.
///
/// # Errors
///
/// When the question is none, or a stream fails.
pub fn answer(mut input: impl BufRead, mut output: impl Write) -> io::Result<()> {
    confine()?;
    let mut line = String::new();
    input.by_ref().take(1 << 20).read_line(&mut line)?;
    let question: Question = serde_json::from_str(&line)?;
    let truth = exactly(&mut input, question.truth_bytes)?;
    let mut optional = |count: Option<u64>| match count {
        Some(count) => exactly(&mut input, count).map(Some),
        None => Ok(None),
    };
    let prediction = optional(question.prediction_bytes)?;
    let leaderboard = optional(question.leaderboard_bytes)?;
    let score = score_predictions(
        &question.rule,
        prediction.as_deref(),
        &truth,
        leaderboard.as_deref(),
    );
    output.write_all(&serde_json::to_vec(&score)?)?;
    output.flush()
}

/// No more memory and time than a score needs, no further process, no file, no core.
fn confine() -> io::Result<()> {
    for (resource, most) in [
        (Resource::As, MEMORY_BYTES),
        (Resource::Cpu, CPU_SECONDS),
        (Resource::Nproc, 0),
        (Resource::Fsize, 0),
        (Resource::Core, 0),
    ] {
        let limit = Rlimit {
            current: Some(most),
            maximum: Some(most),
        };
        setrlimit(resource, limit)?;
    }
    Ok(())
}

fn exactly(input: &mut impl Read, count: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    input.take(count).read_to_end(&mut bytes)?;
    if bytes.len() as u64 == count {
        Ok(bytes)
    } else {
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRUTH: &[u8] = b"id,y\n1,a\n2,b\n";

    fn rule() -> Predictions {
        Predictions {
            file: "submission.csv".into(),
            truth: synth_core::DataFile {
                path: "truth.csv".into(),
                bytes: 0,
                blake3: synth_core::Fingerprint::of_bytes(b""),
            },
            keys: vec!["id".into()],
            targets: vec!["y".into()],
            metric: synth_core::Metric::MacroF1,
            reward: synth_core::Rewarding::Value,
            success: 0.5,
            naive_error: None,
            exact_shape: false,
        }
    }

    fn shell(script: &str) -> Scorer {
        Scorer::Process {
            executable: "/bin/sh".into(),
            arguments: vec!["-c".into(), script.into()],
        }
    }

    async fn score(scorer: &Scorer) -> Score {
        scorer
            .score_predictions(&rule(), Some(TRUTH), TRUTH, None)
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn a_process_that_dies_gives_zero_and_says_how() {
        let score = score(&shell("kill -9 $$")).await;
        assert!(!score.success && score.reward.abs() < f64::EPSILON);
        assert!(score.reason.contains("signal: 9"), "{}", score.reason);
    }

    #[tokio::test]
    async fn a_process_that_says_nonsense_gives_zero() {
        let score = score(&shell("cat > /dev/null; echo '{\"reward\": 1}'")).await;
        assert!(!score.success && score.reward.abs() < f64::EPSILON);
    }

    #[tokio::test]
    async fn a_process_that_reads_nothing_is_no_error() {
        let large = vec![b'x'; 1 << 20];
        let score = shell("exit 3")
            .score_predictions(&rule(), Some(&large), &large, None)
            .await
            .unwrap();
        assert!(score.reason.contains("exit status: 3"), "{}", score.reason);
    }

    #[tokio::test]
    async fn an_executable_that_is_not_there_is_an_error() {
        let scorer = Scorer::Process {
            executable: "/no/such/executable".into(),
            arguments: Vec::new(),
        };
        let outcome = scorer.score_predictions(&rule(), None, TRUTH, None).await;
        assert!(outcome.is_err());
    }

    #[test]
    fn a_torn_question_is_an_error() {
        let mut bytes = &b"{\"rule\": {}"[..];
        assert!(serde_json::from_slice::<Question>(bytes).is_err());
        assert!(exactly(&mut bytes, 1000).is_err());
    }
}
