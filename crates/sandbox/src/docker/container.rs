//! One container: made, started, and waiting warm until it becomes a sandbox.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use bollard::Docker;
use bollard::models::{
    ContainerCreateBody, DeviceRequest, HostConfig, HostConfigLogConfig, Mount, MountType,
    MountVolumeOptions,
};
use bollard::query_parameters::{
    AttachContainerOptionsBuilder, CreateContainerOptionsBuilder, StartContainerOptions,
};
use serde::Deserialize;
use synth_core::config::SandboxConfig;
use tokio::time::timeout;

use super::host::Host;
use super::owner::Owner;
use super::relay::Attached;
use crate::frame::{self, encode_bytes};
use crate::{SandboxError, SandboxLimits};

const BOOTSTRAP: &str = include_str!("../../agent/container.py");
/// In the order in which they import each other.
const MODULES: [&str; 4] = [
    include_str!("../../agent/wire.py"),
    include_str!("../../agent/jail.py"),
    include_str!("../../agent/agent.py"),
    include_str!("../../agent/supervisor.py"),
];
const SECCOMP: &str = include_str!("../../image/seccomp.json");
/// Loading the libraries takes seconds, on a cold disk many.
const START_TIMEOUT: Duration = Duration::from_secs(180);
/// What the interpreter with its libraries takes, twice: the supervisor and the agent; and what the agent answers with in need.
const OVERHEAD_BYTES: u64 = 448 << 20;
const MOST_SHARED_MEMORY: u64 = 256 << 20;
/// Where the range of user ids begins that containers draw from: no two have the same one, so that limits by user are their own.
const FIRST_USER: u32 = 0x6F00_0000;
const USERS: u32 = 0x0F00_0000;

/// What a container is made for: one that waits fits a spec with the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// The image.
    pub image: String,
    /// The volume with the data, if there is any.
    pub volume: Option<String>,
    memory_bytes: u64,
    cpu_percent: u32,
    processes: u32,
    workspace_bytes: u64,
    workspace_files: u64,
}

impl Key {
    /// For an image, data and limits.
    pub fn new(image: String, volume: Option<String>, limits: &SandboxLimits) -> Self {
        Self {
            image,
            volume,
            memory_bytes: limits.memory_bytes,
            cpu_percent: limits.cpu_percent,
            processes: limits.processes,
            workspace_bytes: limits.workspace_bytes,
            workspace_files: limits.workspace_files,
        }
    }
}

/// A started container that has the libraries loaded.
pub struct Warm {
    /// Its id.
    pub id: String,
    /// Its stream.
    pub attached: Attached,
    /// When it was ready.
    pub since: Instant,
}

#[derive(Deserialize)]
struct Ready {
    version: u32,
}

/// Makes and starts a container, and waits until it is warm. On failure nothing of it is left.
pub async fn start(
    host: &Host,
    docker: &Docker,
    key: &Key,
    config: &SandboxConfig,
    owner: &Owner,
    user: u32,
) -> Result<Warm, SandboxError> {
    let body = body(key, config, owner.labels(), user);
    let options = CreateContainerOptionsBuilder::new()
        .name(&format!("synth-{}-{user}", owner.run))
        .build();
    let id = docker
        .create_container(Some(options), body)
        .await
        .map_err(|error| host.failed("make a container", &error))?
        .id;
    match timeout(START_TIMEOUT, warm_up(host, docker, &id)).await {
        Ok(Ok(attached)) => Ok(Warm {
            id,
            attached,
            since: Instant::now(),
        }),
        Ok(Err(error)) => {
            host.remove(docker, &id).await;
            Err(error)
        }
        Err(_) => {
            host.remove(docker, &id).await;
            Err(SandboxError::Open(format!(
                "its container is not ready after {} seconds",
                START_TIMEOUT.as_secs()
            )))
        }
    }
}

async fn warm_up(host: &Host, docker: &Docker, id: &str) -> Result<Attached, SandboxError> {
    let options = AttachContainerOptionsBuilder::new()
        .stream(true)
        .stdin(true)
        .stdout(true)
        .stderr(true)
        .build();
    let attached = docker
        .attach_container(id, Some(options))
        .await
        .map_err(|error| host.failed("attach to a container", &error))?;
    let mut attached = Attached::new(attached);
    docker
        .start_container(id, None::<StartContainerOptions>)
        .await
        .map_err(|error| host.failed("start a container", &error))?;
    for module in MODULES {
        let sent = attached.write(&encode_bytes(module.as_bytes())).await;
        sent.map_err(|error| host.down(&error.to_string()))?;
    }
    let ready = attached.hear::<Ready>().await;
    match ready {
        Ok(Ready { version }) if version == frame::VERSION => Ok(attached),
        _ => {
            let mut said = attached.log();
            if said.is_empty() {
                said.push_str("it ended without a word");
            }
            Err(SandboxError::Open(format!(
                "its container did not get ready: {said}"
            )))
        }
    }
}

fn body(
    key: &Key,
    config: &SandboxConfig,
    labels: HashMap<String, String>,
    user: u32,
) -> ContainerCreateBody {
    let docker = &config.docker;
    let user = FIRST_USER + user % USERS;
    let memory = key.memory_bytes + key.workspace_bytes + OVERHEAD_BYTES;
    let own = format!("uid={user},gid={user},mode=0700");
    let mut tmpfs = HashMap::from([
        (
            "/workspace".to_owned(),
            format!(
                "rw,exec,nosuid,nodev,size={},nr_inodes={},{own}",
                key.workspace_bytes, key.workspace_files
            ),
        ),
        (
            "/tmp".to_owned(),
            format!(
                "rw,exec,nosuid,nodev,size={},nr_inodes=100000,{own}",
                key.workspace_bytes.min(256 << 20)
            ),
        ),
    ]);
    let mut mounts = Vec::new();
    if let Some(volume) = &key.volume {
        mounts.push(Mount {
            target: Some("/workspace/data".into()),
            source: Some(volume.clone()),
            typ: Some(MountType::VOLUME),
            read_only: Some(true),
            volume_options: Some(MountVolumeOptions {
                no_copy: Some(true),
                ..MountVolumeOptions::default()
            }),
            ..Mount::default()
        });
    } else {
        tmpfs.insert(
            "/workspace/data".to_owned(),
            "ro,size=4k,mode=0755".to_owned(),
        );
    }
    let gpus = DeviceRequest {
        count: Some(i64::from(docker.gpus)),
        capabilities: Some(vec![vec!["gpu".into()]]),
        ..DeviceRequest::default()
    };
    let host_config = HostConfig {
        readonly_rootfs: Some(true),
        tmpfs: Some(tmpfs),
        mounts: Some(mounts),
        shm_size: Some((key.memory_bytes / 4).min(MOST_SHARED_MEMORY) as i64),
        network_mode: Some("none".into()),
        memory: Some(memory as i64),
        memory_swap: Some(memory as i64),
        nano_cpus: (key.cpu_percent > 0).then(|| i64::from(key.cpu_percent) * 10_000_000),
        pids_limit: Some(i64::from(key.processes) + 1),
        cap_drop: Some(vec!["ALL".into()]),
        security_opt: Some(vec![
            "no-new-privileges:true".into(),
            format!("seccomp={SECCOMP}"),
        ]),
        ipc_mode: Some("private".into()),
        log_config: Some(HostConfigLogConfig {
            typ: Some("none".into()),
            config: None,
        }),
        init: Some(false),
        auto_remove: Some(true),
        runtime: (!docker.runtime.is_empty()).then(|| docker.runtime.clone()),
        device_requests: (docker.gpus > 0).then(|| vec![gpus]),
        ..HostConfig::default()
    };
    ContainerCreateBody {
        image: Some(key.image.clone()),
        hostname: Some("sandbox".into()),
        user: Some(format!("{user}:{user}")),
        working_dir: Some("/".into()),
        entrypoint: Some(Vec::new()),
        cmd: Some(
            [
                "/usr/bin/python3",
                "-s",
                "-B",
                "-c",
                BOOTSTRAP,
                config.preload.name(),
            ]
            .map(String::from)
            .into(),
        ),
        env: Some(variables()),
        labels: Some(labels),
        open_stdin: Some(true),
        stdin_once: Some(true),
        attach_stdin: Some(true),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        tty: Some(false),
        host_config: Some(host_config),
        ..ContainerCreateBody::default()
    }
}

/// The environment, the same as that of a local sandbox.
fn variables() -> Vec<String> {
    [
        "PATH=/usr/local/bin:/usr/bin:/bin",
        "HOME=/workspace",
        "USER=agent",
        "LOGNAME=agent",
        "TMPDIR=/tmp",
        "LANG=C.UTF-8",
        "TZ=UTC",
        "PYTHONHASHSEED=0",
        "PYTHONDONTWRITEBYTECODE=1",
        "PYTHONSAFEPATH=1",
        "PYTHONUTF8=1",
        "IPYTHONDIR=/tmp/.ipython",
        "MPLBACKEND=agg",
        // Threads that ran before a fork hang after it.
        "OMP_NUM_THREADS=1",
        "OPENBLAS_NUM_THREADS=1",
        "MKL_NUM_THREADS=1",
        "NUMEXPR_NUM_THREADS=1",
    ]
    .map(String::from)
    .into()
}
