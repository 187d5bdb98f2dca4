//! The real binary: started with arguments and an environment of its own, watched by a clock, read when it ended.

use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::KEY;

/// Longer than any of these runs takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(240);

/// The variable that names the folder of Python environments.
const CACHE: &str = "SYNTH__SANDBOX__CACHE";

/// A command line to be.
pub struct Synth {
    command: Command,
    logs: PathBuf,
}

impl Synth {
    /// `synth` in a folder. Its output goes to files beside that folder, so that nothing waits for a reader.
    pub fn new(folder: &std::path::Path, logs: PathBuf) -> Self {
        Self::wrapped(Command::new(env!("CARGO_BIN_EXE_synth")), folder, logs)
    }

    /// Another command that runs `synth` in the end.
    pub fn wrapped(mut command: Command, folder: &std::path::Path, logs: PathBuf) -> Self {
        // Where environments are kept is the machine's matter: all else is as it is for a user who has set nothing.
        let settings = std::env::vars().map(|(name, _)| name);
        for name in settings.filter(|name| name.starts_with("SYNTH") && name != CACHE) {
            command.env_remove(name);
        }
        command
            .current_dir(folder)
            .env("SYNTH_LOG", "warn")
            .env("COLUMNS", "110")
            .stdin(Stdio::null());
        Self { command, logs }
    }

    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    pub fn args(mut self, arguments: &[&str]) -> Self {
        self.command.args(arguments);
        self
    }

    pub fn set(self, key: &str, value: &str) -> Self {
        let argument = format!("{key}={value}");
        self.args(&["--set", &argument])
    }

    /// Starts it.
    pub fn start(mut self) -> Running {
        fs::create_dir_all(&self.logs).unwrap();
        let (stdout, stderr) = (self.logs.join("stdout"), self.logs.join("stderr"));
        self.command.stdout(File::create(&stdout).unwrap());
        self.command.stderr(File::create(&stderr).unwrap());
        Running {
            started: Instant::now(),
            child: self.command.spawn().unwrap(),
            stdout,
            stderr,
        }
    }

    /// Runs it to its end.
    pub fn run(self) -> Ended {
        self.start().wait()
    }

    /// Runs it to its end, which must be a good one.
    pub fn succeed(self) -> Ended {
        let ended = self.run();
        assert_eq!(ended.code, 0, "{}\n{}", ended.stdout, ended.stderr);
        ended
    }
}

/// A process under way.
pub struct Running {
    pub started: Instant,
    child: Child,
    stdout: PathBuf,
    stderr: PathBuf,
}

impl Running {
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has written to stdout so far.
    pub fn stdout(&self) -> String {
        read(&self.stdout)
    }

    /// What it has written to stderr so far.
    pub fn stderr(&self) -> String {
        read(&self.stderr)
    }

    pub fn is_over(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Waits until `condition` holds; fails when the process ends before or takes too long.
    pub fn wait_until(&mut self, what: &str, mut condition: impl FnMut(&Self) -> bool) {
        while !condition(self) {
            assert!(
                !self.is_over(),
                "ended before {what}:\n{}{}",
                self.stdout(),
                self.stderr()
            );
            assert!(
                self.started.elapsed() < PATIENCE,
                "waited too long for {what}:\n{}",
                self.stderr()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub fn signal(&self, signal: Signal) {
        let id = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(id, signal).unwrap();
    }

    /// `kill -9`; false when it had ended by itself.
    pub fn kill(&mut self) -> bool {
        if self.is_over() {
            return false;
        }
        self.child.kill().unwrap();
        // Between the look and the kill it may have ended; then its status says so.
        self.child.wait().unwrap().signal() == Some(9)
    }

    /// Waits for its end and reads what it said. Whatever that was, the key is not in it.
    pub fn wait(mut self) -> Ended {
        while !self.is_over() {
            if self.started.elapsed() > PATIENCE {
                self.child.kill().unwrap();
                panic!("it does not end:\n{}{}", self.stdout(), self.stderr());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let seconds = self.started.elapsed().as_secs_f64();
        let status = self.child.wait().unwrap();
        let ended = Ended {
            code: status.code().unwrap_or(-1),
            stdout: self.stdout(),
            stderr: self.stderr(),
            seconds,
        };
        assert!(
            !ended.stdout.contains(KEY) && !ended.stderr.contains(KEY),
            "the key shows:\n{}\n{}",
            ended.stdout,
            ended.stderr
        );
        ended
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.is_over() {
            // A test that failed half-way leaves nothing behind.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

fn read(path: &std::path::Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}

/// A process that ended.
#[derive(Debug)]
pub struct Ended {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
    pub seconds: f64,
}

impl Ended {
    /// Every line of stdout as JSON, for runs with `--json`.
    pub fn events(&self) -> Vec<Value> {
        let parse = |line: &str| {
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line}"))
        };
        self.stdout.lines().map(parse).collect()
    }

    /// The account at the end of a run with `--json`.
    pub fn account(&self) -> Value {
        let last = self
            .events()
            .pop()
            .unwrap_or_else(|| panic!("no events:\n{}", self.stderr));
        assert_eq!(last["event"], "run_finished", "{}", self.stderr);
        last
    }

    /// The account of one stage; null when it did not end.
    pub fn stage(&self, name: &str) -> Value {
        self.account()["stages"]
            .as_array()
            .unwrap()
            .iter()
            .find(|summary| summary["stage"] == name)
            .cloned()
            .unwrap_or_default()
    }

    /// Items that a stage worked on in this invocation.
    pub fn worked(&self, stage: &str) -> u64 {
        self.stage(stage)["worked"]
            .as_u64()
            .unwrap_or_else(|| panic!("stage `{stage}` did not end:\n{}", self.stderr))
    }

    /// A count of spending: `calls`, `cached`, `sandboxes`.
    pub fn spent(&self, what: &str) -> u64 {
        self.account()["spend"][what].as_u64().unwrap()
    }
}
