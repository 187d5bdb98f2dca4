"""The agent: runs the cells of one sandbox in an IPython shell that was made before the fork.

A cell shares this interpreter, so nothing here is a boundary: the boundary is the jail, and the orchestrator judges
time, memory and death from outside. What can be done cheaply against accidents is done: descriptors out of the way,
streams and handlers put back before each cell, replies that carry the nonce of their request.
"""

import io
import os
import random
import resource
import signal
import socket
import sys
import warnings

import jail
import wire

CONTROL, SPARE_OUT, SPARE_ERR = 1000, 1001, 1002  # out of the way of descriptors that a cell opens and closes


class Recorder:
    """What IPython would have shown, kept instead of printed."""

    def __init__(self):
        self.clear()

    def clear(self):
        self.value = None
        self.traceback = None


def make_shell():
    """An IPython shell without files, threads, colours or a terminal."""
    from IPython.core.displayhook import DisplayHook
    from IPython.core.interactiveshell import InteractiveShell
    from IPython.core.profiledir import ProfileDir
    from traitlets.config import Config

    recorder = Recorder()

    class Hook(DisplayHook):
        def write_output_prompt(self):
            pass

        def write_format_data(self, format_dict, md_dict=None):
            recorder.value = str(format_dict.get("text/plain", ""))

        def finish_displayhook(self):
            self._is_active = False

    class Shell(InteractiveShell):
        displayhook_class = Hook

        def init_profile_dir(self, profile_dir=None):
            self.profile_dir = ProfileDir()  # without a location it makes no files

        def init_virtualenv(self):
            pass

        def init_pushd_popd_magic(self):
            self.home_dir = "/workspace"
            self.dir_stack = []

        def _showtraceback(self, etype, evalue, stb):
            recorder.traceback = self.InteractiveTB.stb2text(stb)

        # The stock versions want a pseudo-terminal.
        def system(self, cmd):
            self.user_ns["_exit_code"] = self.system_raw_quietly(self.var_expand(cmd, depth=1))

        system_piped = system_raw = system

        def system_raw_quietly(self, command):
            import subprocess

            sys.stdout.flush()
            return subprocess.call(["/bin/sh", "-c", command])

        def getoutput(self, cmd, split=True, depth=0):
            import subprocess
            from IPython.utils.text import SList

            command = self.var_expand(cmd, depth=depth + 1)
            text = subprocess.run(["/bin/sh", "-c", command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT).stdout
            text = text.decode("utf-8", "replace")
            return SList(text.splitlines()) if split else text

    config = Config()
    config.HistoryManager.enabled = False
    config.HistoryManager.hist_file = ":memory:"
    config.InteractiveShell.cache_size = 0
    config.InteractiveShell.xmode = "Context"
    config.InteractiveShell.history_load_length = 0
    try:
        shell = Shell.instance(config=config, colors="NoColor")
    except Exception:
        shell = Shell.instance(config=config)
    shell.run_line_magic("colors", "NoColor")
    for cell in ("1 + 1", "1 / 0"):  # what IPython loads late is loaded before the fork
        shell.run_cell(cell, silent=True)
    shell.execution_count = 1
    sys.last_exc = sys.last_value = sys.last_type = sys.last_traceback = None
    return shell, recorder


def put_back_streams():
    """Gives the cell its descriptors and streams, whatever the cell before did to them."""
    os.dup2(SPARE_OUT, 1)
    os.dup2(SPARE_ERR, 2)
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        stream = getattr(sys, f"__{name}__")
        try:
            usable = not stream.closed and stream.fileno() == descriptor
        except Exception:
            usable = False
        if not usable:
            raw = io.FileIO(descriptor, "w", closefd=False)
            buffered = io.BufferedWriter(raw, 65536)
            stream = io.TextIOWrapper(buffered, "utf-8", "backslashreplace", line_buffering=True)
            setattr(sys, f"__{name}__", stream)
        setattr(sys, name, stream)


def flush():
    for stream in {sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__}:
        try:
            stream.flush()
        except Exception:
            pass


class Scrubber:
    """Takes the paths of this machine out of tracebacks and warnings."""

    def __init__(self):
        import sysconfig

        folders = [(sysconfig.get_paths()[key], "site-packages") for key in ("purelib", "platlib")]
        folders += [(os.path.realpath(path), name) for path, name in folders]
        version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
        folders += [(sysconfig.get_paths()["stdlib"], version), (os.path.dirname(os.__file__), version)]
        self.folders = sorted(set(folders), key=lambda pair: -len(pair[0]))

    def __call__(self, text):
        for path, name in self.folders:
            text = text.replace(path, name)
        return text


def cut(text, most):
    """The head and tail of a long text; the orchestrator bounds it once more."""
    if len(text) <= most:
        return text
    half = most // 2
    return f"{text[:half]}\n[… {len(text) - most:,} characters cut …]\n{text[-half:]}"


class Agent:
    def __init__(self, connection, shell, recorder, seed, most):
        self.connection = connection
        self.shell = shell
        self.recorder = recorder
        self.most = most
        self.running = False
        self.pid = os.getpid()
        self.scrub = Scrubber()
        stock = warnings.formatwarning
        warnings.formatwarning = lambda message, category, filename, lineno, line=None: stock(
            message, category, self.scrub(str(filename)), lineno, line
        )
        self.seed(seed)

    def seed(self, seed):
        random.seed(seed)
        if numpy := sys.modules.get("numpy"):
            numpy.random.seed([seed & 0xFFFFFFFF, seed >> 32])

    def interrupted(self, *_):
        if self.running:
            raise KeyboardInterrupt

    def serve(self):
        while (request := wire.receive(self.connection)) is not None:
            reply = self.run(request["code"])
            reply["nonce"] = request["nonce"]
            if os.getpid() != self.pid:
                os._exit(0)  # a child that the cell forked came back here
            wire.send(self.connection, reply)

    def reserve_memory(self, reserve):
        """Keeps some memory back while a cell runs, so that there is enough to say that it ran out."""
        hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
        soft = hard - jail.RESERVE_BYTES if reserve and hard != resource.RLIM_INFINITY else hard
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))

    def run(self, code):
        put_back_streams()
        self.reserve_memory(True)
        self.recorder.clear()
        signal.signal(signal.SIGINT, self.interrupted)
        result = None
        failure = None
        try:
            self.running = True
            result = self.shell.run_cell(code, store_history=True)
            self.running = False
        except BaseException as error:  # an interrupt in IPython's own code, say
            self.running = False
            failure = error
        self.reserve_memory(False)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        if result is not None:
            failure = result.error_before_exec or result.error_in_exec
        if failure is None and self.recorder.traceback:
            print(self.scrub(self.recorder.traceback), file=sys.stderr)  # of a `__repr__`, say
        reply = {"version": wire.VERSION, "status": "ok", "memory_peak": peak_bytes()}
        if failure is not None:
            reply.update(self.describe(failure))
        elif self.recorder.value is not None:
            reply["value"] = cut(self.recorder.value, self.most)
        del result, failure
        flush()
        return reply

    def describe(self, failure):
        try:
            message = str(failure)
        except Exception:
            message = "the exception's message cannot be shown"
        kind = type(failure).__name__
        traceback = self.scrub(self.recorder.traceback or f"{kind}: {message}")
        status = "error"
        if isinstance(failure, MemoryError):
            status, kind = "memory", "MemoryError"
        sys.last_exc = sys.last_value = sys.last_traceback = None  # frames hold on to the memory that ran out
        self.shell.user_ns.pop("_i", None)
        most = min(self.most, 1 << 20)
        return {"status": status, "name": cut(kind, 200), "message": cut(message, most), "traceback": cut(traceback, most)}


def peak_bytes():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def settle_descriptors(control, out, err):
    """Standard input is empty, output goes to the pipes, everything else that was inherited is closed."""
    for source, target in ((control, CONTROL), (out, SPARE_OUT), (err, SPARE_ERR)):
        os.dup2(source, target, inheritable=False)
    nothing = os.open("/dev/null", os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(SPARE_OUT, 1)
    os.dup2(SPARE_ERR, 2)
    os.closerange(3, CONTROL)
    sys.__stdin__ = sys.stdin = open(0, closefd=False)
    for name in ("stdout", "stderr"):
        setattr(sys, f"__{name}__", io.StringIO())  # made anew by `put_back_streams`
    put_back_streams()
    return socket.socket(fileno=CONTROL)
