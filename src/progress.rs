//! What is seen while a run goes on: bars on a terminal, lines elsewhere, JSON for machines. Only this file knows indicatif.

use std::io::{IsTerminal, Write};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use synth_pipeline::{Event, Observer, Spend, Summary};

use crate::table;

/// Lines are no more frequent than this.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Chooses how to show a run.
pub fn observer(json: bool) -> Box<dyn Observer> {
    if json {
        Box::new(JsonLines)
    } else if std::io::stderr().is_terminal() {
        Box::new(Bars {
            all: MultiProgress::new(),
            current: Mutex::default(),
        })
    } else {
        Box::new(Lines {
            current: Mutex::default(),
        })
    }
}

/// A stage under way.
#[derive(Default)]
struct Current {
    stage: &'static str,
    total: u64,
    done: u64,
    kept: u64,
    failed: u64,
    spend: Spend,
    /// The download under way, in words.
    download: String,
    bar: Option<ProgressBar>,
    started: Option<Instant>,
    last_line: Option<Instant>,
}

impl Current {
    fn start(stage: &'static str, total: u64) -> Self {
        Self {
            stage,
            total,
            started: Some(Instant::now()),
            ..Self::default()
        }
    }

    fn settle(&mut self, status: &str, spend: Spend) {
        self.done += 1;
        self.kept += u64::from(status == "kept");
        self.failed += u64::from(status == "failed");
        self.spend = spend;
    }

    fn message(&self) -> String {
        let mut parts = vec![format!("kept {}", self.kept)];
        if let Some(seconds) = self
            .started
            .map(|started| started.elapsed().as_secs_f64())
            .filter(|seconds| *seconds > 1.0)
        {
            parts.push(format!("{:.1}/s", self.done as f64 / seconds));
        }
        if self.failed > 0 {
            parts.push(format!("failed {}", self.failed));
        }
        if self.spend.calls > 0 {
            parts.push(format!("{} calls", table::thousands(self.spend.calls)));
            parts.push(format!(
                "{} tokens",
                table::thousands(self.spend.prompt_tokens + self.spend.completion_tokens)
            ));
            parts.push(format!("${:.2}", self.spend.usd));
        }
        if !self.download.is_empty() {
            parts.push(self.download.clone());
        }
        parts.join(", ")
    }
}

/// How far a download is.
fn download(event: &Event) -> String {
    let Event::Downloading {
        what,
        bytes,
        total,
        all,
        ..
    } = event
    else {
        return String::new();
    };
    let total = total.map_or(String::new(), |total| {
        format!(" of {}", table::bytes(total))
    });
    format!(
        "{what}: {}{total}; {} downloaded",
        table::bytes(*bytes),
        table::bytes(*all)
    )
}

/// A line that tells a stage's account.
fn account(summary: &Summary) -> String {
    let dropped = if summary.dropped.is_empty() {
        String::new()
    } else {
        format!(" ({})", table::reasons(&summary.dropped))
    };
    let failed = if summary.failed.is_empty() {
        String::new()
    } else {
        format!(" ({})", table::reasons(&summary.failed))
    };
    format!(
        "{:<13} read {}, kept {}, dropped {}{dropped}, failed {}{failed}; made {}; {:.1} s",
        summary.stage,
        summary.read,
        summary.kept,
        summary.dropped_total(),
        summary.failed_total(),
        summary.records,
        summary.seconds,
    )
}

/// One bar for each running stage; finished ones become lines above.
struct Bars {
    all: MultiProgress,
    current: Mutex<Current>,
}

impl Observer for Bars {
    fn on(&self, event: &Event) {
        let mut current = self.current.lock().expect("nobody panics while drawing");
        match event {
            Event::RunStarted { .. } => {}
            Event::StageStarted { stage, total } => {
                *current = Current::start(stage, *total);
                let style = ProgressStyle::with_template(
                    "{prefix:<13} {bar:16} {pos}/{len} eta {eta} {wide_msg}",
                )
                .expect("the template is a constant that a run on a terminal has shown");
                let bar = self.all.add(
                    ProgressBar::new(*total)
                        .with_style(style)
                        .with_prefix(*stage),
                );
                bar.enable_steady_tick(Duration::from_millis(500));
                current.bar = Some(bar);
            }
            Event::ItemSettled { status, spend, .. } => {
                current.settle(status, *spend);
                if let Some(bar) = &current.bar {
                    bar.set_position(current.done);
                    bar.set_message(current.message());
                }
            }
            Event::Explained { stage, id, why } => self.print(&format!("{stage:<13} {id}: {why}")),
            Event::Downloading { .. } => {
                current.download = download(event);
                if let Some(bar) = &current.bar {
                    bar.set_message(current.message());
                }
            }
            Event::Note { text } => self.print(text),
            Event::StageFinished { summary } => {
                if let Some(bar) = current.bar.take() {
                    bar.finish_and_clear();
                }
                self.print(&account(summary));
            }
        }
    }
}

impl Bars {
    fn print(&self, line: &str) {
        // A terminal that went away takes no more lines; the run goes on.
        let _ = self.all.println(line);
    }
}

/// A line when a stage begins or ends, and now and then between.
struct Lines {
    current: Mutex<Current>,
}

impl Observer for Lines {
    fn on(&self, event: &Event) {
        let mut current = self.current.lock().expect("nobody panics while writing");
        match event {
            Event::RunStarted { run } => line(&format!("run `{run}`")),
            Event::StageStarted { stage, total } => {
                *current = Current::start(stage, *total);
                current.last_line = Some(Instant::now());
            }
            Event::ItemSettled { status, spend, .. } => {
                current.settle(status, *spend);
                if current
                    .last_line
                    .is_none_or(|last| last.elapsed() >= LINE_EVERY)
                {
                    current.last_line = Some(Instant::now());
                    line(&format!(
                        "{:<13} {}/{} {}",
                        current.stage,
                        current.done,
                        current.total,
                        current.message()
                    ));
                }
            }
            Event::Explained { stage, id, why } => line(&format!("{stage:<13} {id}: {why}")),
            Event::Downloading { stage, .. } => {
                current.download = download(event);
                if current
                    .last_line
                    .is_none_or(|last| last.elapsed() >= LINE_EVERY)
                {
                    current.last_line = Some(Instant::now());
                    line(&format!("{stage:<13} {}", current.message()));
                }
            }
            Event::Note { text } => line(text),
            Event::StageFinished { summary } => line(&account(summary)),
        }
    }
}

fn line(text: &str) {
    // Without a stderr there is nobody to tell.
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Every event as a line of JSON on stdout.
struct JsonLines;

impl Observer for JsonLines {
    fn on(&self, event: &Event) {
        if let Ok(text) = serde_json::to_string(event) {
            // Whoever reads may go away; the run goes on.
            let _ = writeln!(std::io::stdout(), "{text}");
        }
    }
}
