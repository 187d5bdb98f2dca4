"""The agent: runs the cells of one sandbox in an IPython shell that was made before the fork.

A cell shares this interpreter, so nothing here is a boundary: the boundary is the jail, and the orchestrator judges
time, memory and death from outside. What can be done cheaply against accidents is done: descriptors out of the way,
streams and handlers put back before each cell, and the nonce that a reply has to carry left in the kernel's socket
buffer, where no Python object holds it, until the cell has come to its end.
"""

import _signal
import ast
import base64
import errno
import io
import json
import os
import random
import re
import resource
import signal
import socket
import sys
import types
import warnings

import jail
import wire

INTERRUPT = int(signal.SIGINT)
CONTROL, SPARE_OUT, SPARE_ERR = 1000, 1001, 1002  # out of the way of descriptors that a cell opens and closes
WORD = re.compile(r"\s*\w+")
IMAGES = ("image/png", "image/jpeg", "image/svg+xml", "image/gif", "image/webp")
PLAIN_TYPES = (int, str, bool, bytes)  # they have nothing to show but their text


def warm(what="all"):
    """Imports what cells import, so that they find it done: `all` of it, no more than `pandas`, or what has to be seeded."""
    import importlib

    seeded = ("numpy", "numpy.random")
    stack = (
        "scipy", "scipy.stats", "scipy.optimize", "sklearn", "sklearn.base",
        "sklearn.metrics", "sklearn.model_selection", "sklearn.preprocessing", "sklearn.pipeline", "sklearn.compose",
        "sklearn.impute", "sklearn.linear_model", "sklearn.ensemble", "sklearn.tree", "sklearn.neighbors",
        "sklearn.cluster", "sklearn.decomposition", "statsmodels.api", "statsmodels.formula.api", "multiprocessing",
        "subprocess", "concurrent.futures", "sqlite3", "collections", "datetime", "itertools", "re", "math", "csv",
    )  # fmt: skip
    imported = {"all": ("pandas", *stack), "pandas": ("pandas",), "nothing": ()}
    for name in (*seeded, *imported[what]):
        try:
            importlib.import_module(name)
        except ImportError as error:
            print(f"cannot import `{name}`: {error}", file=sys.stderr)
            sys.exit(3)


class Recorder:
    """What IPython would have shown, kept instead of printed."""

    def __init__(self):
        self.clear()

    def clear(self, code=""):
        self.code = code
        self.value = None
        self.traceback = None
        self.displays = []
        self.dropped = 0

    def keep(self, bundle):
        """Keeps the first of a bundle's representations that is more than text."""
        for media_type in wire.MEDIA_TYPES:
            if media_type not in bundle:
                continue
            content = to_bytes(media_type, bundle[media_type])
            total = sum(len(kept) for _, kept in self.displays)
            if len(self.displays) < wire.MAX_DISPLAYS and total + len(content) <= wire.MAX_DISPLAY_BYTES:
                self.displays.append((media_type, content))
            else:
                self.dropped += 1
            return


def to_bytes(media_type, content):
    if isinstance(content, (bytes, bytearray)):
        return bytes(content)
    if not isinstance(content, str):
        content = json.dumps(content)
    elif media_type in IMAGES and media_type != "image/svg+xml":
        return base64.b64decode(content)
    return content.encode("utf-8", "replace")


def make_shell():
    """An IPython shell without files, threads, colours or a terminal."""
    from IPython.core.display import DisplayObject
    from IPython.core.displayhook import DisplayHook
    from IPython.core.displaypub import DisplayPublisher
    from IPython.core.formatters import DisplayFormatter
    from IPython.core.interactiveshell import InteractiveShell
    from IPython.core.profiledir import ProfileDir
    from traitlets.config import Config

    # Figures are shown as in a notebook. Fonts of the machine would make them differ from one to the next.
    os.environ["MPLBACKEND"] = "module://matplotlib_inline.backend_inline"
    os.environ["MPLCONFIGDIR"] = "/tmp/.matplotlib"
    os.environ["MPL_IGNORE_SYSTEM_FONTS"] = "1"
    recorder = Recorder()
    shown = {"text/plain", *IMAGES}

    class Hook(DisplayHook):
        def __call__(self, result=None):
            if result is None or self.quiet():
                return
            bundle, _ = self.shell.display_formatter.format(result)
            self.fill_exec_result(result)
            if bundle:
                recorder.value = str(bundle.get("text/plain", ""))
                recorder.keep(bundle)

        def quiet(self):
            code = recorder.code.rstrip()
            return ";" in code[code.rfind("\n") + 1 :] and self.semicolon_at_end_of_expression(code)

    class Publisher(DisplayPublisher):
        def publish(self, data, metadata=None, source=None, *, transient=None, update=False, **others):
            if "text/plain" in data:
                print(data["text/plain"])
            recorder.keep(data)

        def clear_output(self, wait=False):
            pass

    class Formatter(DisplayFormatter):
        def format(self, obj, include=None, exclude=None):
            if include is None and type(obj) in PLAIN_TYPES:
                return {"text/plain": repr(obj)}, {}
            if include is None and not isinstance(obj, DisplayObject):
                include = shown  # a table's HTML says what its text says
            return super().format(obj, include, exclude)

    class Shell(InteractiveShell):
        displayhook_class = Hook
        display_pub_class = Publisher

        def init_display_formatter(self):
            self.display_formatter = Formatter(parent=self)
            self.configurables.append(self.display_formatter)

        def init_profile_dir(self, profile_dir=None):
            self.profile_dir = ProfileDir()  # without a location it makes no files

        def init_virtualenv(self):
            pass

        def init_pushd_popd_magic(self):
            self.home_dir = "/workspace"
            self.dir_stack = []

        def _get_exc_info(self, exc_tuple=None):
            kind, value, traceback = super()._get_exc_info(exc_tuple)
            hide_our_frames(value)
            return kind, value, without_our_frames(traceback)

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
    for cell in ("1 + 1", "[1]", "1 / 0", "%pwd"):  # what IPython loads late is loaded before the fork
        shell.run_cell(cell)
        recorder.clear()
        run_cell(shell, cell)
        recorder.clear()
    shell.execution_count = 1
    shell.scrub = Scrubber()
    make_streams()
    sys.last_exc = sys.last_value = sys.last_type = sys.last_traceback = None
    return shell, recorder


def run_cell(shell, code):
    """Runs a cell as IPython does, past its slow ways of finding out that code is plain Python."""
    if not is_plain(shell, code):
        return shell.run_cell(code, store_history=True)
    result = None
    try:
        running = shell.run_cell_async(code, transformed_cell=code)
        try:
            running.send(None)
        except StopIteration as end:
            result = end.value
    finally:
        shell.execution_count += 1
        shell.events.trigger("post_execute")
        shell.events.trigger("post_run_cell", result)
    return result


def is_plain(shell, code):
    """Whether code is Python without magics and without an `await` outside of functions; in doubt it is not."""
    if "await" in code or "async" in code or "\\" in code:  # a backslash may warn, and would twice
        return False
    if "\n" not in code and (word := WORD.match(code)) and shell.find_line_magic(word[0].strip()):
        return False
    try:
        ast.parse(code)
    except (SyntaxError, ValueError, TypeError, OverflowError, RecursionError, MemoryError):
        return False
    return True


def without_our_frames(traceback):
    """The traceback without this file's frames, which every traceback of an interrupt or of a `!` would have."""
    if traceback is None:
        return None
    rest = without_our_frames(traceback.tb_next)
    if traceback.tb_frame.f_code.co_filename == without_our_frames.__code__.co_filename:
        return rest
    if rest is traceback.tb_next:
        return traceback
    return types.TracebackType(rest, traceback.tb_frame, traceback.tb_lasti, traceback.tb_lineno)


def hide_our_frames(error):
    """Does so for an exception and for those that it came from."""
    seen = set()
    while isinstance(error, BaseException) and id(error) not in seen and len(seen) < 20:
        seen.add(id(error))
        try:
            error.__traceback__ = without_our_frames(error.__traceback__)
        except RecursionError:
            return  # ours would be lost in it anyway
        error = error.__cause__ or error.__context__


def make_streams():
    """Standard streams as a sandbox has them: on pipes, which cannot be sought in."""
    sys.__stdin__ = sys.stdin = open(0, closefd=False)
    reader, writer = os.pipe()
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        spare = os.dup(descriptor)
        os.dup2(writer, descriptor)
        stream = text_stream(descriptor)
        setattr(sys, f"__{name}__", stream)
        setattr(sys, name, stream)
        os.dup2(spare, descriptor)
        os.close(spare)
    os.close(reader)
    os.close(writer)


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
            stream = text_stream(descriptor)
            setattr(sys, f"__{name}__", stream)
        setattr(sys, name, stream)


def text_stream(descriptor):
    buffered = io.BufferedWriter(io.FileIO(descriptor, "w", closefd=False), 65536)
    return io.TextIOWrapper(buffered, "utf-8", "backslashreplace", line_buffering=True)


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
        self.scrub = shell.scrub
        stock = warnings.formatwarning
        warnings.formatwarning = lambda message, category, filename, lineno, line=None: stock(
            message, category, self.scrub(str(filename)), lineno, line
        )
        signal.signal(signal.SIGTERM, self.terminated)
        # Python forgets what arrives while it forks; held back, it arrives after.
        self.held = set()
        os.register_at_fork(before=self.hold, after_in_parent=self.release, after_in_child=self.forked)
        self.seed(seed)

    def seed(self, seed):
        random.seed(seed)
        if numpy := sys.modules.get("numpy"):
            numpy.random.seed([seed & 0xFFFFFFFF, seed >> 32])

    def interrupted(self, *_):
        if self.running:
            raise KeyboardInterrupt

    def terminated(self, *_):
        flush()
        os._exit(128 + signal.SIGTERM)

    def hold(self):
        self.held = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})

    def release(self):
        signal.pthread_sigmask(signal.SIG_SETMASK, self.held)

    def forked(self):
        """In a process that a cell forked: the conversation is not its own."""
        try:
            os.close(CONTROL)
            if signal.getsignal(signal.SIGTERM) == self.terminated:
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
        except (OSError, ValueError):
            pass
        self.release()

    def serve(self):
        while (request := wire.receive(self.connection)) is not None:
            reply = self.run(request["code"])
            if os.getpid() != self.pid:
                os._exit(0)  # a child that the cell forked came back here
            displays = [content for _, content in self.recorder.displays]
            self.recorder.clear()
            nonce = wire.exactly(self.connection, wire.NONCE_BYTES)
            if nonce is None:
                return
            reply["nonce"] = nonce.decode("ascii", "replace")
            wire.send(self.connection, reply, displays=displays)

    def reserve_memory(self, reserve):
        """Keeps some memory back while a cell runs, so that there is enough to say that it ran out."""
        hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
        soft = hard - jail.RESERVE_BYTES if reserve and hard != resource.RLIM_INFINITY else hard
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))

    def run(self, code):
        put_back_streams()
        self.reserve_memory(True)
        self.recorder.clear(code)
        _signal.signal(INTERRUPT, self.interrupted)  # `signal.signal` takes its time to make enumerations
        result = None
        failure = None
        try:
            self.running = True
            result = run_cell(self.shell, code)
            self.running = False
        except BaseException as error:  # an interrupt in IPython's own code, say
            self.running = False
            failure = error
        self.reserve_memory(False)
        _signal.signal(INTERRUPT, _signal.SIG_IGN)
        recorder = self.recorder
        if result is not None:
            failure = result.error_before_exec or result.error_in_exec
        if failure is None and recorder.traceback:
            print(self.scrub(recorder.traceback), file=sys.stderr)  # of a `__repr__`, say
        if recorder.dropped:
            bounds = f"{wire.MAX_DISPLAYS} displays and {wire.MAX_DISPLAY_BYTES:,} bytes of them"
            print(f"[{recorder.dropped:,} more not kept: a cell may have {bounds}]", file=sys.stderr)
        reply = {"version": wire.VERSION, "status": "ok", "memory_peak": peak_bytes()}
        if failure is not None:
            reply.update(self.describe(failure))
        elif recorder.value is not None:
            reply["value"] = cut(recorder.value, self.most)
        if recorder.displays:
            reply["displays"] = [{"media_type": kind, "bytes": len(content)} for kind, content in recorder.displays]
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
        status, number = "error", None
        if isinstance(failure, MemoryError):
            status, kind = "memory", "MemoryError"
        elif isinstance(failure, OSError) and type(failure.errno) is int:
            number = failure.errno & 0x7FFFFFFF
        elif isinstance(failure, RuntimeError) and message == "can't start new thread":
            number = errno.EAGAIN
        sys.last_exc = sys.last_value = sys.last_traceback = None  # frames hold on to the memory that ran out
        self.shell.user_ns.pop("_i", None)
        return {
            "status": status, "errno": number, "name": cut(kind, 200), "message": cut(message, self.most),
            "traceback": cut(traceback, self.most),
        }  # fmt: skip


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
    return socket.socket(fileno=CONTROL)
