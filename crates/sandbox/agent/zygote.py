"""The zygote: an interpreter with the libraries loaded, forked once for each sandbox.

    synth --(socket: what to fork, with its descriptors)--> zygote --fork--> agent

The fork is born in the pid namespace of an init that the jailer has made, enters its other namespaces, gives up all
that it may and runs a first cell; so it waits until it is handed out. Nothing here may start a thread, run an estimator
or open a data file: children inherit what it leaves behind.
"""

import ctypes
import errno
import gc
import os
import select
import signal
import socket
import sys

import agent
import family
import jail
import wire

MADV_COLLAPSE = 25
PROT_READ, PROT_WRITE, PROT_EXEC = 1, 2, 4

# What the small objects of the libraries take, by how much of the stack is loaded.
SMALL_OBJECTS_MIB = {"all": 80, "pandas": 32, "nothing": 0}


def make_room(mebibytes):
    """Has the interpreter get memory for small objects in one piece, before libraries come to lie in between: huge pages need
    that. The value keeps it from being given back."""
    objects = [bytes(479) for _ in range(mebibytes << 11)]  # 512 bytes each, with its head
    return objects[::1024]


def join_mappings():
    """Leaves each library two mappings instead of five, for a fork copies them one by one.

    What could be read of it can be run as well then, and what the linker sealed be written. Code in a sandbox can change
    that of its own memory anyway.
    """
    with open("/proc/self/maps") as maps:
        lines = [line.split() for line in maps]
    for line, following in zip(lines, lines[1:]):
        addresses, access, _, _, _, *name = line
        if access != "r--p" or not name or ".so" not in name[0]:
            continue
        first, end = (int(address, 16) for address in addresses.split("-"))
        before_data = following[1] == "rw-p" and following[5:] == name and following[0].startswith(f"{end:x}-")
        more = PROT_WRITE if before_data else PROT_EXEC
        # Where it is refused, they stay as they are.
        jail.libc.mprotect(ctypes.c_void_p(first), ctypes.c_size_t(end - first), PROT_READ | more)


def use_huge_pages():
    """Gathers memory that no file backs into huge pages: a fork copies one entry for each instead of 512, its end drops one."""
    size = 2 << 20
    with open("/proc/self/maps") as maps:
        lines = [line.split() for line in maps]
    for addresses, access, _, _, inode, *_ in lines:
        if access == "rw-p" and inode == "0":
            first, end = (int(address, 16) for address in addresses.split("-"))
            for start in range(-(-first // size) * size, end - size + 1, size):
                # Kernels before 6.1 do not know it, and then pages stay small.
                jail.libc.madvise(ctypes.c_void_p(start), ctypes.c_size_t(size), MADV_COLLAPSE)


def threads():
    return len(os.listdir("/proc/self/task"))


def main(connection):
    os.setsid()  # a Ctrl-C at the terminal is for `synth`, which decides what becomes of sandboxes
    os.umask(0o022)
    setup, descriptors = wire.receive_with_descriptors(connection, 1)
    if setup is None:
        return
    for namespace in descriptors:
        jail.enter(namespace, jail.CLONE_NEWUSER)
        os.close(namespace)
    if setup["isolate"]:
        os.environ["PWD"] = "/workspace"
    forks = Forks(connection, setup["preload"])
    if not setup["cold"]:
        forks.load()
    gc.collect()
    gc.freeze()
    use_huge_pages()
    if threads() != 1:
        print(f"the zygote has {threads()} threads; forking it would not be safe", file=sys.stderr)
        sys.exit(4)
    connection.setblocking(True)
    wire.send(
        connection, {"version": wire.VERSION, "python": sys.version.split()[0], "folders": interpreter()}
    )
    forks.serve()


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


class Forks:
    """What is forked, and what becomes of it."""

    def __init__(self, connection, preload):
        self.connection = connection
        self.preload = preload
        self.program = jail.filter_program()
        self.shell = None
        self.burials = {}  # of an agent's id: the pipe by which its init hears how it ended

    def load(self):
        room = make_room(SMALL_OBJECTS_MIB[self.preload])
        agent.warm(self.preload)
        self.shell, self.recorder = agent.make_shell()
        del room
        join_mappings()
        self.inherited_bytes = jail.data_bytes()

    def serve(self):
        wake_reader, wake_writer = os.pipe()
        os.set_blocking(wake_writer, False)
        os.set_blocking(wake_reader, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake_writer, warn_on_full_buffer=False)
        while True:
            readable, _, _ = select.select([self.connection, wake_reader], [], [])
            if wake_reader in readable:
                os.read(wake_reader, 4096)
                self.bury()
            if self.connection in readable:
                request, descriptors = wire.receive_with_descriptors(self.connection, 8)
                if request is None:
                    return  # `synth` is gone
                if "folder" in request:
                    self.fork(self.supervise, request, descriptors, descriptors[1])
                else:
                    self.fork_agent(request, descriptors)

    def bury(self):
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            pipe = self.burials.pop(pid, None)
            if pipe is not None:
                try:
                    os.write(pipe, status.to_bytes(4, "little"))
                except BrokenPipeError:
                    pass  # init went first
                os.close(pipe)

    def fork(self, action, request, descriptors, complaints):
        """Runs `action` in a fork, which tells what goes wrong to the socket `complaints`; its id, if there is one."""
        try:
            pid = os.fork()
        except OSError as error:  # too many processes, or an init that is gone already
            complain(complaints, error)
            pid = None
        if pid == 0:
            code = 70
            try:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                self.connection.close()
                action(request, descriptors)
                code = 0
            except BaseException as error:
                complain(complaints, error)
            finally:
                os._exit(code)
        for descriptor in descriptors:
            os.close(descriptor)
        return pid

    def supervise(self, request, descriptors):
        family.run(request, descriptors, self.shell, self.recorder)

    def fork_agent(self, request, descriptors):
        control, out, err, init, pipe, *doors = descriptors
        try:
            jail.enter(init, jail.CLONE_NEWPID)  # the next fork is born there
        except jail.JailError as error:
            complain(control, error)
            for descriptor in descriptors:
                os.close(descriptor)
            return
        pid = self.fork(self.become_agent, request, [control, out, err, init, *doors], control)
        if pid is None:
            os.close(pipe)
        else:
            self.burials[pid] = pipe

    def become_agent(self, request, descriptors):
        control, out, err, init, *doors = descriptors
        if self.shell is None:
            self.load()
        for door in doors:
            os.write(door, b"0")
        jail.enter(init, jail.CLONE_NEWUSER | jail.SANDBOX_NAMESPACES)
        connection = agent.settle_descriptors(control, out, err)
        os.closerange(agent.SPARE_ERR + 1, 1 << 20)
        served = agent.Agent(connection, self.shell, self.recorder, 0, 1 << 16)
        os.setsid()
        rules, version = jail.landlock_rules(request["root"])
        jail.drop_privileges(request["become"])
        jail.prctl(jail.PR_SET_DUMPABLE, 1)
        filters = jail.filter_calls(self.program)
        served.run("1 + 1")  # what a first cell touches is copied now
        self.shell.execution_count = 1
        self.recorder.clear()
        wire.send(
            connection, {"version": wire.VERSION, "pid": os.getpid(), "seccomp": filters, "landlock": version}
        )
        task = wire.receive(connection)
        if task is None:
            return
        # By now init has made the sandbox's root the root of all of us.
        os.chdir("/workspace")
        nothing = os.open("/dev/null", os.O_RDWR)  # ours was opened in the host's tree
        os.dup2(nothing, 0)
        os.close(nothing)
        jail.set_limits(task["memory_bytes"], task["workspace_bytes"], self.inherited_bytes, task["processes"])
        jail.restrict(rules)
        served.most = task["output_bytes"]
        served.seed(task["seed"])
        served.serve()


def complain(descriptor, error):
    layer = getattr(error, "layer", None)
    if layer is None and isinstance(error, PermissionError):
        layer = "the set-up of the sandbox"
    if getattr(error, "errno", None) in (errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.ESRCH):
        layer = None  # the machine is short of something now, or init is gone; that is no verdict on the kernel
    message = {"version": wire.VERSION, "error": f"{error}" if layer else f"{type(error).__name__}: {error}"}
    message["layer"] = layer
    try:
        with socket.socket(fileno=os.dup(descriptor)) as link:
            link.settimeout(1)
            wire.send(link, message)
    except OSError:
        pass
