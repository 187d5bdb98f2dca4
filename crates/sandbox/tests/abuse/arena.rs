//! What an attempt must not reach: secrets of the host in files, sockets, processes and memory, and another sandbox.

use std::fs;
use std::io::{self, Read};
use std::net::{TcpListener, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::Mutex;
use std::time::Duration;

use synth_sandbox::{MountedFile, Sandbox, SandboxLimits, SandboxSpec, Sandboxes};
use tempfile::TempDir;

use crate::backends::{Backend, Started};

/// The variable of the orchestrator that holds a secret.
pub const SECRET_VARIABLE: &str = "SYNTH_ABUSE_SECRET";
/// The data file that all sandboxes see, and what it holds.
pub const DATA: (&str, &str) = ("shared.csv", "a,b\n1,2\n3,4\n");
/// Files of the orchestrator, below the canary folder: each holds the secret.
pub const FILES: [&str; 5] = [
    "canary.txt",
    "output/run/ledger.sqlite",
    "output/run/blobs/ab/cdef",
    "tasks/truth.csv",
    "home/.ssh/id_ed25519",
];

/// One backend with all that is around it.
pub struct Arena {
    /// The backend.
    pub sandboxes: Box<dyn Sandboxes>,
    /// The host's canary folder.
    pub folder: PathBuf,
    /// The name of an abstract socket of the host.
    pub abstract_name: String,
    /// A file in the host's shared memory.
    pub shared_memory: PathBuf,
    /// Ports of the host: TCP on the loopback of either version, UDP.
    pub ports: [u16; 3],
    /// Processes of the host.
    pub pids: [u32; 2],
    /// Whether a new sandbox takes seconds.
    pub starts_are_dear: bool,
    /// Sandboxes to be used again.
    pub shared: Mutex<Vec<Box<dyn Sandbox>>>,
    secret: String,
    listeners: Vec<Box<dyn Visits>>,
    sleeper: Mutex<Child>,
    neighbour: tokio::sync::Mutex<Neighbour>,
    _host: TempDir,
    _scratch: TempDir,
}

struct Neighbour {
    sandbox: Option<Box<dyn Sandbox>>,
    secret: String,
}

/// Something of the host that listens.
trait Visits: Send + Sync {
    /// Whether nobody came.
    fn is_quiet(&self) -> bool;
}

impl Visits for TcpListener {
    fn is_quiet(&self) -> bool {
        waits(&self.accept())
    }
}

impl Visits for UnixListener {
    fn is_quiet(&self) -> bool {
        waits(&self.accept())
    }
}

impl Visits for UdpSocket {
    fn is_quiet(&self) -> bool {
        waits(&self.recv(&mut [0; 16]))
    }
}

fn waits<T>(outcome: &io::Result<T>) -> bool {
    matches!(outcome, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
}

/// 32 characters that nobody guesses.
pub fn random_text() -> String {
    let mut bytes = [0; 16];
    fs::File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut bytes))
        .unwrap();
    bytes
        .iter()
        .fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

impl Arena {
    /// Starts the backend and lays out the canaries; nothing where the backend cannot run, and the reason is told.
    pub async fn start(backend: &Backend) -> Result<Option<Self>, String> {
        let scratch = tempfile::tempdir().unwrap();
        // One more than there are attempts at once, for the neighbour, and as many for those who take two.
        let sandboxes = match (backend.start)(2 * crate::AT_ONCE + 1, scratch.path()).await {
            Ok(Started::Runs(sandboxes)) => sandboxes,
            Ok(Started::Lacks(why)) => {
                eprintln!("skipped: the `{}` backend: {why}", backend.name);
                return Ok(None);
            }
            Err(error) => return Err(error.to_string()),
        };
        let secret = std::env::var(SECRET_VARIABLE).unwrap();
        let host = tempfile::tempdir().unwrap();
        let folder = host.path().to_path_buf();
        // Everybody may read them: it is not their mode that protects them.
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
        for name in FILES {
            fs::create_dir_all(folder.join(name).parent().unwrap()).unwrap();
            fs::write(folder.join(name), &secret).unwrap();
        }
        fs::write(folder.join(DATA.0), DATA.1).unwrap();
        let shared_memory = PathBuf::from(format!(
            "/dev/shm/synth-abuse-{}-{}",
            backend.name,
            std::process::id()
        ));
        fs::write(&shared_memory, &secret).unwrap();
        let abstract_name = format!("synth-abuse-{}-{}", backend.name, std::process::id());
        let (version_4, version_6) = (
            TcpListener::bind("127.0.0.1:0").unwrap(),
            TcpListener::bind("[::1]:0"),
        );
        // A host without the second version of the protocol has nothing there to reach.
        let version_6 = version_6
            .or_else(|_| TcpListener::bind("127.0.0.1:0"))
            .unwrap();
        let datagrams = UdpSocket::bind("0.0.0.0:0").unwrap();
        let address = SocketAddr::from_abstract_name(&abstract_name).unwrap();
        let hidden = UnixListener::bind_addr(&address).unwrap();
        let named = UnixListener::bind(folder.join("orchestrator.sock")).unwrap();
        fs::set_permissions(
            folder.join("orchestrator.sock"),
            fs::Permissions::from_mode(0o777),
        )
        .unwrap();
        let ports = [&version_4, &version_6].map(|listener| listener.local_addr().unwrap().port());
        let ports = [ports[0], ports[1], datagrams.local_addr().unwrap().port()];
        for listener in [&version_4, &version_6] {
            listener.set_nonblocking(true).unwrap();
        }
        datagrams.set_nonblocking(true).unwrap();
        for listener in [&hidden, &named] {
            listener.set_nonblocking(true).unwrap();
        }
        let sleeper = Command::new("sleep")
            .args(["86400"])
            .env("SLEEPERS_SECRET", &secret)
            .spawn()
            .unwrap();
        let pids = [std::process::id(), sleeper.id()];
        let arena = Self {
            sandboxes,
            folder,
            abstract_name,
            shared_memory,
            ports,
            pids,
            starts_are_dear: backend.starts_are_dear,
            shared: Mutex::default(),
            secret,
            listeners: vec![
                Box::new(version_4),
                Box::new(version_6),
                Box::new(datagrams),
                Box::new(hidden),
                Box::new(named),
            ],
            sleeper: Mutex::new(sleeper),
            neighbour: tokio::sync::Mutex::new(Neighbour {
                sandbox: None,
                secret: random_text(),
            }),
            _host: host,
            _scratch: scratch,
        };
        arena.neighbour_is_untouched().await;
        Ok(Some(arena))
    }

    /// A spec with limits that are soon reached.
    pub fn spec(&self) -> SandboxSpec {
        SandboxSpec {
            label: "abuse".into(),
            files: vec![MountedFile {
                path: DATA.0.into(),
                host_path: self.folder.join(DATA.0),
            }],
            seed: 7,
            limits: SandboxLimits {
                cell: Duration::from_secs(15),
                memory_bytes: 256 << 20,
                processes: 48,
                output_bytes: 10_000,
                workspace_bytes: 8 << 20,
                workspace_files: 500,
                ..SandboxLimits::default()
            },
            ..SandboxSpec::default()
        }
    }

    /// Panics if `text`, which came out of a sandbox, holds what no sandbox may know.
    pub async fn assert_no_secret(&self, text: &str) {
        assert!(
            !text.contains(&self.secret),
            "the host's secret came out: {text}"
        );
        let neighbours = self.neighbour.lock().await.secret.clone();
        assert!(
            !text.contains(&neighbours),
            "the neighbour's secret came out: {text}"
        );
    }

    /// Panics unless all that the host has is as it was.
    pub fn assert_host_is_untouched(&self) {
        let content = |path: &Path| {
            fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        };
        for name in FILES {
            assert_eq!(
                content(&self.folder.join(name)),
                self.secret,
                "{name} was changed"
            );
        }
        assert_eq!(
            content(&self.folder.join(DATA.0)),
            DATA.1,
            "the data file was changed"
        );
        assert_eq!(
            content(&self.shared_memory),
            self.secret,
            "shared memory was changed"
        );
        let names = fs::read_dir(&self.folder).unwrap().count();
        assert_eq!(
            names, 6,
            "something was made or removed beside the canaries"
        );
        let woken = self.sleeper.lock().unwrap().try_wait().unwrap();
        assert!(
            woken.is_none(),
            "a process of the host was ended: {woken:?}"
        );
        let visited = self
            .listeners
            .iter()
            .position(|listener| !listener.is_quiet());
        assert_eq!(visited, None, "somebody came to a socket of the host");
        let memory = resident_bytes();
        assert!(
            memory < 400 << 20,
            "the orchestrator grew to {memory} bytes"
        );
    }

    /// Panics unless the other sandbox has its variable and its file, and answers in time.
    pub async fn neighbour_is_untouched(&self) {
        let mut neighbour = self.neighbour.lock().await;
        let secret = neighbour.secret.clone();
        let mut sandbox = if let Some(sandbox) = neighbour.sandbox.take() {
            sandbox
        } else {
            let mut spec = self.spec();
            spec.limits.cell = Duration::from_secs(40);
            let mut sandbox = self.sandboxes.open(&spec).await.unwrap();
            let written = sandbox.write_file("secret", secret.as_bytes()).await;
            written.unwrap();
            let learn = sandbox.execute("secret = open('secret').read()").await;
            learn.unwrap();
            sandbox
        };
        let asked = "print(secret, open('secret').read(), open('data/shared.csv').read(), end='')";
        let told = sandbox.execute(asked).await.unwrap().observation;
        let expected = format!("{secret} {secret} {}", DATA.1);
        assert_eq!(
            (told.stdout.as_str(), told.stderr.as_str()),
            (expected.as_str(), ""),
            "{told:?}"
        );
        neighbour.sandbox = Some(sandbox);
    }

    /// Ends the backend and what stood around it.
    pub async fn close(&self) {
        if let Some(sandbox) = self.neighbour.lock().await.sandbox.take() {
            sandbox.close().await;
        }
        let shared = std::mem::take(&mut *self.shared.lock().unwrap());
        for sandbox in shared {
            sandbox.close().await;
        }
        self.sandboxes.close().await;
        let mut sleeper = self.sleeper.lock().unwrap();
        sleeper.kill().unwrap();
        sleeper.wait().unwrap();
        fs::remove_file(&self.shared_memory).unwrap();
    }
}

/// What this process holds in memory.
fn resident_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .unwrap();
    line.split_whitespace()
        .next()
        .unwrap()
        .parse::<u64>()
        .unwrap()
        * 1024
}
