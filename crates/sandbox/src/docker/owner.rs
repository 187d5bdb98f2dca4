//! Whose a container is, in its labels, and how others tell that its owner is dead.

use std::collections::HashMap;
use std::fs;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The label with the start of a backend that made a container.
pub const RUN: &str = "synth.run";
const OWNER: &str = "synth.owner";
const DEADLINE: &str = "synth.deadline";
/// No container is meant to live longer; those of owners that cannot be looked at are swept after it.
const LEASE: Duration = Duration::from_secs(24 * 3600);

/// A process that owns containers: its boot, its process namespace, its id and when it began.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Process {
    boot: String,
    namespace: String,
    id: u32,
    began: String,
}

/// This process, and one start of a backend in it.
#[derive(Clone, Debug)]
pub struct Owner {
    process: Process,
    /// The start.
    pub run: String,
}

impl Owner {
    /// A new one.
    pub fn new() -> std::io::Result<Self> {
        let id = std::process::id();
        Ok(Self {
            process: Process {
                boot: boot()?,
                namespace: namespace()?,
                id,
                began: began(id).unwrap_or_default(),
            },
            run: format!("{:016x}", getrandom::u64()?),
        })
    }

    /// The labels of a container that is made now.
    pub fn labels(&self) -> HashMap<String, String> {
        let Process {
            boot,
            namespace,
            id,
            began,
        } = &self.process;
        HashMap::from([
            (RUN.to_owned(), self.run.clone()),
            (OWNER.to_owned(), format!("{boot}/{namespace}/{id}/{began}")),
            (DEADLINE.to_owned(), (now() + LEASE.as_secs()).to_string()),
        ])
    }

    /// Whether the container with these labels has no owner any more: the process is gone, or is out of sight and too late.
    pub fn is_orphan(&self, labels: &HashMap<String, String>) -> bool {
        let owner = labels.get(OWNER).map_or("", String::as_str);
        if let [boot, namespace, id, start] = owner.split('/').collect::<Vec<_>>()[..]
            && (boot, namespace) == (&*self.process.boot, &*self.process.namespace)
            && let Ok(id) = id.parse()
        {
            return began(id).is_none_or(|began| began != start);
        }
        let deadline = labels
            .get(DEADLINE)
            .and_then(|text| text.parse::<u64>().ok());
        deadline.is_some_and(|deadline| deadline < now())
    }
}

/// Seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

fn boot() -> std::io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?
        .trim()
        .to_owned())
}

fn namespace() -> std::io::Result<String> {
    let name = fs::read_link("/proc/self/ns/pid")?;
    Ok(name.to_string_lossy().replace(['/', '[', ']'], ""))
}

/// When a process began, in the kernel's ticks; `None` when there is no such process.
fn began(id: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name before may hold anything, spaces and parentheses too.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    (state != "Z" && state != "X").then(|| fields.nth(18).map(str::to_owned))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_living_owner_is_told_from_a_dead_one() {
        let ours = Owner::new().unwrap();
        assert!(!ours.is_orphan(&ours.labels()));
        let mut other = ours.clone();
        other.process.began = "1".into();
        assert!(ours.is_orphan(&other.labels()), "another had the id before");
        other.process.id = u32::MAX;
        assert!(ours.is_orphan(&other.labels()), "no such process");
        other.process.boot = "elsewhere".into();
        assert!(
            !ours.is_orphan(&other.labels()),
            "out of sight, but in time"
        );
        let late = HashMap::from([(DEADLINE.to_owned(), "1000".to_owned())]);
        assert!(ours.is_orphan(&late));
        assert!(!ours.is_orphan(&HashMap::new()));
    }
}
