def run(script, stdin):
    """Runs a script as `python script.py` does, in a child of this warm interpreter; returns its exit code, negative for a signal."""
    import os
    import signal
    import sys

    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        try:
            be_main(script, stdin)
        finally:
            os._exit(70)
    try:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    except KeyboardInterrupt:  # the time is over
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        raise


def be_main(script, stdin):
    import atexit
    import builtins
    import os
    import signal
    import sys
    import threading
    import types

    os.setsid()  # an interrupt is for the parent
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if stdin is not None:
        source = os.open(stdin, os.O_RDONLY)
        os.unlink(stdin)
        os.dup2(source, 0)
        os.close(source)
    sys.stdin = sys.__stdin__ = builtins.open(0, encoding="utf-8", closefd=False)
    # What IPython put there, a script does not find.
    shell = getattr(builtins, "get_ipython", lambda: None)()
    if shell is not None:
        atexit.unregister(shell.atexit_operations)
    for name in ("get_ipython", "display"):
        builtins.__dict__.pop(name, None)
    sys.displayhook, sys.excepthook = sys.__displayhook__, sys.__excepthook__
    sys.argv = [script]
    sys.path.insert(0, os.getcwd())
    main = types.ModuleType("__main__")
    main.__file__ = os.path.abspath(script)
    main.__builtins__ = builtins
    sys.modules["__main__"] = main
    code = 0
    try:
        with builtins.open(script, "rb") as file:
            source = file.read()
        exec(compile(source, main.__file__, "exec", dont_inherit=True), main.__dict__)
    except SystemExit as end:
        code = 0 if end.code is None else end.code
        if not isinstance(code, int):
            print(code, file=sys.stderr)
            code = 1
    except BaseException as error:
        code = 130 if isinstance(error, KeyboardInterrupt) else 1
        frames = error.__traceback__.tb_next
        sys.excepthook(type(error), error.with_traceback(frames), frames)
    try:
        threading._shutdown()
        atexit._run_exitfuncs()
    finally:
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except Exception:
                pass
        os._exit(code & 0xFF)
