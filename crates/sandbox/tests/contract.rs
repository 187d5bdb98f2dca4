//! What every sandbox backend promises, written over `&dyn Sandboxes` and run on the local one.

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test that cannot go on panics, one that is skipped says why"
)]

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use synth_core::config::{SandboxBackend, SandboxConfig};
use synth_core::{CellLimit, CellOutcome, Observation};
use synth_sandbox::{
    LocalSandboxes, MountedFile, Sandbox, SandboxError, SandboxLimits, SandboxSpec, Sandboxes,
};

const SECRET: &str = "SYNTH_CONTRACT_SECRET";

fn config() -> SandboxConfig {
    let python = std::env::var_os("SYNTH_TEST_PYTHON")
        .map(PathBuf::from)
        .unwrap_or_default();
    SandboxConfig {
        backend: SandboxBackend::Local,
        python,
        cache: PathBuf::new(),
        ..SandboxConfig::default()
    }
}

fn spec() -> SandboxSpec {
    SandboxSpec {
        label: "contract".into(),
        seed: 7,
        limits: SandboxLimits {
            cell: Duration::from_secs(30),
            memory_bytes: 1 << 30,
            output_bytes: 10_000,
            workspace_bytes: 16 << 20,
            ..SandboxLimits::default()
        },
        ..SandboxSpec::default()
    }
}

/// The backend under test; nothing where the kernel does not isolate.
async fn start(slots: usize) -> Option<(LocalSandboxes, tempfile::TempDir)> {
    let scratch = tempfile::tempdir().unwrap();
    match LocalSandboxes::start(&config(), slots, scratch.path(), &|_| {}).await {
        Ok(sandboxes) => Some((sandboxes, scratch)),
        Err(error @ SandboxError::Isolation { .. }) => {
            eprintln!("skipped: {error}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

async fn run(sandbox: &mut Box<dyn Sandbox>, code: &str) -> Observation {
    sandbox.execute(code).await.unwrap().observation
}

async fn stdout(sandbox: &mut Box<dyn Sandbox>, code: &str) -> String {
    let observation = run(sandbox, code).await;
    assert_eq!(observation.outcome, CellOutcome::Ok, "{observation:?}");
    observation.stdout
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_local_backend_keeps_the_contract() {
    let Some((sandboxes, _scratch)) = start(3).await else {
        return;
    };
    cells(&sandboxes).await;
    errors(&sandboxes).await;
    limits(&sandboxes).await;
    ends(&sandboxes).await;
    files(&sandboxes).await;
    isolation(&sandboxes).await;
    forgery(&sandboxes).await;
    outputs(&sandboxes).await;
    outputs(&sandboxes).await;
    seeds(&sandboxes).await;
    slots(&sandboxes).await;
    sandboxes.close().await;
    assert!(matches!(
        sandboxes.open(&spec()).await,
        Err(SandboxError::Closed)
    ));
}

async fn cells(sandboxes: &dyn Sandboxes) {
    let mut sandbox = sandboxes.open(&spec()).await.unwrap();
    // State persists, the last value is shown, a semicolon hides it.
    assert_eq!(run(&mut sandbox, "x = 20").await.value, None);
    let observation = run(&mut sandbox, "x += 1\nx * 2").await;
    assert_eq!(observation.value.as_deref(), Some("42"));
    assert_eq!(
        (
            observation.stdout.as_str(),
            observation.stderr.as_str(),
            observation.truncated
        ),
        ("", "", false)
    );
    assert_eq!(run(&mut sandbox, "x;").await.value, None);
    // Printing keeps its order, whoever prints.
    let code = "import subprocess\nprint('one')\nsubprocess.run(['echo', 'two'])\n!echo three\nprint('four', end='')";
    assert_eq!(stdout(&mut sandbox, code).await, "one\ntwo\nthree\nfour");
    // Standard error and warnings.
    let observation = run(
        &mut sandbox,
        "import sys, warnings\nprint('oops', file=sys.stderr)\nwarnings.warn('careful')",
    )
    .await;
    assert!(
        observation.stderr.starts_with("oops\n")
            && observation.stderr.contains("UserWarning: careful"),
        "{observation:?}"
    );
    // Libraries are there; a table is shown as text.
    let code = "import pandas as pd\nimport numpy as np\nfrom sklearn.linear_model import LinearRegression\n\
                model = LinearRegression().fit([[0], [1]], [1, 3])\npd.DataFrame({'a': [1, 2]}), round(float(model.coef_[0]), 3)";
    let value = run(&mut sandbox, code).await.value.unwrap();
    assert!(
        value.contains("   a\n 0  1") && value.contains("2.0"),
        "{value}"
    );
    // Escapes and bytes that are no text.
    let code = "import os, sys\nprint('\\x1b[31mred\\x1b[0m')\nsys.stdout.flush()\n_ = os.write(1, b'\\xff\\n')";
    assert_eq!(stdout(&mut sandbox, code).await, "red\n\u{fffd}\n");
    // Parallel work in processes.
    let code = "from joblib import Parallel, delayed\nParallel(n_jobs=2)(delayed(abs)(-n) for n in range(4))";
    let observation = run(&mut sandbox, code).await;
    assert_eq!(
        observation.value.as_deref(),
        Some("[0, 1, 2, 3]"),
        "{observation:?}"
    );
    // A fork that comes back does not answer in its parent's place.
    assert_eq!(
        stdout(
            &mut sandbox,
            "import os\npid = os.fork()\nif pid: os.waitpid(pid, 0); print('parent')"
        )
        .await,
        "parent\n"
    );
    assert_eq!(run(&mut sandbox, "1 + 1").await.value.as_deref(), Some("2"));
    sandbox.close().await;
}

async fn errors(sandboxes: &dyn Sandboxes) {
    let mut sandbox = sandboxes.open(&spec()).await.unwrap();
    let observation = run(
        &mut sandbox,
        "def f(x):\n    return 1 / x\nprint('before')\nf(0)",
    )
    .await;
    assert_eq!(observation.stdout, "before\n");
    let CellOutcome::Error {
        name,
        message,
        traceback,
    } = observation.outcome
    else {
        panic!("{observation:?}")
    };
    assert_eq!(
        (name.as_str(), message.as_str()),
        ("ZeroDivisionError", "division by zero")
    );
    assert!(
        traceback.contains("return 1 / x") && traceback.contains("line 2"),
        "{traceback}"
    );
    assert!(
        !traceback.contains("run_cell")
            && !traceback.contains("<agent>")
            && !traceback.contains('\u{1b}'),
        "{traceback}"
    );
    // A library's frames show without this machine's paths.
    let observation = run(
        &mut sandbox,
        "import pandas as pd\npd.DataFrame({'a': [1]})['b']",
    )
    .await;
    let CellOutcome::Error {
        name, traceback, ..
    } = observation.outcome
    else {
        panic!("{observation:?}")
    };
    assert_eq!(name, "KeyError");
    assert!(
        traceback.contains("pandas") && !traceback.contains("/site-packages"),
        "{traceback}"
    );
    let observation = run(&mut sandbox, "x = = 1").await;
    let CellOutcome::Error {
        name, traceback, ..
    } = observation.outcome
    else {
        panic!("{observation:?}")
    };
    assert_eq!(name, "SyntaxError");
    assert!(traceback.contains("x = = 1"), "{traceback}");
    // An error leaves the state alone.
    assert_eq!(
        run(&mut sandbox, "f(4)").await.value.as_deref(),
        Some("0.25")
    );
    for (code, expected) in [
        ("input()", "EOFError"),
        ("import sys; sys.exit(3)", "SystemExit"),
        ("await missing", "NameError"),
    ] {
        let observation = run(&mut sandbox, code).await;
        assert!(
            matches!(&observation.outcome, CellOutcome::Error { name, .. } if name == expected),
            "{observation:?}"
        );
    }
    sandbox.close().await;
}

async fn limits(sandboxes: &dyn Sandboxes) {
    let quick = SandboxSpec {
        limits: SandboxLimits {
            cell: Duration::from_secs(1),
            memory_bytes: 300 << 20,
            ..spec().limits
        },
        ..spec()
    };
    let mut sandbox = sandboxes.open(&quick).await.unwrap();
    // A loop is interrupted and the state kept.
    let observation = run(&mut sandbox, "x = 5\nprint('looping')\nwhile True: pass").await;
    assert_eq!(
        observation.outcome,
        CellOutcome::Timeout { state_kept: true }
    );
    assert_eq!(observation.stdout, "looping\n");
    assert_eq!(run(&mut sandbox, "x").await.value.as_deref(), Some("5"));
    let observation = run(&mut sandbox, "!sleep 60").await;
    assert_eq!(
        observation.outcome,
        CellOutcome::Timeout { state_kept: true }
    );
    // One that is deaf to interrupts is killed, with all that it started.
    let deaf = "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nprint('deaf')\nwhile True: pass";
    let started = Instant::now();
    let observation = run(&mut sandbox, deaf).await;
    assert_eq!(
        observation.outcome,
        CellOutcome::Timeout { state_kept: false }
    );
    assert_eq!(observation.stdout, "deaf\n");
    assert!(started.elapsed() < Duration::from_secs(8));
    let observation = run(&mut sandbox, "'x' in globals()").await;
    assert_eq!(observation.value.as_deref(), Some("False"));
    assert!(
        observation
            .stderr
            .contains("all variables and files made before are lost"),
        "{observation:?}"
    );
    assert_eq!(run(&mut sandbox, "1").await.stderr, "");
    let slow = SandboxSpec {
        limits: SandboxLimits {
            cell: Duration::from_secs(60),
            ..spec().limits
        },
        ..spec()
    };
    let mut patient = sandboxes.open(&slow).await.unwrap();
    // A flood is cut in its middle and drained.
    let observation = run(&mut patient, "for n in range(200_000): print('line', n)").await;
    assert_eq!(observation.outcome, CellOutcome::Ok);
    assert!(observation.truncated && observation.stdout.len() < 10_100);
    assert!(
        observation.stdout.starts_with("line 0\n") && observation.stdout.ends_with("line 199999\n")
    );
    assert!(
        observation.stdout.contains(" bytes cut …]\n"),
        "{}",
        observation.stdout
    );
    let observation = run(&mut patient, "'v' * 1_000_000").await;
    assert!(observation.truncated && observation.value.is_some_and(|value| value.len() < 10_200));
    let observation = run(&mut patient, "raise ValueError('v' * 5_000_000)").await;
    let CellOutcome::Error {
        message, traceback, ..
    } = &observation.outcome
    else {
        panic!("{:?}", observation.outcome)
    };
    assert!(message.len() < 10_200 && traceback.len() < 10_200);
    patient.close().await;
    // Memory: what is refused at once keeps the state, what grows over several processes is killed.
    let observation = run(
        &mut sandbox,
        "y = 1\nimport numpy as np\na = np.ones(10**9)",
    )
    .await;
    assert_eq!(
        observation.outcome,
        CellOutcome::OutOfMemory { state_kept: true },
        "{observation:?}"
    );
    assert!(
        observation.stderr.contains("MemoryError"),
        "{observation:?}"
    );
    assert_eq!(run(&mut sandbox, "y").await.value.as_deref(), Some("1"));
    let observation = run(
        &mut sandbox,
        "data = []\nwhile True: data.append(bytearray(1 << 20))",
    )
    .await;
    assert_eq!(
        observation.outcome,
        CellOutcome::OutOfMemory { state_kept: true },
        "{observation:?}"
    );
    let bomb = "import os, time\nfor _ in range(4):\n    if os.fork() == 0:\n        hoard = bytearray(os.urandom(1 << 20)) * 200\n        \
                time.sleep(60)\ntime.sleep(60)";
    let patient = SandboxSpec {
        limits: SandboxLimits {
            memory_bytes: 300 << 20,
            ..spec().limits
        },
        ..spec()
    };
    let mut other = sandboxes.open(&patient).await.unwrap();
    let observation = run(&mut other, bomb).await;
    assert_eq!(
        observation.outcome,
        CellOutcome::OutOfMemory { state_kept: false },
        "{observation:?}"
    );
    assert_eq!(run(&mut other, "1").await.value.as_deref(), Some("1"));
    other.close().await;
    // Disk.
    let observation = run(
        &mut sandbox,
        "del data\nopen('big', 'wb').write(bytes(64 << 20))",
    )
    .await;
    assert_eq!(
        observation.outcome,
        CellOutcome::Limit {
            limit: CellLimit::Disk,
            state_kept: true
        },
        "{observation:?}"
    );
    assert!(observation.stderr.contains("OSError"), "{observation:?}");
    sandbox.close().await;
}

async fn ends(sandboxes: &dyn Sandboxes) {
    let mut sandbox = sandboxes.open(&spec()).await.unwrap();
    for (code, expected) in [
        (
            "import os\nprint('bye', flush=True)\nos._exit(3)",
            "exit code 3",
        ),
        ("import os\nos.kill(os.getpid(), 11)", "signal 11"),
        ("import ctypes\nctypes.string_at(0)", "signal 11"),
    ] {
        let observation = run(&mut sandbox, code).await;
        assert_eq!(
            observation.outcome,
            CellOutcome::Died {
                how: expected.into()
            },
            "{observation:?}"
        );
        let observation = run(&mut sandbox, "1 + 1").await;
        assert_eq!(observation.value.as_deref(), Some("2"));
        let note = format!("[Python was started anew after {expected}: ");
        assert!(observation.stderr.starts_with(&note), "{observation:?}");
    }
    // Closed descriptors do not hang, and the next cell has them back.
    run(&mut sandbox, "import os\nos.close(1)\nos.close(2)").await;
    assert_eq!(stdout(&mut sandbox, "print('back')").await, "back\n");
    run(
        &mut sandbox,
        "import sys\nsys.stdout.close()\nsys.stderr = None",
    )
    .await;
    assert_eq!(
        stdout(&mut sandbox, "print('back again')").await,
        "back again\n"
    );
    let observation = run(&mut sandbox, "os.closerange(0, 4096)").await;
    assert!(
        matches!(observation.outcome, CellOutcome::Died { .. }),
        "{observation:?}"
    );
    // An interrupt from elsewhere.
    let interrupter = sandbox.interrupter();
    interrupter.interrupt(); // between cells: nothing
    let interrupt = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        interrupter.interrupt();
    };
    let (observation, ()) = tokio::join!(sandbox.execute("import time\ntime.sleep(20)"), interrupt);
    let observation = observation.unwrap().observation;
    assert!(
        matches!(&observation.outcome, CellOutcome::Error { name, .. } if name == "KeyboardInterrupt"),
        "{observation:?}"
    );
    // A cell whose caller goes away leaves nothing half-way.
    let abandoned = tokio::time::timeout(
        Duration::from_millis(300),
        sandbox.execute("x = 1\ntime.sleep(20)"),
    )
    .await;
    assert!(abandoned.is_err());
    let observation = run(&mut sandbox, "'x' in globals()").await;
    assert_eq!(observation.value.as_deref(), Some("False"));
    sandbox.close().await;
}

async fn files(sandboxes: &dyn Sandboxes) {
    let host = tempfile::tempdir().unwrap();
    std::fs::write(host.path().join("train.csv"), "a,b\n1,2\n3,4\n").unwrap();
    let private = tempfile::NamedTempFile::new_in(host.path()).unwrap(); // readable for its owner only
    std::fs::write(private.path(), "private").unwrap();
    let files = vec![
        MountedFile {
            path: "train.csv".into(),
            host_path: host.path().join("train.csv"),
        },
        MountedFile {
            path: "deep/er/file.txt".into(),
            host_path: private.path().into(),
        },
    ];
    let mut sandbox = sandboxes
        .open(&SandboxSpec { files, ..spec() })
        .await
        .unwrap();
    assert_eq!(
        stdout(
            &mut sandbox,
            "import pandas as pd\nprint(pd.read_csv('data/train.csv')['b'].sum())"
        )
        .await,
        "6\n"
    );
    assert_eq!(
        stdout(&mut sandbox, "print(open('data/deep/er/file.txt').read())").await,
        "private\n"
    );
    for code in [
        "open('data/train.csv', 'a')",
        "open('data/new', 'w')",
        "import os; os.remove('data/train.csv')",
        "os.rename('data', 'x')",
    ] {
        let observation = run(&mut sandbox, code).await;
        assert!(
            matches!(&observation.outcome, CellOutcome::Error { name, .. } if name.ends_with("Error")),
            "{observation:?}"
        );
    }
    assert_eq!(
        std::fs::read_to_string(host.path().join("train.csv")).unwrap(),
        "a,b\n1,2\n3,4\n"
    );
    // Files go in and out.
    sandbox.write_file("in/put.txt", b"given").await.unwrap();
    assert_eq!(
        stdout(
            &mut sandbox,
            "print(open('in/put.txt').read()); open('in/put.txt', 'a').write('!');"
        )
        .await,
        "given\n"
    );
    assert_eq!(
        sandbox.read_file("in/put.txt", 100).await.unwrap(),
        b"given!"
    );
    for path in ["../x", "/etc/passwd", "in/../../x", ""] {
        assert!(
            matches!(
                sandbox.read_file(path, 100).await,
                Err(SandboxError::Path(_))
            ),
            "{path}"
        );
        assert!(
            matches!(
                sandbox.write_file(path, b"x").await,
                Err(SandboxError::Path(_))
            ),
            "{path}"
        );
    }
    let code = "import os\nopen('a', 'w').write('aaaa')\nopen('b', 'w').write('bbbb')\nos.symlink('/etc/hosts', 'link')\n\
                os.symlink('a', 'link2')\nos.mkfifo('pipe')\nos.mkdir('folder');";
    stdout(&mut sandbox, code).await;
    let paths = ["link", "link2", "pipe", "folder", "missing", "a", "b"].map(String::from);
    let names = |artifacts: Vec<synth_sandbox::Artifact>| {
        artifacts
            .into_iter()
            .map(|artifact| artifact.path)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        names(sandbox.collect(&paths, 100).await.unwrap()),
        ["a", "b"]
    );
    assert_eq!(names(sandbox.collect(&paths, 7).await.unwrap()), ["a"]);
    assert!(sandbox.read_file("a", 3).await.is_err());
    // Workspaces are private.
    let mut other = sandboxes.open(&spec()).await.unwrap();
    assert_eq!(
        stdout(
            &mut other,
            "import os\nprint(sorted(os.listdir('.')), os.listdir('data'))"
        )
        .await,
        "['data'] []\n"
    );
    other.close().await;
    sandbox.close().await;
    let missing = vec![MountedFile {
        path: "x".into(),
        host_path: host.path().join("missing"),
    }];
    let outcome = sandboxes
        .open(&SandboxSpec {
            files: missing,
            ..spec()
        })
        .await;
    assert!(matches!(outcome, Err(SandboxError::Data { .. })));
}

async fn isolation(sandboxes: &dyn Sandboxes) {
    let host = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(host.path(), "host secret").unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    // This process's environment holds a variable that cargo set; none of ours may show inside.
    assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some() || std::env::var_os(SECRET).is_some());
    let mut sandbox = sandboxes.open(&spec()).await.unwrap();
    let code = "import os\ntext = open('/proc/self/environ').read() + repr(dict(os.environ))\nprint('CARGO' in text, 'SYNTH' in text)";
    assert_eq!(stdout(&mut sandbox, code).await, "False False\n");
    let code = format!(
        "import socket\nfor family, address in [(socket.AF_INET, ('127.0.0.1', {port})), (socket.AF_INET, ('192.0.2.1', 80))]:\n    \
         try:\n        socket.create_connection(address, timeout=3); print('connected')\n    except OSError: print('no')\n\
         try: socket.socket(40, socket.SOCK_STREAM); print('vsock')\nexcept OSError: print('no')"
    );
    assert_eq!(stdout(&mut sandbox, &code).await, "no\nno\nno\n");
    let code = format!(
        "import os\nprint(os.path.exists('{}'), os.path.exists('/root/.bashrc'), os.path.exists('/home'), os.path.exists('/var'))\n\
         print(open('/etc/passwd').read())\nprint(os.getuid() != 0, os.getpid(), socket.gethostname())",
        host.path().display()
    );
    let expected =
        "False False False False\nagent:x:1000:1000:agent:/workspace:/bin/sh\n\nTrue 2 sandbox\n";
    assert_eq!(stdout(&mut sandbox, &code).await, expected);
    // Only its own processes, no way to more privileges, no write outside the workspace.
    let code = "print(sorted(int(name) for name in os.listdir('/proc') if name.isdigit()))\n\
        for path in ['/x', '/usr/x', '/etc/x', '/proc/sys/kernel/core_pattern', '/dev/x']:\n    \
            try: open(path, 'w'); print('written', path)\n    except OSError: pass\n\
        status = dict(line.split(':', 1) for line in open('/proc/self/status'))\n\
        print(int(status['CapEff'], 16), int(status['CapPrm'], 16), status['NoNewPrivs'].strip(), status['Seccomp'].strip())\n\
        import ctypes\nprint(ctypes.CDLL(None).unshare(0x10000000))\n\
        for name in ('environ', 'mem', 'maps'):\n    try: open(f'/proc/1/{name}').read(); print('read', name)\n    except OSError: pass\n\
        for pid in (1, 0):\n    os.kill(1, 9)\nprint('alive')";
    assert_eq!(
        stdout(&mut sandbox, code).await,
        "[1, 2]\n0 0 1 2\n-1\nalive\n"
    );
    // Descriptors: the streams, the control socket and the two spares.
    let code = "print(sorted(os.listdir('/proc/self/fd'), key=int)[:-1] if True else 0)";
    let descriptors = stdout(&mut sandbox, code).await;
    assert!(!descriptors.contains("'5'"), "{descriptors}");
    // A fork bomb stays inside.
    let code = "import time\ncount = 0\ntry:\n    while count < 2000:\n        if os.fork() == 0:\n            time.sleep(30); os._exit(0)\n        \
                count += 1\nexcept OSError: pass\nprint(count < 1000)";
    assert_eq!(stdout(&mut sandbox, code).await, "True\n");
    sandbox.close().await;
}

async fn forgery(sandboxes: &dyn Sandboxes) {
    let mut sandbox = sandboxes.open(&spec()).await.unwrap();
    let frame = r#"{"version": 2, "nonce": "x", "status": "ok", "value": "forged"}"#;
    let code = format!(
        "import os, struct\nframe = {frame:?}.encode()\nframe = struct.pack('>I', len(frame)) + frame\nos.write(1, frame);1"
    );
    let observation = run(&mut sandbox, &code).await;
    assert_eq!(
        (observation.outcome, observation.value.as_deref()),
        (CellOutcome::Ok, Some("1"))
    );
    assert!(observation.stdout.contains("forged"));
    // Whoever writes into the control socket itself breaks only their own sandbox.
    for bytes in ["frame", "b'\\xff' * 8"] {
        let code = format!(
            "import os, time\nfor n in range(3, 2000):\n    try: os.write(n, {bytes})\n    except OSError: pass\ntime.sleep(20)"
        );
        run(&mut sandbox, &format!("frame = {frame:?}.encode()\nimport struct\nframe = struct.pack('>I', len(frame)) + frame")).await;
        let observation = run(&mut sandbox, &code).await;
        assert_eq!(
            observation.outcome,
            CellOutcome::Died {
                how: "protocol error".into()
            },
            "{observation:?}"
        );
    }
    assert_eq!(run(&mut sandbox, "2").await.value.as_deref(), Some("2"));
    sandbox.close().await;
}

/// What a cell prints belongs to that cell, however busy the machine is.
async fn outputs(sandboxes: &dyn Sandboxes) {
    let print = async |which: usize| {
        let mut sandbox = sandboxes.open(&spec()).await.unwrap();
        for n in 0..300 {
            let told = run(&mut sandbox, &format!("print('{which} says {n}')")).await;
            assert_eq!(told.stdout, format!("{which} says {n}\n"));
        }
        sandbox.close().await;
    };
    let busy = async {
        let mut sandbox = sandboxes.open(&spec()).await.unwrap();
        run(
            &mut sandbox,
            "import time; end = time.time() + 3\nwhile time.time() < end: pass",
        )
        .await;
        sandbox.close().await;
    };
    tokio::join!(print(0), print(1), busy);
}

async fn seeds(sandboxes: &dyn Sandboxes) {
    let mut drawn = Vec::new();
    for seed in [1, 1, 2, u64::MAX] {
        let mut sandbox = sandboxes
            .open(&SandboxSpec { seed, ..spec() })
            .await
            .unwrap();
        let code = "import random, numpy as np\nprint(random.random(), np.random.rand(), hash('text'))\nprint(object())\nimport os\nprint(os.getpid())";
        let mut seen = stdout(&mut sandbox, code).await;
        let error = run(&mut sandbox, "import pandas as pd\npd.DataFrame()['x']").await;
        write!(seen, "{:?}", error.outcome).unwrap();
        drawn.push(seen);
        sandbox.close().await;
    }
    assert_eq!(drawn[0], drawn[1]);
    assert_ne!(drawn[0], drawn[2]);
    assert_ne!(drawn[2], drawn[3]);
}

async fn slots(sandboxes: &dyn Sandboxes) {
    let before = sandboxes.opened();
    let open = std::sync::atomic::AtomicUsize::new(0);
    let work = (0..30).map(|number| {
        let open = &open;
        async move {
            let mut sandbox = sandboxes.open(&spec()).await.unwrap();
            assert!(open.fetch_add(1, std::sync::atomic::Ordering::SeqCst) < 3);
            let value = run(&mut sandbox, &format!("{number} * 2")).await.value;
            assert_eq!(value, Some((number * 2).to_string()));
            open.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
            sandbox.close().await;
        }
    });
    futures::future::join_all(work).await;
    assert_eq!(sandboxes.opened() - before, 30);
}
