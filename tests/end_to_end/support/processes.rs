//! Who is still running: every process that has to do with a folder, by its command line, folder, files or mounts.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long processes may take to notice that their parent is gone.
const GRACE: Duration = Duration::from_secs(10);

/// The processes that have to do with `folder`, by id and command line.
fn left_running(folder: &Path) -> Vec<String> {
    let name = folder.to_str().unwrap();
    let own = std::process::id();
    fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .filter(|id| *id != own && mentions(*id, name))
        .map(|id| {
            let command = fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
            format!(
                "{id} {}",
                String::from_utf8_lossy(&command).replace('\0', " ")
            )
        })
        .collect()
}

fn mentions(id: u32, name: &str) -> bool {
    // A process that has ended, but whose parent has not asked how, holds nothing.
    let status = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    if status
        .rsplit_once(") ")
        .is_none_or(|(_, rest)| rest.starts_with(['Z', 'X']))
    {
        return false;
    }
    let texts = ["cmdline", "environ", "mountinfo"];
    let in_text = texts.iter().any(|file| {
        let text = fs::read(format!("/proc/{id}/{file}")).unwrap_or_default();
        String::from_utf8_lossy(&text).contains(name)
    });
    let links = ["cwd", "root", "exe"].map(|link| format!("/proc/{id}/{link}").into());
    let open = fs::read_dir(format!("/proc/{id}/fd"))
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path());
    in_text
        || links
            .into_iter()
            .chain(open)
            .any(|link: std::path::PathBuf| {
                fs::read_link(link).is_ok_and(|target| target.to_string_lossy().contains(name))
            })
}

/// Fails when processes go on for long after their parent has ended.
pub fn assert_nothing_left(folder: &Path) {
    let started = Instant::now();
    loop {
        let left = left_running(folder);
        if left.is_empty() {
            return;
        }
        assert!(started.elapsed() < GRACE, "still running: {left:#?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
