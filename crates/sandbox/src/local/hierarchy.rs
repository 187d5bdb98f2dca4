//! Where the kernel's control group hierarchies are mounted, and which group of each we are in.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// Something that a control group bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Controller {
    /// Memory of all processes together, files in a tmpfs too.
    Memory,
    /// Time on the processors.
    Cpu,
    /// Processes and threads.
    Pids,
}

impl Controller {
    /// All that a sandbox wants.
    pub const ALL: [Self; 3] = [Self::Memory, Self::Cpu, Self::Pids];

    /// The kernel's name for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Cpu => "cpu",
            Self::Pids => "pids",
        }
    }

    /// Those named in `text`, between spaces or commas.
    pub fn named_in(text: &str) -> Vec<Self> {
        let names: Vec<&str> = text.split([' ', ',', '\n']).collect();
        Self::ALL
            .into_iter()
            .filter(|controller| names.contains(&controller.name()))
            .collect()
    }
}

/// Which of the kernel's two interfaces a hierarchy has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// One hierarchy for each controller, or a few.
    V1,
    /// One for all.
    V2,
}

/// A mounted hierarchy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hierarchy {
    /// Its interface.
    pub version: Version,
    /// What it bounds; for version 2 the groups' own files tell.
    pub controllers: Vec<Controller>,
    /// The topmost group that can be seen.
    pub top: PathBuf,
    /// The group that this process is in.
    pub ours: PathBuf,
}

/// The hierarchies that this process sees itself in: those of version 1 with a controller of interest, and that of version 2.
pub fn find() -> io::Result<Vec<Hierarchy>> {
    let mounts = fs::read_to_string("/proc/self/mountinfo")?;
    let memberships = fs::read_to_string("/proc/self/cgroup")?;
    Ok(parse(&mounts, &memberships))
}

fn parse(mounts: &str, memberships: &str) -> Vec<Hierarchy> {
    let mut found: Vec<Hierarchy> = Vec::new();
    for mount in mounts.lines() {
        // 36 35 98:0 /root /mount/point options [tags …] - type source options
        let Some((head, tail)) = mount.split_once(" - ") else {
            continue;
        };
        let head: Vec<&str> = head.split(' ').collect();
        let tail: Vec<&str> = tail.split(' ').collect();
        let (Some(&root), Some(&point), Some(&kind)) = (head.get(3), head.get(4), tail.first())
        else {
            continue;
        };
        let (version, controllers) = match kind {
            "cgroup" => (
                Version::V1,
                Controller::named_in(tail.get(2).unwrap_or(&"")),
            ),
            "cgroup2" => (Version::V2, Vec::new()),
            _ => continue,
        };
        if version == Version::V1 && controllers.is_empty() {
            continue;
        }
        let top = unescape(point);
        let Some(ours) = membership(memberships, version, &controllers)
            .and_then(|group| below(&unescape(root), group))
        else {
            continue;
        };
        let ours = top.join(ours);
        let hierarchy = Hierarchy {
            version,
            controllers,
            top,
            ours,
        };
        // A hierarchy can be mounted more than once; the first will do.
        let seen = |other: &Hierarchy| {
            other.version == version && other.controllers == hierarchy.controllers
        };
        if !found.iter().any(seen) {
            found.push(hierarchy);
        }
    }
    found
}

/// The group of this process in a hierarchy: `8:cpu,cpuacct:/group` of version 1, `0::/group` of version 2.
fn membership<'a>(
    memberships: &'a str,
    version: Version,
    controllers: &[Controller],
) -> Option<&'a str> {
    memberships.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':');
        let (id, names, group) = (fields.next()?, fields.next()?, fields.next()?);
        let ours = match version {
            Version::V1 => Controller::named_in(names) == controllers,
            Version::V2 => id == "0" && names.is_empty(),
        };
        ours.then_some(group)
    })
}

/// `group` as seen from a mount that shows `root` and what is below it; nothing if the mount does not show it.
fn below(root: &Path, group: &str) -> Option<PathBuf> {
    let group = Path::new(group);
    let hidden = group
        .components()
        .any(|part| part == std::path::Component::ParentDir);
    // Inside a cgroup namespace both are relative to the namespace's root.
    let relative = group.strip_prefix(root).ok()?;
    (!hidden).then(|| relative.to_owned())
}

/// Undoes mountinfo's octal escapes.
fn unescape(text: &str) -> PathBuf {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let octal = tail.get(..3).and_then(|digits| {
            let digits = std::str::from_utf8(digits).ok()?;
            u8::from_str_radix(digits, 8).ok()
        });
        match octal {
            Some(byte) if first == b'\\' => {
                bytes.push(byte);
                rest = &tail[3..];
            }
            _ => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    PathBuf::from(OsString::from_vec(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_laptop_has_one_hierarchy_of_version_2() {
        let mounts = "22 61 0:20 / /sys rw,nosuid,nodev,noexec,relatime shared:2 - sysfs sysfs rw\n\
            26 22 0:24 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:4 - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot\n";
        let memberships =
            "0::/user.slice/user-1000.slice/user@1000.service/app.slice/vte-spawn-1.scope\n";
        let found = parse(mounts, memberships);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].version, Version::V2);
        assert_eq!(found[0].top, Path::new("/sys/fs/cgroup"));
        let app = "/sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service/app.slice";
        assert_eq!(found[0].ours, Path::new(app).join("vte-spawn-1.scope"));
    }

    #[test]
    fn a_container_sees_its_own_group_as_the_top() {
        // With a cgroup namespace, version 2.
        let mounts = "700 690 0:26 / /sys/fs/cgroup ro,nosuid,nodev,noexec,relatime - cgroup2 cgroup rw,nsdelegate\n";
        let found = parse(mounts, "0::/\n");
        assert_eq!(found[0].ours, Path::new("/sys/fs/cgroup/"));
        // Without one, version 1: the mount shows the container's group only.
        let mounts = "701 690 0:30 /docker/4f /sys/fs/cgroup/memory ro,relatime - cgroup cgroup rw,memory\n\
            702 690 0:31 /docker/4f /sys/fs/cgroup/cpu,cpuacct ro,relatime - cgroup cgroup rw,cpu,cpuacct\n";
        let found = parse(
            mounts,
            "9:memory:/docker/4f\n4:cpu,cpuacct:/docker/4f/inner\n",
        );
        assert_eq!(found[0].ours, Path::new("/sys/fs/cgroup/memory/"));
        assert_eq!(found[1].ours, Path::new("/sys/fs/cgroup/cpu,cpuacct/inner"));
        assert_eq!(found[1].controllers, [Controller::Cpu]);
    }

    #[test]
    fn a_hybrid_has_controllers_in_version_1_and_a_unified_hierarchy_beside() {
        let mounts = "31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n\
            32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu\n\
            35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n\
            39 31 0:36 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids\n\
            40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd\n\
            41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n";
        let memberships =
            "9:name=systemd:/\n8:pids:/\n4:memory:/jobs/e72a\n2:cpuacct:/\n1:cpu:/\n0::/\n";
        let found = parse(mounts, memberships);
        let names: Vec<_> = found
            .iter()
            .flat_map(|hierarchy| &hierarchy.controllers)
            .collect();
        assert_eq!(
            names,
            [&Controller::Cpu, &Controller::Memory, &Controller::Pids]
        );
        assert_eq!(found[1].ours, Path::new("/sys/fs/cgroup/memory/jobs/e72a"));
        assert_eq!(found[3].version, Version::V2);
    }

    #[test]
    fn a_group_that_the_mount_does_not_show_is_no_place() {
        let mounts = "26 22 0:24 /other /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
        assert_eq!(parse(mounts, "0::/mine\n"), []);
        let mounts = "26 22 0:24 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
        assert_eq!(parse(mounts, "0::/../../elsewhere\n"), []);
    }

    #[test]
    fn a_mount_point_with_a_space_is_read() {
        assert_eq!(unescape(r"/with\040space"), Path::new("/with space"));
        assert_eq!(unescape(r"/with\"), Path::new(r"/with\"));
    }
}
