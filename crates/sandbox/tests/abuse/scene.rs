//! One attempt: a sandbox under attack, and the check of everything else afterwards.

use std::fs;
use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::time::{Duration, Instant};

use synth_core::{CellOutcome, Observation};
use synth_sandbox::{Sandbox, SandboxSpec};
use tokio::time::timeout;

use crate::arena::Arena;

/// An attempt by its name.
pub struct Attempt {
    /// What is true if it fails.
    pub name: &'static str,
    /// The attack.
    pub run: for<'a> fn(&'a mut Scene<'_>) -> Pin<Box<dyn Future<Output = ()> + 'a>>,
}

/// A list of attempts from the names of their functions.
macro_rules! attempts {
    ($($name:ident),* $(,)?) => {
        pub const ATTEMPTS: &[$crate::scene::Attempt] = &[
            $($crate::scene::Attempt { name: stringify!($name), run: |scene| Box::pin($name(scene)) }),*
        ];
    };
}
pub(crate) use attempts;

/// Beyond a cell's own limit: the grace after the interrupt, the farewell of what was killed, a new interpreter, a busy machine.
const BEYOND: Duration = Duration::from_secs(20);
/// The same where a new interpreter takes seconds, and many of those on a busy machine.
const FAR_BEYOND: Duration = Duration::from_secs(120);

/// For cells that try what has to be refused: `attempt` prints a line for each, and only a refusal by the kernel counts as one.
pub const PRELUDE: &str = r"
import ctypes, errno, os, platform, socket
_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long
REFUSALS = {errno.EPERM, errno.EACCES, errno.ENOSYS, errno.EROFS, errno.ENOENT}
def call(number, *arguments):
    arguments = [ctypes.c_long(value) if isinstance(value, int) else value for value in arguments]
    ctypes.set_errno(0)
    result = _libc.syscall(ctypes.c_long(number), *arguments)
    if result == -1:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result
def attempt(name, action, *also):
    try:
        got = action()
    except OSError as error:
        if error.errno in REFUSALS or error.errno in also:
            print(name, 'refused')
        else:
            print(name, 'FAILED', repr(error))
    else:
        print(name, 'GOT', repr(got)[:300])
";

/// A sandbox under attack.
pub struct Scene<'a> {
    /// What is around it.
    pub arena: &'a Arena,
    /// How the sandbox is opened, by the first cell.
    pub spec: SandboxSpec,
    sandbox: Option<Box<dyn Sandbox>>,
    after: After,
    shares: bool,
}

/// What the attempt leaves of its own interpreter.
#[derive(Clone, Copy, PartialEq, Eq)]
enum After {
    /// The next cell is answered rightly, by it or by a new one.
    Sound,
    /// The next cell may be lost, with a reason that is told; the one after is answered rightly.
    SoundOnceMore,
    /// It lies to itself; its cells are still answered in time.
    Deranged,
}

impl<'a> Scene<'a> {
    /// Runs one attempt and finds out what it left behind.
    pub async fn play(arena: &'a Arena, attempt: &Attempt, tidy: bool) {
        // A sandbox in which things were only tried and refused serves the next attempt of that sort as well.
        let shares = tidy && arena.starts_are_dear;
        let mut scene = Scene {
            arena,
            spec: arena.spec(),
            sandbox: None,
            after: After::Sound,
            shares,
        };
        (attempt.run)(&mut scene).await;
        scene.finish().await;
    }

    /// A cell may run for so long.
    pub fn cell_seconds(&mut self, seconds: u64) {
        self.spec.limits.cell = Duration::from_secs(seconds);
    }

    /// The attempt breaks the protocol: the next cell may be told that its interpreter was lost to that.
    pub fn may_lose_the_next_cell(&mut self) {
        self.after = After::SoundOnceMore;
    }

    /// The attempt alters what `1 + 1` means to its own interpreter.
    pub fn deranges_itself(&mut self) {
        self.after = After::Deranged;
    }

    /// The variants of an attack that ends its interpreter; only the first of them where a new one is dear.
    pub fn some<'list, T>(&self, variants: &'list [T]) -> &'list [T] {
        if self.arena.starts_are_dear {
            &variants[..1]
        } else {
            variants
        }
    }

    /// How much longer than it should something may take before it is late.
    fn beyond(&self) -> Duration {
        if self.arena.starts_are_dear {
            FAR_BEYOND
        } else {
            BEYOND
        }
    }

    /// The sandbox, opened if it is not.
    pub async fn sandbox(&mut self) -> &mut dyn Sandbox {
        if self.sandbox.is_none() {
            let cell = self.spec.limits.cell;
            let mut usual = self.arena.spec();
            usual.limits.cell = cell;
            self.shares &= self.spec == usual;
            let shared = if self.shares {
                self.arena.shared.lock().unwrap().pop()
            } else {
                None
            };
            if let Some(mut sandbox) = shared {
                sandbox.limit_cell(cell);
                return self.sandbox.insert(sandbox).as_mut();
            }
            let opening = self.arena.sandboxes.open(&self.spec);
            self.sandbox = Some(
                timeout(self.beyond(), opening)
                    .await
                    .expect("it opens in time")
                    .unwrap(),
            );
        }
        self.sandbox.as_deref_mut().expect("it was opened above")
    }

    /// Runs a cell; panics if its reply is late or tells a secret.
    pub async fn run(&mut self, code: &str) -> Observation {
        let bound = self.spec.limits.cell + self.beyond();
        let arena = self.arena;
        let result = timeout(bound, self.sandbox().await.execute(code)).await;
        let result = result
            .unwrap_or_else(|_| panic!("no reply after {bound:?} to: {code}"))
            .unwrap();
        let observation = result.observation;
        let told = format!("{observation:?}");
        arena.assert_no_secret(&told).await;
        // Four streams of text, each with head, tail and a note, and the names around them.
        let most = 6 * self.spec.limits.output_bytes as usize + 20_000;
        let size = [&observation.stdout, &observation.stderr]
            .map(String::len)
            .iter()
            .sum::<usize>()
            + observation.value.as_ref().map_or(0, String::len);
        assert!(size < most, "{size} bytes were told");
        let harmless = |text: &str| {
            !text
                .chars()
                .any(|character| character.is_control() && !"\n\r\t".contains(character))
        };
        let value = observation.value.as_deref().unwrap_or_default();
        assert!(
            [&observation.stdout, &observation.stderr, value]
                .into_iter()
                .all(harmless),
            "{told}"
        );
        observation
    }

    /// Runs a cell that has to come to its end; what it printed.
    pub async fn stdout(&mut self, code: &str) -> String {
        let observation = self.run(code).await;
        assert_eq!(observation.outcome, CellOutcome::Ok, "{observation:?}");
        observation.stdout
    }

    /// Runs a cell of `attempt(name, action)` lines: every one of them has to be refused by the kernel.
    pub async fn refused(&mut self, code: &str) {
        let stdout = self.stdout(&format!("{PRELUDE}\n{code}")).await;
        let got: Vec<&str> = stdout
            .lines()
            .filter(|line| !line.ends_with(" refused"))
            .collect();
        assert!(got.is_empty(), "{got:#?}");
        assert!(!stdout.is_empty(), "nothing was tried");
    }

    /// Closes the sandbox and looks around.
    async fn finish(mut self) {
        let arena = self.arena;
        if self.after == After::SoundOnceMore {
            let observation = self.run("1 + 1").await;
            let lost = matches!(
                &observation.outcome,
                CellOutcome::Died { .. } | CellOutcome::Timeout { state_kept: false }
            );
            assert!(
                lost || observation.value.as_deref() == Some("2"),
                "{observation:?}"
            );
        }
        let observation = self.run("1 + 1").await;
        if self.after == After::Deranged {
            // It may say of itself what it likes, but it says it in time.
            let mut fresh = arena.sandboxes.open(&arena.spec()).await.unwrap();
            let observation = fresh.execute("1 + 1").await.unwrap().observation;
            assert_eq!(
                (&observation.outcome, observation.value.as_deref()),
                (&CellOutcome::Ok, Some("2"))
            );
            fresh.close().await;
        } else {
            let answer = (&observation.outcome, observation.value.as_deref());
            assert_eq!(answer, (&CellOutcome::Ok, Some("2")), "{observation:?}");
        }
        arena.neighbour_is_untouched().await;
        if self.shares && self.after == After::Sound {
            let sandbox = self.sandbox.take().expect("it was opened");
            arena.shared.lock().unwrap().push(sandbox);
            arena.assert_host_is_untouched();
            return;
        }
        let namespace = self.namespace().await;
        let sandbox = self.sandbox.take().expect("it was opened");
        let members = namespace
            .map(|namespace| members(&namespace))
            .unwrap_or_default();
        timeout(self.beyond(), sandbox.close())
            .await
            .expect("it closes in time");
        let started = Instant::now();
        while let Some(alive) = members.iter().find(|member| member.lives()) {
            assert!(
                started.elapsed() < Duration::from_secs(5),
                "process {} outlived its sandbox: {}",
                alive.pid,
                alive.command
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        arena.assert_host_is_untouched();
    }

    /// The pid namespace, as the host names it too; nothing where the interpreter does not say.
    async fn namespace(&mut self) -> Option<String> {
        let observation = self
            .run("import os\nos.readlink('/proc/self/ns/pid')")
            .await;
        let value = observation.value?;
        value
            .contains("pid:[")
            .then(|| value.trim_matches('\'').to_owned())
    }
}

/// A process of the host: its id may be taken by another one later, its start does not change.
pub struct Member {
    pid: String,
    started: String,
    command: String,
}

impl Member {
    fn lives(&self) -> bool {
        start_of(&self.pid).is_some_and(|started| started == self.started)
    }
}

/// The processes of a pid namespace, seen from the host.
pub fn members(namespace: &str) -> Vec<Member> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let is_in = fs::read_link(entry.path().join("ns/pid"))
            .is_ok_and(|link| link == Path::new(namespace));
        let pid = entry.file_name().to_string_lossy().into_owned();
        if let (true, Some(started)) = (is_in, start_of(&pid)) {
            let command = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            found.push(Member {
                pid,
                started,
                command: String::from_utf8_lossy(&command).into_owned(),
            });
        }
    }
    found
}

/// When a process started; nothing for one that has ended.
fn start_of(pid: &str) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit(')').next()?.split_whitespace().collect();
    (fields[0] != "Z" && fields[0] != "X").then(|| fields[19].to_owned())
}
