//! Memory taken by every way there is to take it.

use synth_core::{CellOutcome, Observation};

use crate::scene::{Scene, attempts};

attempts![
    a_hoard_that_grows_slowly_is_out_of_memory,
    an_array_beyond_all_memory_is_refused_and_the_state_kept,
    a_hoard_in_many_processes_is_out_of_memory,
    a_hoard_that_forgives_every_refusal_is_stopped,
    a_hoard_in_shared_pages_is_bounded,
    a_hoard_in_anonymous_files_is_bounded,
    a_hoard_in_system_v_segments_is_bounded,
    a_hoard_in_named_shared_memory_is_bounded,
    a_hoard_in_pipes_and_sockets_is_bounded,
    a_gigantic_variable_is_refused_and_the_state_kept,
    a_gigantic_value_is_shown_cut,
    a_child_that_runs_out_of_memory_alone_leaves_the_state,
    a_crippled_init_still_sees_a_hoard,
];

/// How much of what it took a cell told of, in MiB.
fn held(observation: &Observation) -> u64 {
    let last = observation
        .stdout
        .lines()
        .rev()
        .find_map(|line| line.strip_prefix("held "));
    last.map_or(0, |number| number.parse().unwrap())
}

/// Runs a cell that takes 8 MiB at a time by `take` and tells how much it holds: it must not get far beyond its limit.
async fn hoards(scene: &mut Scene<'_>, set_up: &str, take: &str) -> Observation {
    let code = format!(
        "import ctypes, mmap, os\nSIZE = 8 << 20\nBLOCK = os.urandom(1 << 20) * 8\nhoard = []\n{set_up}\nfor number in range(1, 129):\n    \
         try:\n        {take}\n    except (OSError, MemoryError) as error:\n        print('refused', flush=True)\n        break\n    \
         print('held', 8 * number, flush=True)"
    );
    let observation = scene.run(&code).await;
    // The loaded libraries and what the agent keeps back come on top.
    let most = (scene.spec.limits.memory_bytes >> 20) + 320;
    assert!(
        held(&observation) <= most,
        "it held {} of {most} MiB: {:?}",
        held(&observation),
        observation.outcome
    );
    observation
}

async fn a_hoard_that_grows_slowly_is_out_of_memory(scene: &mut Scene<'_>) {
    let code = "hoard = []\nwhile True: hoard.append(bytes(100_000))";
    let observation = scene.run(code).await;
    assert!(
        matches!(observation.outcome, CellOutcome::OutOfMemory { .. }),
        "{observation:?}"
    );
}

async fn an_array_beyond_all_memory_is_refused_and_the_state_kept(scene: &mut Scene<'_>) {
    let observation = scene
        .run("kept = 1\nimport numpy as np\nnp.ones(10**12)")
        .await;
    assert_eq!(
        observation.outcome,
        CellOutcome::OutOfMemory { state_kept: true }
    );
    assert_eq!(scene.run("kept").await.value.as_deref(), Some("1"));
}

async fn a_hoard_in_many_processes_is_out_of_memory(scene: &mut Scene<'_>) {
    let code = "import os, time\nfor _ in range(12):\n    if os.fork() == 0:\n        hoard = bytearray(os.urandom(1 << 20)) * 60\n        time.sleep(60)\n        \
                os._exit(0)\ntime.sleep(60)";
    scene.cell_seconds(15);
    let observation = scene.run(code).await;
    assert!(
        matches!(
            observation.outcome,
            CellOutcome::OutOfMemory { .. } | CellOutcome::Timeout { .. }
        ),
        "{observation:?}"
    );
    let left = "import os\nsum(open(f'/proc/{name}/stat').read().rsplit(')')[-1].split()[0] != 'Z' for name in os.listdir('/proc') if name.isdigit()) < 12";
    let observation = scene.run(left).await;
    assert_eq!(
        observation.value.as_deref(),
        Some("True"),
        "children were ended: {observation:?}"
    );
}

async fn a_hoard_that_forgives_every_refusal_is_stopped(scene: &mut Scene<'_>) {
    scene.cell_seconds(2);
    let code = "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nhoard = []\nwhile True:\n    try: hoard.append(bytearray(1 << 16))\n    \
                except BaseException: pass";
    let observation = scene.run(code).await;
    assert!(
        matches!(
            observation.outcome,
            CellOutcome::OutOfMemory { .. } | CellOutcome::Timeout { .. }
        ),
        "{observation:?}"
    );
}

async fn a_hoard_in_shared_pages_is_bounded(scene: &mut Scene<'_>) {
    let take = "area = mmap.mmap(-1, SIZE); area.write(BLOCK); hoard.append(area)";
    hoards(scene, "", take).await;
}

async fn a_hoard_in_anonymous_files_is_bounded(scene: &mut Scene<'_>) {
    let take = "file = os.memfd_create('hoard'); os.write(file, BLOCK)";
    hoards(scene, "", take).await;
}

async fn a_hoard_in_system_v_segments_is_bounded(scene: &mut Scene<'_>) {
    let set_up = "libc = ctypes.CDLL(None, use_errno=True)\nlibc.shmat.restype = ctypes.c_void_p\nlibc.shmat.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_int]\n\
        def segment():\n    key = libc.shmget(0, ctypes.c_size_t(SIZE), 0o1600)\n    if key == -1: raise OSError(ctypes.get_errno(), 'shmget')\n    \
        address = libc.shmat(key, None, 0)\n    if address in (None, ctypes.c_void_p(-1).value): raise OSError(ctypes.get_errno(), 'shmat')\n    \
        ctypes.memset(address, 7, SIZE)\n    libc.shmdt(ctypes.c_void_p(address))";
    hoards(scene, set_up, "segment()").await;
}

async fn a_hoard_in_named_shared_memory_is_bounded(scene: &mut Scene<'_>) {
    let take = "open(f'/dev/shm/{number}', 'wb', buffering=0).write(BLOCK) == SIZE or os.fsync(-1)";
    let observation = hoards(scene, "", take).await;
    scene
        .run("import os\nfor name in os.listdir('/dev/shm'): os.remove(f'/dev/shm/{name}')")
        .await;
    assert!(
        !matches!(observation.outcome, CellOutcome::Error { .. }),
        "{observation:?}"
    );
}

async fn a_hoard_in_pipes_and_sockets_is_bounded(scene: &mut Scene<'_>) {
    let set_up = "import fcntl, socket\ndef fill():\n    written = 0\n    while written < SIZE:\n        if len(hoard) % 2:\n            reader, writer = os.pipe()\n            \
        try: fcntl.fcntl(writer, 1031, 1 << 20)\n            except OSError: pass\n        else:\n            one, other = socket.socketpair()\n            \
        reader, writer = one.detach(), other.detach()\n        hoard.append((reader, writer))\n        os.set_blocking(writer, False)\n        \
        try:\n            while True: written += os.write(writer, BLOCK[:1 << 16])\n        except BlockingIOError: pass";
    let observation = hoards(scene, set_up, "fill()").await;
    assert!(
        !matches!(
            observation.outcome,
            CellOutcome::Timeout { state_kept: false }
        ),
        "{observation:?}"
    );
}

async fn a_gigantic_variable_is_refused_and_the_state_kept(scene: &mut Scene<'_>) {
    let observation = scene.run("kept = 1\ntext = 'x' * 10**11").await;
    assert_eq!(
        observation.outcome,
        CellOutcome::OutOfMemory { state_kept: true }
    );
    let observation = scene.run("numbers = list(range(10**10))").await;
    assert!(
        matches!(observation.outcome, CellOutcome::OutOfMemory { .. }),
        "{observation:?}"
    );
    let observation = scene.run("1 << (1 << 62)").await;
    let refused = matches!(
        observation.outcome,
        CellOutcome::Error { .. } | CellOutcome::OutOfMemory { .. }
    );
    assert!(refused, "{observation:?}");
}

async fn a_gigantic_value_is_shown_cut(scene: &mut Scene<'_>) {
    let observation = scene.run("'x' * 30_000_000").await;
    assert!(
        observation.truncated || matches!(observation.outcome, CellOutcome::OutOfMemory { .. }),
        "{observation:?}"
    );
    let observation = scene
        .run("[list(range(100_000)), 7 ** 100_000 % 10**4000]")
        .await;
    assert_eq!(observation.outcome, CellOutcome::Ok);
}

async fn a_child_that_runs_out_of_memory_alone_leaves_the_state(scene: &mut Scene<'_>) {
    let code = "kept = 1\nimport subprocess, sys\ncode = 'hoard = []\\nwhile True: hoard.append(bytearray(1 << 20))'\n\
                subprocess.run([sys.executable, '-c', code], stderr=subprocess.DEVNULL).returncode != 0";
    let observation = scene.run(code).await;
    let told = matches!(
        observation.outcome,
        CellOutcome::Ok | CellOutcome::OutOfMemory { .. }
    );
    assert!(told, "{observation:?}");
    let observation = scene.run("globals().get('kept')").await;
    assert!(
        observation.value.as_deref() == Some("1") || observation.stderr.contains("out of memory"),
        "{observation:?}"
    );
}

async fn a_crippled_init_still_sees_a_hoard(scene: &mut Scene<'_>) {
    scene.cell_seconds(15);
    let code = "import os, resource, time\nfor which, most in ((resource.RLIMIT_NOFILE, 3), (resource.RLIMIT_DATA, 0), (resource.RLIMIT_AS, 0)):\n    \
        try: resource.prlimit(1, which, (most, most))\n    except OSError: pass\n\
        try: os.sched_setscheduler(1, os.SCHED_IDLE, os.sched_param(0))\nexcept OSError: pass\n\
        for _ in range(12):\n    if os.fork() == 0:\n        hoard = bytearray(os.urandom(1 << 20)) * 60\n        time.sleep(60)\n        os._exit(0)\ntime.sleep(60)";
    let observation = scene.run(code).await;
    let stopped = matches!(
        observation.outcome,
        CellOutcome::OutOfMemory { .. } | CellOutcome::Died { .. } | CellOutcome::Timeout { .. }
    );
    assert!(stopped, "{observation:?}");
    let observation = scene
        .run("import os\nsum(open(f'/proc/{name}/stat').read().rsplit(')')[-1].split()[0] != 'Z' for name in os.listdir('/proc') if name.isdigit()) < 12")
        .await;
    assert_eq!(
        observation.value.as_deref(),
        Some("True"),
        "children were ended: {observation:?}"
    );
}
