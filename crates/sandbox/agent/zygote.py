"""The zygote: an interpreter with the libraries loaded, forked once for each sandbox.

    synth --(socket: "open a sandbox", with its descriptors)--> zygote --fork--> builder --fork--> init --fork--> agent

The builder enters the namespaces and is gone; init is process 1 of the sandbox, speaks with `synth` over the status
socket and takes everything down when either end is gone; the agent runs the cells. Nothing here may start a thread,
run an estimator or open a data file: children inherit what it leaves behind.
"""

import errno
import gc
import os
import select
import signal
import socket
import sys
import time

import agent
import jail
import wire
from agent import warm

PR_SET_CHILD_SUBREAPER = 36
WATCH_SECONDS = 0.1
ORDERS = {b"i": signal.SIGINT, b"t": signal.SIGTERM}  # everything else ends the sandbox


def threads():
    return len(os.listdir("/proc/self/task"))


def main(connection):
    os.setsid()  # a Ctrl-C at the terminal is for `synth`, which decides what becomes of sandboxes
    os.umask(0o022)
    jail.libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    warm()
    shell, recorder = agent.make_shell()
    gc.collect()
    gc.freeze()
    if threads() != 1:
        print(f"the zygote has {threads()} threads; forking it would not be safe", file=sys.stderr)
        sys.exit(4)
    connection.setblocking(True)
    wake_reader, wake_writer = os.pipe()
    os.set_blocking(wake_writer, False)
    os.set_blocking(wake_reader, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake_writer, warn_on_full_buffer=False)
    wire.send(connection, {"version": wire.VERSION, "python": sys.version.split()[0]})
    number = 0
    while True:
        readable, _, _ = select.select([connection, wake_reader], [], [])
        if wake_reader in readable:
            os.read(wake_reader, 4096)
            reap()
        if connection in readable:
            request, descriptors = wire.receive_with_descriptors(connection, 8)
            if request is None:
                return  # `synth` is gone
            number += 1
            fork_sandbox(request, descriptors, connection, number, shell, recorder)
            for descriptor in descriptors:
                os.close(descriptor)


def reap():
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def fork_sandbox(request, descriptors, connection, number, shell, recorder):
    as_root = os.geteuid() == 0 and request["isolate"] and can_map()
    asks = os.pipe() if as_root else None
    answers = os.pipe() if as_root else None
    pid = os.fork()
    if pid == 0:
        code = 70
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            connection.close()
            build(request, descriptors, asks, answers, shell, recorder)
            code = 0
        except BaseException as error:
            complain(descriptors[1], error)
        finally:
            os._exit(code)
    if as_root:
        os.close(asks[1])
        os.close(answers[0])
        if os.read(asks[0], 1):
            try:
                jail.write_maps(pid, (os.getpid() << 12) + number)
                os.write(answers[1], b"y")
            except jail.JailError:
                pass
        os.close(asks[0])
        os.close(answers[1])
    try:
        os.waitpid(pid, 0)
    except ChildProcessError:
        pass


def can_map():
    """Whether root here may hand out ids other than its own: not so in a user namespace with a small map."""
    try:
        with open("/proc/self/uid_map") as file:
            return any(int(first) == 0 and int(length) >= 1 << 31 for first, _, length in map(str.split, file))
    except OSError:
        return False


def complain(descriptor, error):
    layer = getattr(error, "layer", None)
    if layer is None and isinstance(error, PermissionError):
        layer = "the set-up of the sandbox"
    if getattr(error, "errno", None) in (errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE):
        layer = None  # the machine is short of something now; that is no verdict on the kernel
    message = {"version": wire.VERSION, "error": f"{error}" if layer else f"{type(error).__name__}: {error}"}
    message["layer"] = layer
    try:
        with socket.socket(fileno=os.dup(descriptor)) as status:
            status.settimeout(1)
            wire.send(status, message)
    except OSError:
        pass


def build(request, descriptors, asks, answers, shell, recorder):
    """In the builder: into the namespaces, then init, whose parent may go."""
    if request["isolate"]:
        if asks:
            os.close(asks[0])
            os.close(answers[1])

            def ask():
                os.write(asks[1], b"m")
                if not os.read(answers[0], 1):
                    raise jail.JailError("user namespace maps", 1)
                os.close(asks[1])
                os.close(answers[0])

            jail.unshare_user(ask)
        else:
            jail.unshare_user(None)
        jail.unshare_rest()
    if os.fork():
        return
    try:
        run_init(request, descriptors, asks is not None, shell, recorder)
    except BaseException as error:
        complain(descriptors[1], error)
    finally:
        os._exit(70)


def run_init(request, descriptors, as_root, shell, recorder):
    control, status, out, err = descriptors
    os.setsid()
    program = jail.filter_program()
    proc = True
    if request["isolate"]:
        socket.sethostname("sandbox")
        proc = jail.build_root(
            request["root"], interpreter(), request["files"], request["workspace_bytes"], request["memory_bytes"]
        )
        workspace = "/workspace"
    else:
        jail.libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        workspace = request["folder"]
        os.chdir(workspace)
        os.environ["HOME"] = workspace
    filters = False
    inherited = jail.data_bytes() if os.path.exists("/proc/self/status") else 2 << 30
    os.environ["PWD"] = os.getcwd()
    go_reader, go_writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 70
        try:
            os.close(go_writer)
            os.setpgid(0, 0)
            if request["isolate"]:
                jail.drop_privileges(as_root)
                jail.prctl(jail.PR_SET_DUMPABLE, 1)
            else:
                jail.prctl(jail.PR_SET_NO_NEW_PRIVS, 1)
            jail.set_limits(request["memory_bytes"], request["workspace_bytes"], inherited)
            if request["isolate"]:
                jail.filter_calls(program)
            go = os.read(go_reader, 1)
            connection = agent.settle_descriptors(control, out, err)
            if go:
                served = agent.Agent(connection, shell, recorder, request["seed"], request["output_bytes"])
                del shell, recorder
                served.serve()
            code = 0
        finally:
            os._exit(code)
    folder = os.open(workspace, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    if request["isolate"]:
        jail.drop_privileges(as_root)
        jail.prctl(jail.PR_SET_DUMPABLE, 0)  # the agent has the same user: it must not trace or read init
        filters = jail.filter_calls(program)
    link = socket.socket(fileno=os.dup(status))
    keep = {link.fileno(), folder, go_writer}
    nothing = os.open("/dev/null", os.O_RDWR)
    for descriptor in range(3):
        os.dup2(nothing, descriptor)
    for name in os.listdir("/proc/self/fd") if proc else map(str, range(3, 1024)):
        if int(name) > 2 and int(name) not in keep:
            try:
                os.close(int(name))
            except OSError:
                pass
    hello = {"version": wire.VERSION, "proc": proc, "seccomp": filters}
    wire.send(link, hello, [folder])
    os.close(folder)
    os.write(go_writer, b"g")
    os.close(go_writer)
    gc.disable()
    supervise(link, pid, request["memory_bytes"], proc, request["isolate"])


def interpreter():
    """The folders that this Python lives in."""
    found = []
    for path in (sys.base_prefix, sys.base_exec_prefix, os.path.realpath(sys.base_prefix), sys.prefix):
        if path == "/" or any((path + "/").startswith(other + "/") for other in found):
            continue
        found.append(path)
    if any(path.startswith("/nix/") for path in found):
        found = ["/nix/store"] + [path for path in found if not path.startswith("/nix/")]
    return found


def supervise(link, pid, memory_bytes, proc, isolated):
    """As process 1: reaps, interrupts, watches memory, and ends everything when `synth` or the agent is gone."""
    wake_reader, wake_writer = os.pipe()
    for descriptor in (wake_reader, wake_writer):
        os.set_blocking(descriptor, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake_writer, warn_on_full_buffer=False)
    waiting = select.poll()
    waiting.register(link.fileno(), select.POLLIN)
    waiting.register(wake_reader, select.POLLIN)
    family = Family(pid, isolated)
    baseline = family.anonymous_bytes() if proc else 0
    ending = {}
    while not ending:
        ready = dict(waiting.poll(WATCH_SECONDS * 1000))
        if wake_reader in ready:
            os.read(wake_reader, 4096)
        how = reap_all(pid)
        if how is not None:
            ending = how
        elif link.fileno() in ready:
            order = link.recv(1)
            if order in ORDERS:
                try:
                    os.killpg(pid, ORDERS[order])
                except OSError:
                    pass
            else:
                ending = {"closed": True}
        elif proc and family.anonymous_bytes() > baseline + memory_bytes and family.exact_bytes() > baseline + memory_bytes:
            ending = {"memory": True}
    family.end()
    link.settimeout(1)
    try:
        wire.send(link, {"version": wire.VERSION, "end": ending})
    except OSError:
        pass
    os._exit(0)


def reap_all(agent_pid):
    """Buries the dead; how the agent ended, if it did."""
    how = None
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return how if how is not None else {"exit": 0}
        if pid == 0:
            return how
        if pid == agent_pid:
            how = {"signal": os.WTERMSIG(status)} if os.WIFSIGNALED(status) else {"exit": os.WEXITSTATUS(status)}


class Family:
    """The agent and all that came of it: in a pid namespace everybody but init, else init's descendants."""

    def __init__(self, pid, isolated):
        self.pid = pid
        self.isolated = isolated

    def members(self):
        try:
            every = [int(name) for name in os.listdir("/proc") if name.isdigit()]
        except OSError:
            return [self.pid]
        me = os.getpid()
        if self.isolated:
            return [pid for pid in every if pid != me]
        parents = {}
        for pid in every:
            try:
                with open(f"/proc/{pid}/stat", "rb") as file:
                    parents[pid] = int(file.read().rsplit(b")", 1)[1].split()[1])
            except (OSError, IndexError):
                pass
        found, grown = {me}, True
        while grown:
            more = {pid for pid, parent in parents.items() if parent in found} - found
            found |= more
            grown = bool(more)
        return sorted(found - {me})

    def sum_fields(self, file_name, names):
        total = 0
        for pid in self.members():
            try:
                with open(f"/proc/{pid}/{file_name}", "rb") as file:
                    for line in file:
                        if line.startswith(names):
                            total += int(line.split()[1]) * 1024
            except (OSError, ValueError, IndexError):
                pass
        return total

    def anonymous_bytes(self):
        return self.sum_fields("status", (b"RssAnon:", b"RssShmem:"))

    def exact_bytes(self):
        """What is shared after a fork counted once: dear, so asked only when the cheap sum is too large."""
        return self.sum_fields("smaps_rollup", (b"Pss_Anon:", b"Pss_Shmem:"))

    def end(self):
        deadline = time.monotonic() + 2
        while time.monotonic() < deadline:
            if self.isolated:
                try:
                    os.kill(-1, signal.SIGKILL)
                except OSError:
                    return
            else:
                members = self.members()
                if not members:
                    return
                for pid in members:
                    try:
                        os.kill(pid, signal.SIGKILL)
                    except OSError:
                        pass
            try:
                while os.waitpid(-1, os.WNOHANG)[0]:
                    pass
            except ChildProcessError:
                return
            time.sleep(0.001)
