//! What a sandbox is shown of the file system, as a list of steps that the jail does.
//!
//! Three lists: the [`skeleton`] of all roots is laid out once, read-only; each sandbox gets a copy of it with [`own`] mounts in
//! it; what depends on the task is added when the sandbox is [handed out](for_task).

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::{MountedFile, SandboxLimits};

/// The user and group that the agent sees itself as.
const INSIDE_ID: u32 = 1000;
/// What a list of steps may be long, so that the jail can take it at once.
const MAX_LIST: usize = 60_000;
const READ_ONLY: &str = "1";
const LOCKED: &str = "3"; // read-only, nosuid
const LOCKED_NODEV: &str = "7"; // and nodev

/// A list of steps, and which layer of the sandbox each of them is.
#[derive(Default)]
pub struct Steps {
    list: Vec<Vec<u8>>,
    layers: Vec<String>,
}

impl Steps {
    fn add(&mut self, letter: u8, arguments: &[&OsStr], layer: impl Into<String>) {
        let mut step = vec![letter];
        for argument in arguments {
            step.extend_from_slice(argument.as_bytes());
            step.push(0);
        }
        self.list.push(step);
        self.layers.push(layer.into());
    }

    fn folder(&mut self, path: &Path) {
        self.add(b'd', &[path.as_ref()], "the private root");
    }

    fn link(&mut self, path: &Path, target: &Path) {
        self.add(b'l', &[path.as_ref(), target.as_ref()], "the private root");
    }

    fn file(&mut self, path: &Path, text: &str) {
        self.add(b'f', &[path.as_ref(), text.as_ref()], "the private root");
    }

    fn bind(&mut self, path: &Path, source: &Path, attributes: &str) {
        self.add(
            b'b',
            &[path.as_ref(), source.as_ref(), attributes.as_ref()],
            format!("mount of `{}`", source.display()),
        );
    }

    fn memory(&mut self, letter: u8, path: &Path, bytes: u64, inodes: u64, mode: &str, own: bool) {
        let owner = if own {
            format!(",uid={INSIDE_ID},gid={INSIDE_ID}")
        } else {
            String::new()
        };
        let options = format!("size={bytes},nr_inodes={inodes},mode={mode}{owner}");
        self.add(
            letter,
            &[path.as_ref(), options.as_ref()],
            "mount of `tmpfs`",
        );
    }

    /// The list in parts that the jail can take at once.
    pub fn parts(&self) -> Vec<Vec<u8>> {
        let mut parts: Vec<Vec<u8>> = vec![Vec::new()];
        for step in &self.list {
            if parts
                .last()
                .is_some_and(|part| part.len() + step.len() > MAX_LIST)
            {
                parts.push(Vec::new());
            }
            if let Some(part) = parts.last_mut() {
                part.extend_from_slice(step);
            }
        }
        parts
    }

    /// The layer that a step is.
    pub fn layer(&self, step: u32) -> &str {
        self.layers
            .get(step as usize)
            .map_or("the set-up of the sandbox", String::as_str)
    }
}

/// A root at `root` with the system's programs and libraries and those folders in which the interpreter lives, read-only. Places
/// for what a sandbox has of its own are in it.
pub fn skeleton(root: &Path, interpreter: &[PathBuf]) -> Steps {
    let mut steps = Steps::default();
    let inside = |path: &Path| root.join(path.strip_prefix("/").unwrap_or(path));
    steps.memory(b't', root, 1 << 20, 10_000, "755", false);
    for path in [
        "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32",
    ]
    .map(Path::new)
    {
        if let Ok(target) = fs::read_link(path) {
            steps.link(&inside(path), &target);
        } else if path.is_dir() {
            steps.folder(&inside(path));
            steps.bind(&inside(path), path, LOCKED_NODEV);
        }
    }
    for path in interpreter {
        let is_shown = ["/usr", "/bin", "/lib"]
            .iter()
            .any(|shown| path.starts_with(shown));
        if !is_shown {
            folders_to(&mut steps, root, path);
            steps.bind(&inside(path), path, LOCKED_NODEV);
        }
    }
    steps.folder(&root.join("etc"));
    for (path, is_folder) in [("/etc/ld.so.cache", false), ("/etc/alternatives", true)] {
        let path = Path::new(path);
        if path.exists() {
            if is_folder {
                steps.folder(&inside(path));
            } else {
                steps.file(&inside(path), "");
            }
            steps.bind(&inside(path), path, LOCKED_NODEV);
        }
    }
    let passwd = format!("agent:x:{INSIDE_ID}:{INSIDE_ID}:agent:/workspace:/bin/sh\n");
    let group = format!("agent:x:{INSIDE_ID}:\n");
    for (name, text) in [
        ("passwd", passwd.as_str()),
        ("group", group.as_str()),
        ("hosts", "127.0.0.1 localhost\n"),
        (
            "nsswitch.conf",
            "passwd: files\ngroup: files\nhosts: files\n",
        ),
    ] {
        steps.file(&root.join("etc").join(name), text);
    }
    let devices = root.join("dev");
    steps.folder(&devices);
    for name in ["null", "zero", "full", "random", "urandom"] {
        steps.file(&devices.join(name), "");
        steps.bind(&devices.join(name), &Path::new("/dev").join(name), "0");
    }
    for (name, target) in [
        ("fd", ""),
        ("stdin", "/0"),
        ("stdout", "/1"),
        ("stderr", "/2"),
    ] {
        let target = format!("/proc/self/fd{target}");
        steps.link(&devices.join(name), Path::new(&target));
    }
    for name in ["dev/shm", "tmp", "workspace", "proc"] {
        steps.folder(&root.join(name));
    }
    for name in ["data", "submission"] {
        steps.link(&root.join(name), &Path::new("/workspace").join(name));
    }
    steps.add(
        b'a',
        &[root.as_ref(), LOCKED_NODEV.as_ref()],
        "read-only root (Linux 5.12 or newer)",
    );
    steps
}

/// The folders that lead to `path`, below `root`.
fn folders_to(steps: &mut Steps, root: &Path, path: &Path) {
    let mut folder = root.to_path_buf();
    for part in path.iter().skip(1) {
        folder.push(part);
        steps.folder(&folder);
    }
}

/// What a sandbox has of its own in its copy of the skeleton, whatever its task. Folders of the interpreter that lie where it has
/// memory of its own would be hidden by that and are shown again.
pub fn own(root: &Path, interpreter: &[PathBuf]) -> Steps {
    let mut steps = Steps::default();
    // A copy once more: those of another namespace's mounts are locked where they are.
    steps.bind(root, root, "0");
    let shared = SandboxLimits::default();
    for (name, bytes, inodes) in private_memory(&shared) {
        steps.memory(b't', &root.join(name), bytes, inodes, "700", true);
        let hidden = interpreter
            .iter()
            .filter(|path| path.starts_with(Path::new("/").join(name)));
        for path in hidden {
            folders_to(&mut steps, root, path);
            let place = root.join(path.strip_prefix("/").unwrap_or(path));
            steps.bind(&place, path, LOCKED_NODEV);
        }
    }
    let data = root.join("workspace/data");
    steps.folder(&data);
    steps.memory(b't', &data, 8 << 20, 100_000, "755", false);
    let proc = root.join("proc");
    steps.add(b'p', &[proc.as_ref()], "mount of `proc`");
    // No further user namespaces inside: they are the door to most of the kernel's attack surface.
    let setting = proc.join("sys/user/max_user_namespaces");
    steps.add(
        b'w',
        &[setting.as_ref(), "0".as_ref()],
        "user namespace limit",
    );
    // As root on the host, /proc/sys would be writable even without capabilities.
    steps.add(
        b'r',
        &[proc.as_ref(), READ_ONLY.as_ref()],
        "read-only `proc`",
    );
    steps.add(b'h', &["sandbox".as_ref()], "host name");
    steps
}

/// The file systems in memory that the agent may write to: name, bytes, inodes.
fn private_memory(limits: &SandboxLimits) -> [(&'static str, u64, u64); 3] {
    [
        ("workspace", limits.workspace_bytes, limits.workspace_files),
        ("tmp", limits.workspace_bytes.min(256 << 20), 100_000),
        ("dev/shm", (limits.memory_bytes / 4).min(256 << 20), 100_000),
    ]
}

/// How much memory the file systems besides the workspace may take.
pub fn overhead_bytes(limits: &SandboxLimits) -> u64 {
    private_memory(limits)[1..]
        .iter()
        .map(|(_, bytes, _)| bytes)
        .sum()
}

/// The task's limits and its data; then the host's tree is let go.
pub fn for_task(root: &Path, limits: &SandboxLimits, files: &[MountedFile]) -> Steps {
    let mut steps = Steps::default();
    for (name, bytes, inodes) in private_memory(limits) {
        steps.memory(b's', &root.join(name), bytes, inodes, "700", true);
    }
    let data = root.join("workspace/data");
    for file in files {
        let path = Path::new(&file.path);
        if let Some(parent) = path.parent().filter(|parent| *parent != Path::new("")) {
            folders_to(&mut steps, &data, &Path::new("/").join(parent));
        }
        let place = data.join(path);
        if file.host_path.is_dir() {
            steps.folder(&place);
        } else {
            steps.file(&place, "");
        }
        steps.bind(&place, &file.host_path, LOCKED_NODEV);
    }
    steps.add(b'a', &[data.as_ref(), LOCKED.as_ref()], "read-only data");
    steps.add(b'/', &[root.as_ref()], "the private root");
    steps.add(b'c', &["/workspace".as_ref()], "the workspace");
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_a_letter_and_arguments_that_end_with_a_nul() {
        let mut steps = Steps::default();
        steps.bind(Path::new("/root/usr"), Path::new("/usr"), LOCKED_NODEV);
        assert_eq!(steps.parts(), [b"b/root/usr\0/usr\x007\0".to_vec()]);
        assert_eq!(steps.layer(0), "mount of `/usr`");
        assert_eq!(steps.layer(7), "the set-up of the sandbox");
    }

    #[test]
    fn an_interpreter_below_a_private_memory_is_shown_in_it_once_that_is_there() {
        let interpreter = [PathBuf::from("/tmp/cache/env"), PathBuf::from("/usr")];
        let steps = own(Path::new("/r"), &interpreter).list;
        let place = |wanted: &[u8]| steps.iter().position(|step| step.starts_with(wanted));
        let memory = place(b"t/r/tmp\0").expect("a private memory is made");
        let shown =
            place(b"b/r/tmp/cache/env\0/tmp/cache/env\0").expect("the interpreter is shown");
        assert!(memory < shown);
        // What no private memory hides is shown by the skeleton already.
        assert_eq!(place(b"b/r/usr\0"), None);
    }

    #[test]
    fn a_list_that_is_too_long_is_taken_in_parts() {
        let files: Vec<MountedFile> = (0..5_000)
            .map(|number| MountedFile {
                path: format!("data/{number}.csv"),
                host_path: PathBuf::from("/nowhere"),
            })
            .collect();
        let steps = for_task(Path::new("/root"), &SandboxLimits::default(), &files);
        let parts = steps.parts();
        assert!(parts.len() > 1 && parts.iter().all(|part| part.len() <= MAX_LIST));
    }
}
