//! An interpreter that is turned against itself: patched, poisoned, corrupted, exhausted.

use std::time::{Duration, Instant};

use synth_core::CellOutcome;

use crate::scene::{Scene, attempts};

attempts![
    recursion_in_python_is_an_error,
    recursion_without_a_limit_is_told,
    recursion_in_c_is_told,
    patched_builtins_do_not_reach_the_reply,
    patched_streams_are_put_back,
    patched_exits_do_not_hold_up_the_end,
    patched_modules_do_not_reach_the_reply,
    modules_in_the_workspace_are_not_taken_for_the_agents,
    site_packages_cannot_be_poisoned,
    start_up_files_do_not_reach_a_new_interpreter,
    hooks_of_the_shell_do_not_hold_up_later_cells,
    a_trace_function_that_raises_breaks_its_own_cells_alone,
    an_audit_hook_that_refuses_all_breaks_its_own_cells_alone,
    memory_written_over_breaks_its_own_cells_alone,
    a_number_that_is_altered_deceives_its_own_cells_alone,
    an_import_hook_that_never_ends_runs_into_the_limit,
    a_dump_on_a_timer_is_told_as_a_death,
    exit_hooks_and_threads_do_not_hold_up_the_closing,
    a_signal_handler_for_everything_does_not_hold_up_the_closing,
    a_collector_that_is_abused_leaves_the_next_cell_alone,
    environment_variables_do_not_reach_a_new_interpreter,
];

async fn recursion_in_python_is_an_error(scene: &mut Scene<'_>) {
    let observation = scene.run("kept = 1\ndef f(): return f()\nf()").await;
    assert!(
        matches!(&observation.outcome, CellOutcome::Error { name, .. } if name == "RecursionError"),
        "{observation:?}"
    );
    let observation = scene
        .run("x = []\nfor _ in range(200_000): x = [x]\nx")
        .await;
    assert!(
        !matches!(observation.outcome, CellOutcome::Died { .. }),
        "{observation:?}"
    );
    assert_eq!(scene.run("kept").await.value.as_deref(), Some("1"));
    scene.run("while x: x = x[0]").await;
}

async fn recursion_without_a_limit_is_told(scene: &mut Scene<'_>) {
    let code = "import sys\nsys.setrecursionlimit(2**31 - 1)\nclass Deep:\n    def __getattr__(self, name): return getattr(self, name + 'x')\nsorted([1, 2], key=lambda _: repr(Deep().x))";
    let observation = scene.run(code).await;
    let told = matches!(
        &observation.outcome,
        CellOutcome::Died { how } if how.starts_with("signal ")
    ) || matches!(
        observation.outcome,
        CellOutcome::OutOfMemory { .. } | CellOutcome::Error { .. } | CellOutcome::Timeout { .. }
    );
    assert!(told, "{observation:?}");
}

async fn recursion_in_c_is_told(scene: &mut Scene<'_>) {
    let code = "import ctypes\nkind = ctypes.CFUNCTYPE(None)\ndef again(): function()\nfunction = kind(again)\nimport sys\nsys.setrecursionlimit(10**9)\nfunction()";
    let observation = scene.run(code).await;
    assert!(
        matches!(&observation.outcome, CellOutcome::Died { how } if how == "signal 11" || how == "signal 6"),
        "{observation:?}"
    );
}

async fn patched_builtins_do_not_reach_the_reply(scene: &mut Scene<'_>) {
    let code = "import builtins\ndef evil(*_, **__): raise SystemExit('patched')\nfor name in ('print', 'len', 'open', 'str', 'repr', 'isinstance', 'getattr', 'type', 'dict', 'list', 'range', 'int', 'min', 'max', 'sorted', 'hasattr', 'bytes', '__import__'):\n    \
                setattr(builtins, name, evil)";
    scene.deranges_itself();
    scene.cell_seconds(2);
    scene.run(code).await;
    let observation = scene.run("1 + 1").await;
    assert!(observation.value.is_none_or(|value| value == "2"));
}

async fn patched_streams_are_put_back(scene: &mut Scene<'_>) {
    let code = "import sys\nclass Evil:\n    encoding = 'utf-8'\n    closed = False\n    def write(self, text): raise ValueError('no')\n    def flush(self):\n        while True: pass\n    def fileno(self): return 77\n\
        sys.stdout = sys.stderr = sys.__stdout__ = sys.__stderr__ = Evil()";
    scene.cell_seconds(2);
    scene.run(code).await;
    assert_eq!(scene.stdout("print('back')").await, "back\n");
}

async fn patched_exits_do_not_hold_up_the_end(scene: &mut Scene<'_>) {
    let code = "import os, signal, sys, time\nos._exit = sys.exit = os.abort = lambda *_: time.sleep(600)\nsignal.signal = lambda *_: None\nos.dup2 = lambda *_, **__: 7\nsys.stdout.flush = lambda: None";
    scene.deranges_itself();
    scene.cell_seconds(2);
    scene.run(code).await;
    let started = Instant::now();
    let observation = scene.run("while True: pass").await;
    assert!(
        matches!(observation.outcome, CellOutcome::Timeout { .. }),
        "{observation:?}"
    );
    assert!(started.elapsed() < Duration::from_secs(12));
}

async fn patched_modules_do_not_reach_the_reply(scene: &mut Scene<'_>) {
    let code = "import sys, types\nfor name in ('json', 'struct', 'socket', 'os', 'io', 'signal', 'resource', 'wire', 'jail', 'agent', 'IPython', 'traceback'):\n    sys.modules[name] = types.ModuleType(name)";
    scene.run(code).await;
    assert_eq!(scene.run("20 + 1").await.value.as_deref(), Some("21"));
    scene.run("for name in list(sys.modules):\n    if name.split('.')[0] in ('json', 'struct', 'socket', 'os', 'io', 'signal', 'resource', 'wire', 'jail', 'agent'): del sys.modules[name]").await;
}

async fn modules_in_the_workspace_are_not_taken_for_the_agents(scene: &mut Scene<'_>) {
    let code = "for name in ('json', 'struct', 'socket', 'wire', 'agent', 'jail', 'signal', 'traceback', 'warnings', 'linecache', 'tokenize', 'sitecustomize', 'usercustomize', 'readline', '_pytest'):\n    \
        open(f'{name}.py', 'w').write('print(\"poisoned\")\\nraise SystemExit')";
    scene.stdout(code).await;
    assert_eq!(scene.run("20 + 1").await.value.as_deref(), Some("21"));
    let observation = scene.run("1 / 0").await;
    assert!(
        matches!(&observation.outcome, CellOutcome::Error { name, .. } if name == "ZeroDivisionError"),
        "{observation:?}"
    );
    assert!(!format!("{observation:?}").contains("poisoned"));
    // A new interpreter is not given them either.
    scene.run("import os\nos._exit(1)").await;
    let observation = scene.run("20 + 1").await;
    assert!(
        observation.value.as_deref() == Some("21") && !observation.stdout.contains("poisoned"),
        "{observation:?}"
    );
}

async fn site_packages_cannot_be_poisoned(scene: &mut Scene<'_>) {
    let code = "import numpy, site, sys, sysconfig\n\
        folders = {*sysconfig.get_paths().values(), *site.getsitepackages(), os.path.dirname(numpy.__file__), os.path.dirname(os.__file__), os.path.dirname(sys.executable), *(path for path in sys.path if path)}\n\
        for folder in sorted(folders):\n    if not os.path.isdir(folder): continue\n    \
            for name in ('sitecustomize.py', 'usercustomize.py', 'evil.pth', '__init__.py', 'python'):\n        attempt(f'{folder}/{name}', lambda: os.open(os.path.join(folder, name), os.O_CREAT | os.O_WRONLY), errno.ETXTBSY)\n    \
            attempt(f'{folder} renamed', lambda: os.rename(folder, folder + '-old'), errno.EBUSY, errno.EXDEV)\n\
        attempt('interpreter', lambda: open(os.path.realpath(sys.executable), 'r+b'), errno.ETXTBSY)";
    scene.refused(code).await;
}

async fn start_up_files_do_not_reach_a_new_interpreter(scene: &mut Scene<'_>) {
    let code = "import os, site, sys\nversion = f'python{sys.version_info[0]}.{sys.version_info[1]}'\n\
        for home in {os.path.expanduser('~'), '/workspace', '/tmp'}:\n    \
        for path in (f'.local/lib/{version}/site-packages/usercustomize.py', f'.local/lib/{version}/site-packages/evil.pth', '.ipython/profile_default/startup/00.py', '.pythonrc.py',\n            \
        '.config/matplotlib/matplotlibrc', 'matplotlibrc', '.ipython/profile_default/ipython_config.py', 'pip.conf', '.netrc'):\n        \
            try:\n            os.makedirs(os.path.dirname(f'{home}/{path}'), exist_ok=True)\n            open(f'{home}/{path}', 'w').write('import os; os.environ[\"POISONED\"] = \"1\"; poisoned = 1\\n')\n        \
            except OSError: pass\nos._exit(1)";
    scene.run(code).await;
    let observation = scene
        .run("import os\n'POISONED' in os.environ or 'poisoned' in globals()")
        .await;
    assert_eq!(
        observation.value.as_deref(),
        Some("False"),
        "{observation:?}"
    );
}

async fn hooks_of_the_shell_do_not_hold_up_later_cells(scene: &mut Scene<'_>) {
    scene.deranges_itself();
    scene.cell_seconds(2);
    let code = "import time\nshell = get_ipython()\ndef stall(*_, **__): time.sleep(600)\n\
        for event in ('pre_execute', 'pre_run_cell', 'post_execute', 'post_run_cell'): shell.events.register(event, stall)\nshell.input_transformers_cleanup.append(stall)";
    scene.run(code).await;
    for _ in 0..2 {
        let observation = scene.run("1 + 1").await;
        assert!(
            matches!(
                observation.outcome,
                CellOutcome::Timeout { .. } | CellOutcome::Ok | CellOutcome::Error { .. }
            ),
            "{observation:?}"
        );
    }
}

async fn a_trace_function_that_raises_breaks_its_own_cells_alone(scene: &mut Scene<'_>) {
    scene.deranges_itself();
    scene.cell_seconds(2);
    let code = "import sys, threading\ndef trace(*_): raise ValueError('traced')\nthreading.settrace(trace)\nsys.excepthook = sys.unraisablehook = sys.displayhook = trace\nsys.setprofile(trace)\nsys.settrace(trace)";
    scene.run(code).await;
    scene.run("1 + 1").await;
}

async fn an_audit_hook_that_refuses_all_breaks_its_own_cells_alone(scene: &mut Scene<'_>) {
    scene.deranges_itself();
    scene.cell_seconds(2);
    let code = "import sys\ndef refuse(event, arguments): raise RuntimeError(event)\nsys.addaudithook(refuse)";
    scene.run(code).await;
    scene.run("1 + 1").await;
}

async fn memory_written_over_breaks_its_own_cells_alone(scene: &mut Scene<'_>) {
    scene.cell_seconds(2);
    scene.may_lose_the_next_cell();
    let code =
        "import ctypes, gc\nfor thing in gc.get_objects()[::7]: ctypes.memset(id(thing), 0x41, 16)";
    let observation = scene.run(code).await;
    assert!(
        matches!(
            observation.outcome,
            CellOutcome::Died { .. } | CellOutcome::Timeout { .. }
        ),
        "{observation:?}"
    );
}

async fn a_number_that_is_altered_deceives_its_own_cells_alone(scene: &mut Scene<'_>) {
    // The interpreter keeps one object for 2; here it becomes 3 for all who look.
    scene.deranges_itself();
    scene.cell_seconds(2);
    scene.run("import ctypes\nctypes.c_uint32.from_address(id(2) + object().__sizeof__() + 8).value = 3").await;
    scene.run("1 + 1").await;
}

async fn an_import_hook_that_never_ends_runs_into_the_limit(scene: &mut Scene<'_>) {
    scene.cell_seconds(1);
    let code = "import sys\nclass Finder:\n    def find_spec(self, *_):\n        while True: pass\nsys.meta_path.insert(0, Finder())\nimport nothing_of_that_name";
    let observation = scene.run(code).await;
    assert!(
        matches!(observation.outcome, CellOutcome::Timeout { .. }),
        "{observation:?}"
    );
    scene.run("sys.meta_path.pop(0)").await;
}

async fn a_dump_on_a_timer_is_told_as_a_death(scene: &mut Scene<'_>) {
    let code = "import faulthandler, time\nfaulthandler.dump_traceback_later(0.3, exit=True)\ntime.sleep(5)";
    let observation = scene.run(code).await;
    assert!(
        matches!(&observation.outcome, CellOutcome::Died { how } if how == "exit code 1"),
        "{observation:?}"
    );
    // Its dump names no folder of the host's user.
    let home = std::env::var("HOME").unwrap_or_default();
    assert!(
        home.len() < 2 || !observation.stdout.contains(&home),
        "{observation:?}"
    );
}

async fn exit_hooks_and_threads_do_not_hold_up_the_closing(scene: &mut Scene<'_>) {
    let code = "import atexit, threading, time\nclass Late:\n    def __del__(self): time.sleep(600)\nlate = Late()\natexit.register(time.sleep, 600)\nthreading._register_atexit(time.sleep, 600)\n\
        for daemon in (True, False): threading.Thread(target=time.sleep, args=(600,), daemon=daemon).start()";
    scene.run(code).await;
}

async fn a_signal_handler_for_everything_does_not_hold_up_the_closing(scene: &mut Scene<'_>) {
    let code = "import signal, time\nfor number in range(1, 65):\n    try: signal.signal(number, lambda *_: time.sleep(600))\n    except (OSError, ValueError): pass\nsignal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65));";
    scene.run(code).await;
}

async fn a_collector_that_is_abused_leaves_the_next_cell_alone(scene: &mut Scene<'_>) {
    let code = "import gc\ngc.freeze()\ngc.set_threshold(1)\ngc.callbacks.append(lambda *_: 1 / 0)\ngc.set_debug(gc.DEBUG_SAVEALL)";
    scene.run(code).await;
    scene
        .run("gc.callbacks.clear()\ngc.set_threshold(700)\ngc.set_debug(0)")
        .await;
}

async fn environment_variables_do_not_reach_a_new_interpreter(scene: &mut Scene<'_>) {
    let code = "import os\nopen('/tmp/evil.py', 'w').write('import os; os._exit(9)')\nos.environ.update(PYTHONSTARTUP='/tmp/evil.py', PYTHONPATH='/tmp', PYTHONINSPECT='1', LD_PRELOAD='/tmp/evil.so', PYTHONHOME='/tmp')\nos._exit(1)";
    scene.run(code).await;
    let observation = scene.run("import os\nsorted(name for name in os.environ if name in ('PYTHONSTARTUP', 'PYTHONPATH', 'PYTHONINSPECT', 'LD_PRELOAD', 'PYTHONHOME'))").await;
    assert_eq!(observation.value.as_deref(), Some("[]"), "{observation:?}");
}
