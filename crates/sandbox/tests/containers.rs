//! What the Docker backend promises beyond the contract, on a real Engine.

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test that cannot go on panics, one that is skipped says why"
)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use synth_core::CellOutcome;
use synth_core::config::{DockerEndpoint, DockerHost, Preload, SandboxConfig};
use synth_sandbox::docker::{self, Image};
use synth_sandbox::{DockerSandboxes, MountedFile, Sandbox, SandboxError, SandboxSpec, Sandboxes};
use tokio::io::copy_bidirectional;
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;

mod support;
#[path = "support/tls.rs"]
mod tls;

const ENGINE: &str = "/var/run/docker.sock";

/// Two containers are kept warm.
fn config() -> SandboxConfig {
    let mut config = support::docker_config();
    config.preload = Preload::All;
    config.docker.warm = 2;
    config
}

/// The backend, or nothing with the reason said.
async fn start(config: &SandboxConfig, slots: usize) -> Option<DockerSandboxes> {
    match support::start_docker(config, slots).await {
        Ok(sandboxes) => Some(sandboxes),
        Err(why) => {
            eprintln!("skipped: {why}");
            None
        }
    }
}

async fn value(sandbox: &mut Box<dyn Sandbox>, code: &str) -> String {
    let observation = sandbox.execute(code).await.unwrap().observation;
    assert_eq!(observation.outcome, CellOutcome::Ok, "{observation:?}");
    observation.value.unwrap_or_default()
}

/// The containers with this label, running or not.
fn containers(label: &str) -> usize {
    let listed = Command::new("docker")
        .args(["ps", "-aq", "--filter", &format!("label={label}")])
        .output()
        .unwrap();
    String::from_utf8(listed.stdout).unwrap().lines().count()
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(120);
    while !condition() {
        assert!(Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiting_container_is_handed_out_once_and_replaced() {
    let Some(sandboxes) = start(&config(), 2).await else {
        return;
    };
    let spec = SandboxSpec::default();
    let mut cold = sandboxes.open(&spec).await.unwrap();
    assert_eq!(value(&mut cold, "x = 1; x + 1").await, "2");
    until("the pool is full", || sandboxes.warm() == 2).await;
    let began = Instant::now();
    let mut warm = sandboxes.open(&spec).await.unwrap();
    assert_eq!(value(&mut warm, "'x' in globals()").await, "False");
    assert!(
        began.elapsed() < Duration::from_secs(2),
        "{:?}",
        began.elapsed()
    );
    until("the pool is full again", || sandboxes.warm() == 2).await;
    let run = format!("synth.run={}", sandboxes.run());
    cold.close().await;
    warm.close().await;
    sandboxes.close().await;
    assert_eq!(containers(&run), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn data_is_sent_once_and_cannot_be_changed() {
    let Some(sandboxes) = start(&config(), 2).await else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let content = format!("a,b\n1,{}\n", std::process::id());
    std::fs::write(folder.path().join("table.csv"), &content).unwrap();
    let file = |path: &str, host_path: PathBuf| MountedFile {
        path: path.into(),
        host_path,
    };
    let spec = SandboxSpec {
        files: vec![
            file("table.csv", folder.path().join("table.csv")),
            file("more", folder.path().to_path_buf()),
        ],
        ..SandboxSpec::default()
    };
    for _ in 0..2 {
        let mut sandbox = sandboxes.open(&spec).await.unwrap();
        let code = "[open(p).read() for p in ('data/table.csv', '/data/more/table.csv')]";
        assert_eq!(
            value(&mut sandbox, code).await,
            format!("[{content:?}, {content:?}]").replace('"', "'")
        );
        let code = "import os; os.mkdir('submission'); open('/submission/a', 'w').close(); os.listdir('submission')";
        assert_eq!(value(&mut sandbox, code).await, "['a']");
        let outcome = sandbox
            .execute("open('data/table.csv', 'a')")
            .await
            .unwrap();
        assert!(matches!(
            outcome.observation.outcome,
            CellOutcome::Error { .. }
        ));
        sandbox.close().await;
    }
    let gone = SandboxSpec {
        files: vec![file("gone.csv", folder.path().join("gone.csv"))],
        ..SandboxSpec::default()
    };
    assert!(matches!(
        sandboxes.open(&gone).await,
        Err(SandboxError::Data { .. })
    ));
    sandboxes.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_is_there_is_not_built_again() {
    let config = config();
    let Some(sandboxes) = start(&config, 1).await else {
        return;
    };
    let image = Image::named(&config, "").unwrap();
    let built = docker::build(&config, &image, &|_| {}).await.unwrap();
    assert!(built.iter().all(|built| !built.fresh), "{built:?}");
    let folder = tempfile::tempdir().unwrap();
    image.write_context(folder.path()).unwrap();
    let dockerfile = std::fs::read_to_string(folder.path().join("Dockerfile")).unwrap();
    assert!(dockerfile.contains(&image.fingerprint));
    let unknown = SandboxSpec {
        image: "nowhere".into(),
        ..SandboxSpec::default()
    };
    assert!(matches!(
        sandboxes.open(&unknown).await,
        Err(SandboxError::Image(_))
    ));
    sandboxes.close().await;
}

/// What a process that is to be killed does: it opens a sandbox and waits.
#[tokio::test(flavor = "multi_thread")]
async fn an_owner_that_waits() {
    let Some(note) = std::env::var_os("SYNTH_TEST_OWNER") else {
        return;
    };
    let sandboxes = support::start_docker(&config(), 1).await.unwrap();
    let _sandbox = sandboxes.open(&SandboxSpec::default()).await.unwrap();
    std::fs::write(note, sandboxes.run()).unwrap();
    tokio::time::sleep(Duration::from_secs(600)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_outlives_an_owner_that_is_killed() {
    let Some(living) = start(&config(), 1).await else {
        return;
    };
    let sandbox = living.open(&SandboxSpec::default()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let note = folder.path().join("run");
    let mut owner = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "an_owner_that_waits"])
        .env("SYNTH_TEST_OWNER", &note)
        .spawn()
        .unwrap();
    until("the owner has a sandbox", || note.exists()).await;
    let run = std::fs::read_to_string(&note).unwrap();
    assert!(containers(&format!("synth.run={run}")) > 0);
    owner.kill().unwrap();
    owner.wait().unwrap();
    docker::sweep_hosts(&config()).await.unwrap();
    until("its containers are gone", || {
        containers(&format!("synth.run={run}")) == 0
    })
    .await;
    assert!(
        containers(&format!("synth.run={}", living.run())) > 0,
        "a living owner's were swept"
    );
    sandbox.close().await;
    living.close().await;
}

/// A second address of the Engine, which dies when it is dropped: a host, as far as its users can tell.
struct Proxy {
    path: PathBuf,
    tasks: JoinSet<()>,
}

impl Proxy {
    fn start(path: &Path) -> Self {
        let listener = UnixListener::bind(path).unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut ours, _)) = listener.accept().await {
                connections.spawn(async move {
                    let mut theirs = UnixStream::connect(ENGINE).await.unwrap();
                    // It fails when either side goes away.
                    let _ = copy_bidirectional(&mut ours, &mut theirs).await;
                });
            }
        });
        Self {
            path: path.to_path_buf(),
            tasks,
        }
    }

    async fn die(mut self) {
        std::fs::remove_file(&self.path).unwrap();
        self.tasks.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_host_is_told_and_another_takes_over() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (
        folder.path().join("one.sock"),
        folder.path().join("two.sock"),
    );
    let mut config = config();
    config.docker.warm = 0;
    config.docker.hosts = [&one, &two]
        .map(|path| DockerHost::Url(format!("unix://{}", path.display())))
        .into();
    let mut proxies = vec![Proxy::start(&one), Proxy::start(&two)];
    let Some(sandboxes) = start(&config, 2).await else {
        return;
    };
    let spec = SandboxSpec::default();
    let mut first = sandboxes.open(&spec).await.unwrap();
    let mut second = sandboxes.open(&spec).await.unwrap();
    for sandbox in [&mut first, &mut second] {
        assert_eq!(value(sandbox, "1 + 1").await, "2");
    }
    proxies.pop().unwrap().die().await;
    let mut lost = 0;
    for sandbox in [&mut first, &mut second] {
        match sandbox.execute("2 + 2").await {
            Ok(result) => assert_eq!(result.observation.value.as_deref(), Some("4")),
            Err(SandboxError::Unavailable { host, .. }) => {
                assert!(host.contains("two.sock") || host.contains("one.sock"));
                lost += 1;
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(
        lost, 1,
        "placement by free slots puts one sandbox on each host"
    );
    first.close().await;
    second.close().await;
    let mut third = sandboxes.open(&spec).await.unwrap();
    assert_eq!(value(&mut third, "3 + 3").await, "6");
    third.close().await;
    sandboxes.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_behind_tls_serves_those_with_a_certificate_of_its_authority() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("table.csv"), "a\n1\n").unwrap();
    let (ours, others) = (tls::Authority::new(), tls::Authority::new());
    let (url, _host) = ours.host(ENGINE).await;
    let with = |files: DockerEndpoint| {
        let mut config = config();
        config.docker.warm = 0;
        config.docker.hosts = vec![DockerHost::Detailed(DockerEndpoint {
            url: url.clone(),
            ..files
        })];
        config
    };
    let known = with(ours.files(&ours, &folder.path().join("known")));
    let Some(sandboxes) = start(&known, 1).await else {
        return;
    };
    let spec = SandboxSpec {
        files: vec![MountedFile {
            path: "table.csv".into(),
            host_path: folder.path().join("table.csv"),
        }],
        ..SandboxSpec::default()
    };
    let mut sandbox = sandboxes.open(&spec).await.unwrap();
    let read = "open('data/table.csv').read()";
    assert_eq!(value(&mut sandbox, read).await, r"'a\n1\n'");
    sandbox.close().await;
    sandboxes.close().await;

    let stranger = with(others.files(&ours, &folder.path().join("stranger")));
    let deceived = with(ours.files(&others, &folder.path().join("deceived")));
    for config in [stranger, deceived] {
        let refused = async {
            let sandboxes = DockerSandboxes::start(&config, 1, &|_| {}).await?;
            sandboxes.open(&SandboxSpec::default()).await.map(|_| ())
        };
        let error = refused.await.unwrap_err();
        assert!(
            matches!(&error, SandboxError::Unavailable { host, .. } if *host == url),
            "{error}"
        );
    }
}
