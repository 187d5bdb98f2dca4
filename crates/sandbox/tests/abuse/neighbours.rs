//! One sandbox against another that is open beside it.

use std::time::{Duration, Instant};

use synth_core::CellOutcome;

use crate::scene::{Scene, attempts};

attempts![
    neighbours_do_not_share_files,
    neighbours_do_not_share_memory,
    neighbours_do_not_share_sockets,
    neighbours_do_not_see_each_others_processes,
    a_neighbours_end_is_nobody_elses,
    a_busy_neighbour_does_not_hold_up_answers,
    a_hoarding_neighbour_takes_no_memory_of_others,
    a_sandbox_is_never_handed_out_twice,
];

/// A cell in a second sandbox, and then it is closed.
async fn beside(scene: &Scene<'_>, code: &str) -> String {
    let mut sandbox = scene
        .arena
        .sandboxes
        .open(&scene.arena.spec())
        .await
        .unwrap();
    let observation = sandbox.execute(code).await.unwrap().observation;
    sandbox.close().await;
    assert_eq!(observation.outcome, CellOutcome::Ok, "{observation:?}");
    observation.stdout
}

async fn neighbours_do_not_share_files(scene: &mut Scene<'_>) {
    scene.run("import os\nfor folder in ('/workspace', '/tmp', '/dev/shm'):\n    open(f'{folder}/mine', 'w').write('mine')\n    os.chmod(folder, 0o777)\n    os.chmod(f'{folder}/mine', 0o666)").await;
    let code = "import os\nfor folder in ('/workspace', '/tmp', '/dev/shm'): print(os.path.exists(f'{folder}/mine'))\n\
        print([os.path.join(folder, name) for top in ('/workspace', '/tmp', '/dev', '/run', '/var', '/home', '/root', '/mnt') for folder, _, names in os.walk(top) for name in names if name == 'mine'])";
    assert_eq!(beside(scene, code).await, "False\nFalse\nFalse\n[]\n");
}

async fn neighbours_do_not_share_memory(scene: &mut Scene<'_>) {
    let code = "import ctypes, multiprocessing.shared_memory as shared\nblock = shared.SharedMemory('abuse', create=True, size=64)\nblock.buf[:4] = b'mine'\nlibc = ctypes.CDLL(None, use_errno=True)\n\
        print(libc.shmget(0x5EED, ctypes.c_size_t(4096), 0o1666) >= 0, libc.semget(0x5EED, 1, 0o1666) >= 0, libc.msgget(0x5EED, 0o1666) >= 0)";
    let made = scene.stdout(code).await;
    assert!(
        ["True True True\n", "False False False\n"].contains(&made.as_str()),
        "{made}"
    );
    let code = "import ctypes, multiprocessing.shared_memory as shared\ntry: shared.SharedMemory('abuse'); print('found')\nexcept FileNotFoundError: print('nothing')\nlibc = ctypes.CDLL(None)\n\
        print(libc.shmget(0x5EED, ctypes.c_size_t(4096), 0o666), libc.semget(0x5EED, 1, 0o666), libc.msgget(0x5EED, 0o666))";
    assert_eq!(beside(scene, code).await, "nothing\n-1 -1 -1\n");
    scene.run("block.close()\nblock.unlink()").await;
}

async fn neighbours_do_not_share_sockets(scene: &mut Scene<'_>) {
    // A sandbox that may not listen on a port at all has nothing there to share.
    let code = "import socket\nhidden = socket.socket(socket.AF_UNIX)\nhidden.bind('\\0abuse')\nhidden.listen()\nopen_port = socket.socket()\n\
        try:\n    open_port.bind(('0.0.0.0', 47_811))\n    open_port.listen()\nexcept PermissionError: pass";
    scene.stdout(code).await;
    let code = "import socket\nfor family, address in ((socket.AF_UNIX, '\\0abuse'), (socket.AF_INET, ('127.0.0.1', 47_811))):\n    \
        try:\n        with socket.socket(family) as it:\n            it.settimeout(1)\n            it.connect(address)\n        print('reached')\n    except OSError: print('nobody')\n\
        with socket.socket(socket.AF_UNIX) as it: it.bind('\\0abuse')\n\
        try:\n    with socket.socket() as it: it.bind(('0.0.0.0', 47_811))\nexcept PermissionError: pass\nprint('free')";
    assert_eq!(beside(scene, code).await, "nobody\nnobody\nfree\n");
}

async fn neighbours_do_not_see_each_others_processes(scene: &mut Scene<'_>) {
    scene
        .stdout(
            "import subprocess\nchildren = [subprocess.Popen(['sleep', '600']) for _ in range(6)]",
        )
        .await;
    let code = "import os\nprint(sum(name.isdigit() for name in os.listdir('/proc')) < 6)\nfor pid in range(1, 200):\n    if pid == os.getpid(): continue\n    try: os.kill(pid, 9)\n    except OSError: pass\nprint('done')";
    assert_eq!(beside(scene, code).await, "True\ndone\n");
    assert_eq!(
        scene
            .stdout("print([child.poll() for child in children])")
            .await,
        "[None, None, None, None, None, None]\n"
    );
}

async fn a_neighbours_end_is_nobody_elses(scene: &mut Scene<'_>) {
    scene.run("kept = 1").await;
    for code in [
        "import os\nos._exit(1)",
        "import os\nos.abort()",
        "import os\nos.kill(0, 9)",
    ] {
        let mut other = scene
            .arena
            .sandboxes
            .open(&scene.arena.spec())
            .await
            .unwrap();
        assert!(matches!(
            other.execute(code).await.unwrap().observation.outcome,
            CellOutcome::Died { .. }
        ));
        // It is dropped rather than closed.
        drop(other);
    }
    assert_eq!(scene.run("kept").await.value.as_deref(), Some("1"));
}

async fn a_busy_neighbour_does_not_hold_up_answers(scene: &mut Scene<'_>) {
    scene.cell_seconds(4);
    let arena = scene.arena;
    let busy = "import os\nfor _ in range(8):\n    if os.fork() == 0: break\nwhile True: pass";
    let watch = async {
        let started = Instant::now();
        let mut answers = 0;
        while started.elapsed() < Duration::from_secs(3) {
            let asked = Instant::now();
            arena.neighbour_is_untouched().await;
            assert!(
                asked.elapsed() < Duration::from_secs(4),
                "{:?}",
                asked.elapsed()
            );
            answers += 1;
        }
        answers
    };
    let (observation, answers) = tokio::join!(scene.run(busy), watch);
    assert!(
        matches!(observation.outcome, CellOutcome::Timeout { .. }),
        "{observation:?}"
    );
    assert!(answers > 3, "{answers}");
}

async fn a_hoarding_neighbour_takes_no_memory_of_others(scene: &mut Scene<'_>) {
    let arena = scene.arena;
    let hoard = "hoard = []\nwhile True: hoard.append(bytearray(1 << 20))";
    let watch = async {
        for _ in 0..10 {
            arena.neighbour_is_untouched().await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let (observation, ()) = tokio::join!(scene.run(hoard), watch);
    assert!(
        matches!(observation.outcome, CellOutcome::OutOfMemory { .. }),
        "{observation:?}"
    );
}

async fn a_sandbox_is_never_handed_out_twice(scene: &mut Scene<'_>) {
    scene.run("1").await;
    for _ in 0..5 {
        let code = "import builtins, os\nprint(hasattr(builtins, 'used'), os.path.exists('used'), os.path.exists('/tmp/used'), 'USED' in os.environ)\nbuiltins.used = 1\nos.environ['USED'] = '1'\n\
            for path in ('used', '/tmp/used'): open(path, 'w').close()";
        assert_eq!(beside(scene, code).await, "False False False False\n");
    }
}
