//! Too many processes, processes that want to live on, and signals to those that must not be hit.

use std::time::Instant;

use synth_core::{CellLimit, CellOutcome};

use crate::scene::{Scene, attempts};

attempts![
    a_fork_bomb_is_refused_and_the_next_cell_runs,
    a_fork_bomb_that_is_deaf_to_interrupts_ends_with_its_sandbox,
    a_thread_bomb_is_refused,
    zombies_are_buried,
    daemonised_children_do_not_outlive_the_sandbox,
    every_signal_to_process_1_is_in_vain,
    a_kill_of_everybody_reaches_nobody_else,
    a_kill_of_all_process_ids_reaches_nobody_else,
    a_kill_of_the_process_group_ends_the_interpreter_alone,
    an_interpreter_that_kills_itself_is_said_to_have_died,
    an_interpreter_that_exits_is_said_to_have_died,
    an_interpreter_that_aborts_is_said_to_have_died,
    an_interpreter_that_stops_itself_is_killed_at_the_limit,
    an_interpreter_that_is_stopped_between_cells_is_killed_at_the_limit,
    an_interpreter_that_becomes_another_program_is_said_to_have_ended,
    a_child_does_not_answer_for_a_parent_that_is_dead,
    an_exit_that_a_thread_makes_later_is_told_to_that_cell,
    limits_cannot_be_raised,
    init_cannot_be_crippled,
    nobody_gets_ahead_of_others_by_priority,
];

async fn a_fork_bomb_is_refused_and_the_next_cell_runs(scene: &mut Scene<'_>) {
    let code = "import os, time\nchildren = 0\ntry:\n    while children < 5000:\n        if os.fork() == 0:\n            time.sleep(60)\n            \
                os._exit(0)\n        children += 1\nexcept OSError:\n    print('refused after', children)";
    let observation = scene.run(code).await;
    let children: u32 = observation
        .stdout
        .trim()
        .strip_prefix("refused after ")
        .unwrap_or("5000")
        .parse()
        .unwrap();
    assert!(children <= scene.spec.limits.processes, "{observation:?}");
    let observation = scene.run("import os\nos.fork()").await;
    let expected = CellOutcome::Limit {
        limit: CellLimit::Processes,
        state_kept: true,
    };
    assert_eq!(observation.outcome, expected, "{observation:?}");
    assert_eq!(
        scene.run("children > 5").await.value.as_deref(),
        Some("True")
    );
}

async fn a_fork_bomb_that_is_deaf_to_interrupts_ends_with_its_sandbox(scene: &mut Scene<'_>) {
    scene.cell_seconds(2);
    let code = "import os, signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True:\n    try:\n        if os.fork() == 0: os.setsid()\n    \
                except OSError: pass";
    let observation = scene.run(code).await;
    let ended = matches!(
        observation.outcome,
        CellOutcome::Timeout { state_kept: false }
            | CellOutcome::OutOfMemory { .. }
            | CellOutcome::Limit {
                limit: CellLimit::Processes,
                ..
            }
    );
    assert!(ended, "{observation:?}");
}

async fn a_thread_bomb_is_refused(scene: &mut Scene<'_>) {
    let code = "import threading, time\nthreads = 0\ntry:\n    while threads < 5000:\n        threading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n        \
                threads += 1\nexcept RuntimeError:\n    print('refused after', threads)";
    let observation = scene.run(code).await;
    let threads: u32 = observation
        .stdout
        .trim()
        .strip_prefix("refused after ")
        .unwrap_or("5000")
        .parse()
        .unwrap();
    assert!(threads <= scene.spec.limits.processes, "{observation:?}");
}

async fn zombies_are_buried(scene: &mut Scene<'_>) {
    let code = "import os, time\nfor _ in range(60):\n    pid = os.fork()\n    if pid == 0:\n        if os.fork() == 0: os._exit(0)\n        os._exit(0)\n    \
                os.waitpid(pid, 0)\ntime.sleep(0.5)\nprint(sum(name.isdigit() for name in os.listdir('/proc')) < 10)";
    assert_eq!(scene.stdout(code).await, "True\n");
}

async fn daemonised_children_do_not_outlive_the_sandbox(scene: &mut Scene<'_>) {
    let code = "import os, signal, time\nreader, writer = os.pipe()\nfor _ in range(5):\n    if os.fork() == 0:\n        os.setsid()\n        if os.fork(): os._exit(0)\n        \
                for number in range(1, 65):\n            try: signal.signal(number, signal.SIG_IGN)\n            except (OSError, ValueError): pass\n        \
                os.write(writer, b'x')\n        os.closerange(0, 4096)\n        while True: time.sleep(1)\n\
                while len(os.read(reader, 1)) and (count := globals().get('count', 0) + 1) < 5: pass\nprint(count)";
    assert_eq!(scene.stdout(code).await, "5\n");
    // That they are gone with the sandbox is seen from the host, as after every attempt; they are there until then.
    let alive = "import os\nprint(sum(name.isdigit() for name in os.listdir('/proc')) >= 6)";
    assert_eq!(scene.stdout(alive).await, "True\n");
}

async fn every_signal_to_process_1_is_in_vain(scene: &mut Scene<'_>) {
    let code = "import os, time\nkept = 'kept'\nfor number in range(1, 65):\n    try: os.kill(1, number)\n    except OSError: pass\ntime.sleep(0.3)\nprint('alive')";
    assert_eq!(scene.stdout(code).await, "alive\n");
    assert_eq!(scene.run("kept").await.value.as_deref(), Some("'kept'"));
}

async fn a_kill_of_everybody_reaches_nobody_else(scene: &mut Scene<'_>) {
    let code = "import os, signal\nkept = 'kept'\nfor number in (signal.SIGSTOP, signal.SIGTERM, signal.SIGKILL):\n    try: os.kill(-1, number)\n    \
                except OSError: pass\nprint('alive')";
    assert_eq!(scene.stdout(code).await, "alive\n");
    assert_eq!(scene.run("kept").await.value.as_deref(), Some("'kept'"));
}

async fn a_kill_of_all_process_ids_reaches_nobody_else(scene: &mut Scene<'_>) {
    let [orchestrator, sleeper] = scene.arena.pids;
    let code = format!(
        "import os, time\nfor pid in [os.getppid(), {orchestrator}, {sleeper}, *range(1, 70_000)]:\n    if pid in (0, os.getpid()): continue\n    \
         try: os.kill(pid, 9)\n    except OSError: pass\ntime.sleep(0.2)\nprint('alive')"
    );
    assert_eq!(scene.stdout(&code).await, "alive\n");
}

async fn a_kill_of_the_process_group_ends_the_interpreter_alone(scene: &mut Scene<'_>) {
    let observation = scene.run("import os\nos.kill(0, 9)").await;
    assert_eq!(
        observation.outcome,
        CellOutcome::Died {
            how: "signal 9".into()
        }
    );
}

async fn an_interpreter_that_kills_itself_is_said_to_have_died(scene: &mut Scene<'_>) {
    let observation = scene
        .run("import os\nprint('last words', flush=True)\nos.kill(os.getpid(), 9)")
        .await;
    assert_eq!(
        observation.outcome,
        CellOutcome::Died {
            how: "signal 9".into()
        }
    );
    assert_eq!(observation.stdout, "last words\n");
}

async fn an_interpreter_that_exits_is_said_to_have_died(scene: &mut Scene<'_>) {
    let observation = scene.run("import os\nos._exit(0)").await;
    assert_eq!(
        observation.outcome,
        CellOutcome::Died {
            how: "exit code 0".into()
        }
    );
    let observation = scene.run("import sys\nsys.exit(0)").await;
    assert!(
        matches!(&observation.outcome, CellOutcome::Error { name, .. } if name == "SystemExit"),
        "{observation:?}"
    );
}

async fn an_interpreter_that_aborts_is_said_to_have_died(scene: &mut Scene<'_>) {
    let observation = scene.run("import os\nos.abort()").await;
    assert_eq!(
        observation.outcome,
        CellOutcome::Died {
            how: "signal 6".into()
        }
    );
}

async fn an_interpreter_that_stops_itself_is_killed_at_the_limit(scene: &mut Scene<'_>) {
    scene.cell_seconds(2);
    let observation = scene
        .run("import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)")
        .await;
    assert_eq!(
        observation.outcome,
        CellOutcome::Timeout { state_kept: false }
    );
}

async fn an_interpreter_that_is_stopped_between_cells_is_killed_at_the_limit(
    scene: &mut Scene<'_>,
) {
    scene.cell_seconds(2);
    let code = "import os, signal, subprocess\nsubprocess.Popen(['sh', '-c', f'sleep 0.3; kill -STOP {os.getpid()}']);";
    scene.stdout(code).await;
    tokio::time::sleep(std::time::Duration::from_millis(800)).await;
    let observation = scene.run("1 + 1").await;
    assert_eq!(
        observation.outcome,
        CellOutcome::Timeout { state_kept: false }
    );
}

async fn an_interpreter_that_becomes_another_program_is_said_to_have_ended(scene: &mut Scene<'_>) {
    let observation = scene
        .run("import os\nos.execv('/bin/true', ['true'])")
        .await;
    assert_eq!(
        observation.outcome,
        CellOutcome::Died {
            how: "exit code 0".into()
        }
    );
    scene.run("1").await;
    let started = Instant::now();
    let observation = scene
        .run("import os\nos.execv('/bin/sleep', ['sleep', '600'])")
        .await;
    assert!(
        matches!(
            observation.outcome,
            CellOutcome::Died { .. } | CellOutcome::Timeout { state_kept: false }
        ),
        "{observation:?}"
    );
    assert!(started.elapsed() < scene.spec.limits.cell + std::time::Duration::from_secs(15));
}

async fn a_child_does_not_answer_for_a_parent_that_is_dead(scene: &mut Scene<'_>) {
    let observation = scene
        .run("import os\nif os.fork(): os._exit(4)\n'the child'")
        .await;
    assert_eq!(
        observation.outcome,
        CellOutcome::Died {
            how: "exit code 4".into()
        }
    );
    assert_eq!(observation.value, None);
}

async fn an_exit_that_a_thread_makes_later_is_told_to_that_cell(scene: &mut Scene<'_>) {
    let observation = scene
        .run("import os, threading, time\nthreading.Timer(0.5, os._exit, (5,)).start()\n'first'")
        .await;
    assert_eq!(observation.value.as_deref(), Some("'first'"));
    let observation = scene.run("import time\ntime.sleep(5)").await;
    assert_eq!(
        observation.outcome,
        CellOutcome::Died {
            how: "exit code 5".into()
        }
    );
}

async fn limits_cannot_be_raised(scene: &mut Scene<'_>) {
    let code = "import resource\n\
        for name in ('DATA', 'FSIZE', 'NPROC', 'NOFILE'):\n    which = getattr(resource, 'RLIMIT_' + name)\n    soft, hard = resource.getrlimit(which)\n    \
            print(name, 'unlimited' if hard == resource.RLIM_INFINITY else 'bounded')\n    \
            for target in (hard + 1, resource.RLIM_INFINITY):\n        \
                try: resource.setrlimit(which, (target, target)); print('raised', name)\n        except (ValueError, OSError): pass";
    let stdout = scene.stdout(code).await;
    assert!(
        !stdout.contains("raised") && stdout.contains("NOFILE bounded"),
        "{stdout}"
    );
}

async fn init_cannot_be_crippled(scene: &mut Scene<'_>) {
    let code = "import resource\n\
        attempt('files', lambda: resource.prlimit(1, resource.RLIMIT_NOFILE, (3, 3)))\n\
        attempt('memory', lambda: resource.prlimit(1, resource.RLIMIT_DATA, (0, 0)))\n\
        attempt('idle', lambda: os.sched_setscheduler(1, os.SCHED_IDLE, os.sched_param(0)))\n\
        attempt('nice', lambda: os.setpriority(os.PRIO_PROCESS, 1, 19))\n\
        attempt('processor', lambda: os.sched_setaffinity(1, {0}))\n\
        attempt('disk', lambda: call(251 if platform.machine() == 'x86_64' else 30, 1, 1, 3 << 13))\n\
        attempt('memory of', lambda: open('/proc/1/mem', 'r+b'))\n\
        attempt('score', lambda: os.write(os.open('/proc/1/oom_score_adj', os.O_WRONLY), b'1000'))";
    scene.refused(code).await;
}

async fn nobody_gets_ahead_of_others_by_priority(scene: &mut Scene<'_>) {
    let code = "attempt('realtime', lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1)))\n\
        attempt('round robin', lambda: os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1)))\n\
        attempt('nice', lambda: os.setpriority(os.PRIO_PROCESS, 0, -20))\n\
        attempt('disk', lambda: call(251 if platform.machine() == 'x86_64' else 30, 1, 0, 1 << 13))\n\
        attempt('score', lambda: os.write(os.open('/proc/self/oom_score_adj', os.O_WRONLY), b'-1000'))";
    scene.refused(code).await;
}
