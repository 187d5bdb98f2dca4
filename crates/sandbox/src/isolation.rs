//! The layers that keep code in: which of them a level of isolation demands, and what is lost without each.

use synth_core::config::Isolation;

use crate::SandboxError;

/// One layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    /// A user namespace: root in it is nobody outside.
    User,
    /// A mount namespace: a file system of its own.
    Mount,
    /// A pid namespace: processes of its own, ended together.
    Pid,
    /// A network namespace without an interface.
    Network,
    /// An ipc namespace.
    Ipc,
    /// A uts namespace.
    Uts,
    /// A filter on system calls.
    Seccomp,
    /// Rules on files that no change of mounts lifts.
    Landlock,
    /// A bound on the memory of all processes together.
    Memory,
    /// A bound on their processor time.
    Cpu,
    /// A bound on their number.
    Processes,
}

/// A layer that a machine does not offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lacking {
    /// Which.
    pub layer: Layer,
    /// How that shows.
    pub why: String,
    /// How to get it.
    pub remedy: String,
}

impl Layer {
    /// All of them, from the outermost.
    pub const ALL: [Self; 11] = [
        Self::User,
        Self::Mount,
        Self::Pid,
        Self::Network,
        Self::Ipc,
        Self::Uts,
        Self::Seccomp,
        Self::Landlock,
        Self::Memory,
        Self::Cpu,
        Self::Processes,
    ];

    /// What to call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::User => "user namespace",
            Self::Mount => "mount namespace",
            Self::Pid => "pid namespace",
            Self::Network => "network namespace",
            Self::Ipc => "ipc namespace",
            Self::Uts => "uts namespace",
            Self::Seccomp => "seccomp",
            Self::Landlock => "landlock",
            Self::Memory => "memory cgroup",
            Self::Cpu => "cpu cgroup",
            Self::Processes => "pids cgroup",
        }
    }

    /// The lowest level that demands it.
    pub const fn demanded_by(self) -> Isolation {
        match self {
            Self::Landlock | Self::Memory | Self::Cpu | Self::Processes => Isolation::Strict,
            _ => Isolation::Standard,
        }
    }

    /// What it gives.
    pub const fn gives(self) -> &'static str {
        match self {
            Self::User => "code has no right on the host, whoever it is inside",
            Self::Mount => {
                "a sandbox sees its interpreter, its task's files and its workspace, no other file"
            }
            Self::Pid => "a sandbox sees its own processes only, and all of them end with it",
            Self::Network => {
                "a sandbox has no network, no loopback of the host and none of its abstract sockets"
            }
            Self::Ipc => "a sandbox has shared memory and queues of its own",
            Self::Uts => "a sandbox has a host name of its own",
            Self::Seccomp => "system calls that no analysis makes are refused",
            Self::Landlock => "files outside the sandbox stay shut even to a mistake in the mounts",
            Self::Memory => {
                "the memory of a sandbox's processes and files is bounded together; being killed for it is told apart"
            }
            Self::Cpu => "a sandbox takes no more processor time than its share",
            Self::Processes => {
                "the processes and threads of a sandbox are bounded together; being refused one is told apart"
            }
        }
    }

    /// What is lost without it.
    pub const fn lost(self) -> &'static str {
        match self {
            Self::User | Self::Mount => {
                "code can read the files that you can read, hidden truth among them"
            }
            Self::Pid => {
                "code can see and signal your processes, and may leave some of its own behind"
            }
            Self::Network => "code can reach the network and every service of this host",
            Self::Ipc => "code can reach the shared memory of your other programs",
            Self::Uts => "code can read the host's name",
            Self::Seccomp => "more of the kernel is within reach of the code",
            Self::Landlock => "there is one layer less between the code and the host's files",
            Self::Memory => {
                "memory is bounded for each process, and for all together only by a watchdog that looks now and then; \
                 memory that belongs to no process is not counted"
            }
            Self::Cpu => {
                "one sandbox can take the processors from the others; its processes run at a lower priority only"
            }
            Self::Processes => {
                "processes are bounded for each user only, and a refusal is not told apart from other errors"
            }
        }
    }

    /// How to get it, where the machine at large refuses it.
    pub const fn remedy(self) -> &'static str {
        match self {
            Self::Seccomp => "use a kernel with CONFIG_SECCOMP_FILTER on x86-64 or aarch64",
            Self::Landlock => {
                "use Linux 5.13 or newer and boot with `landlock` in the list of `lsm=` (see `/sys/kernel/security/lsm`)"
            }
            Self::Memory | Self::Cpu | Self::Processes => {
                "run `synth doctor`, which says how control groups are to be had here"
            }
            _ => {
                "allow unprivileged user namespaces: `sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0` on Ubuntu, \
                 `sudo sysctl kernel.unprivileged_userns_clone=1` on older Debian; in a container, start it with `--security-opt \
                 seccomp=unconfined --security-opt apparmor=unconfined`"
            }
        }
    }

    /// The layer that a refusal in words is about.
    pub fn blamed_in(refusal: &str) -> Self {
        let named = |layer: &Self| refusal.contains(layer.name());
        Self::ALL.into_iter().find(named).unwrap_or(Self::Mount)
    }

    /// The layer as lacking, with the way out that depends on why.
    pub fn refused(self, why: impl Into<String>) -> Lacking {
        let why = why.into();
        // What the kernel says when `user.max_user_namespaces` and its like are used up.
        let used_up = why.contains("No space left on device") || why.contains("os error 28");
        let remedy = if used_up {
            let limit = self.limit_name();
            format!(
                "the limit on such namespaces is reached: raise it with `sudo sysctl user.max_{limit}_namespaces=15000`"
            )
        } else {
            self.remedy().to_owned()
        };
        Lacking {
            layer: self,
            why,
            remedy,
        }
    }

    /// Its word in the names of the limits `user.max_…_namespaces`.
    const fn limit_name(self) -> &'static str {
        match self {
            Self::Mount => "mnt",
            Self::Pid => "pid",
            Self::Network => "net",
            Self::Ipc => "ipc",
            Self::Uts => "uts",
            _ => "user",
        }
    }
}

/// The highest level that a machine reaches that lacks these.
pub fn reached(lacking: &[Lacking]) -> Isolation {
    let demanded = |level| {
        lacking
            .iter()
            .any(|lacking| lacking.layer.demanded_by() <= level)
    };
    if demanded(Isolation::Standard) {
        Isolation::Weak
    } else if demanded(Isolation::Strict) {
        Isolation::Standard
    } else {
        Isolation::Strict
    }
}

/// Refuses to go below `level`, naming each layer that it demands and how to get it.
pub fn demand(level: Isolation, lacking: &[Lacking]) -> Result<(), SandboxError> {
    if level <= reached(lacking) {
        return Ok(());
    }
    // Layers that one thing would bring stand together.
    let mut missing: Vec<(Vec<&str>, String)> = Vec::new();
    for Lacking { layer, why, remedy } in lacking {
        if layer.demanded_by() > level {
            continue;
        }
        let reason = format!("{why}; {remedy}");
        match missing.last_mut() {
            Some((layers, known)) if *known == reason => layers.push(layer.name()),
            _ => missing.push((vec![layer.name()], reason)),
        }
    }
    let missing: Vec<String> = missing
        .iter()
        .map(|(layers, reason)| format!("{} ({reason})", layers.join(", ")))
        .collect();
    let reached = reached(lacking);
    let lost: Vec<&str> = lacking
        .iter()
        .filter(|lacking| lacking.layer.demanded_by() > reached)
        .map(|lacking| lacking.layer.lost())
        .collect();
    Err(SandboxError::Isolation {
        missing: format!(
            "`sandbox.isolation = \"{}\"` demands {}",
            level.name(),
            missing.join(", ")
        ),
        remedy: format!(
            "get that, or set `sandbox.isolation = \"{}\"`, and know that {}",
            reached.name(),
            without_repeats(&lost).join("; ")
        ),
    })
}

fn without_repeats<'a>(texts: &[&'a str]) -> Vec<&'a str> {
    let mut kept = Vec::new();
    for text in texts {
        if !kept.contains(text) {
            kept.push(*text);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_with_every_layer_reaches_every_level() {
        assert_eq!(reached(&[]), Isolation::Strict);
        for level in [Isolation::Weak, Isolation::Standard, Isolation::Strict] {
            assert!(demand(level, &[]).is_ok());
        }
    }

    #[test]
    fn without_cgroups_and_landlock_the_standard_level_is_reached() {
        let lacking = [
            Layer::Landlock.refused("Function not implemented"),
            Layer::Memory.refused("not delegated"),
        ];
        assert_eq!(reached(&lacking), Isolation::Standard);
        assert!(demand(Isolation::Standard, &lacking).is_ok());
        let error = demand(Isolation::Strict, &lacking).unwrap_err().to_string();
        for part in [
            "demands landlock (Function",
            "`lsm=`",
            "memory cgroup (not delegated",
            "set `sandbox.isolation = \"standard\"`",
            "by a watchdog",
        ] {
            assert!(error.contains(part), "{part}: {error}");
        }
    }

    #[test]
    fn without_namespaces_only_the_weak_level_is_reached() {
        let lacking = [
            Layer::User.refused("Operation not permitted"),
            Layer::Cpu.refused("none"),
        ];
        assert_eq!(reached(&lacking), Isolation::Weak);
        assert!(demand(Isolation::Weak, &lacking).is_ok());
        let error = demand(Isolation::Standard, &lacking)
            .unwrap_err()
            .to_string();
        assert!(error.contains("sysctl") && error.contains("isolation = \"weak\""));
        // What the level does not demand is not complained of.
        assert!(!error.contains("cpu cgroup"), "{error}");
        assert!(error.contains("hidden truth"), "{error}");
    }

    #[test]
    fn the_documentation_names_every_layer_with_its_level() {
        let page = include_str!("../../../docs/isolation.md");
        for layer in Layer::ALL {
            let row = format!("| {} | {} |", layer.name(), layer.demanded_by().name());
            assert!(page.contains(&row), "{row}");
        }
    }

    #[test]
    fn a_limit_on_namespaces_that_is_used_up_is_named() {
        let lacking = Layer::Mount.refused("mount namespace: No space left on device");
        assert!(lacking.remedy.contains("user.max_mnt_namespaces=15000"));
        let lacking = Layer::User.refused("No space left on device (os error 28)");
        assert!(lacking.remedy.contains("user.max_user_namespaces=15000"));
    }
}
