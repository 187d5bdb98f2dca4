"""The jail: puts the calling process into namespaces of its own and takes away what it does not need.

Only the kernel's own interfaces, through ctypes. Everything here runs in a freshly forked, single-threaded process.
"""

import ctypes
import errno
import os
import platform
import resource
import stat
import struct

libc = ctypes.CDLL(None, use_errno=True)

CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC = 0x00020000, 0x04000000, 0x08000000
CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x10000000, 0x20000000, 0x40000000
NAMESPACES = CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWPID | CLONE_NEWNET

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT = 1, 2, 4, 8, 32
MS_BIND, MS_REC, MS_PRIVATE = 4096, 16384, 1 << 18
MNT_DETACH = 2
ATTR_RDONLY, ATTR_NOSUID, ATTR_NODEV = 1, 2, 4
AT_FDCWD, AT_RECURSIVE, SYS_MOUNT_SETATTR = -100, 0x8000, 442

PR_SET_DUMPABLE, PR_CAPBSET_DROP, PR_SET_SECCOMP, PR_SET_CHILD_SUBREAPER = 4, 24, 22, 36
PR_SET_NO_NEW_PRIVS, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL = 38, 47, 4

INSIDE_ID = 1000  # the user and group that the agent sees itself as
OUTSIDE_IDS = 0x6F000000  # where the range of host ids starts that root hands out to sandboxes, one each


RESERVE_BYTES = 32 << 20  # for the agent, to answer when a cell has used up its memory


class JailError(Exception):
    """The kernel refused a layer; `layer` names it."""

    def __init__(self, layer, number):
        super().__init__(f"{layer}: {os.strerror(number)}")
        self.layer = layer
        self.errno = number


def check(result, layer):
    """Turns a C result of -1 into a `JailError`."""
    if result == -1:
        raise JailError(layer, ctypes.get_errno())
    return result


def prctl(option, a=0, b=0, layer="prctl"):
    return check(libc.prctl(option, ctypes.c_ulong(a), ctypes.c_ulong(b), ctypes.c_ulong(0), ctypes.c_ulong(0)), layer)


def write(path, text, layer):
    try:
        with open(path, "w") as file:
            file.write(text)
    except OSError as error:
        raise JailError(layer, error.errno) from None


# --- namespaces ---------------------------------------------------------------------------------------------------


def unshare_user(maps_from_outside):
    """Enters a user namespace; `maps_from_outside()` has a privileged parent write the id maps, if there is one."""
    uid, gid = os.geteuid(), os.getegid()
    check(libc.unshare(CLONE_NEWUSER), "user namespace")
    if maps_from_outside is not None:
        maps_from_outside()
        return
    write("/proc/self/setgroups", "deny", "user namespace maps")
    write("/proc/self/uid_map", f"{INSIDE_ID} {uid} 1", "user namespace maps")
    write("/proc/self/gid_map", f"{INSIDE_ID} {gid} 1", "user namespace maps")


def write_maps(pid, number):
    """Run by root outside: 0 stays 0 while the jail is built, the agent becomes an id that nobody else has."""
    outside = OUTSIDE_IDS + number % 0x0F000000
    for name in ("uid_map", "gid_map"):
        write(f"/proc/{pid}/{name}", f"0 0 1\n{INSIDE_ID} {outside} 1", "user namespace maps")


def unshare_rest():
    check(libc.unshare(NAMESPACES), "mount, pid, network, ipc and uts namespaces")


# --- the file system ----------------------------------------------------------------------------------------------


def mount(source, target, kind, flags, options=None):
    encode = lambda text: None if text is None else os.fsencode(text)
    check(
        libc.mount(encode(source), encode(target), encode(kind), ctypes.c_ulong(flags), encode(options)),
        f"mount of `{kind or source}`",
    )


def protect(target, attributes):
    """Makes a mount and all below it read-only (and so on)."""
    record = struct.pack("QQQQ", attributes, 0, 0, 0)
    done = libc.syscall(
        SYS_MOUNT_SETATTR, AT_FDCWD, ctypes.c_char_p(os.fsencode(target)), AT_RECURSIVE, record, ctypes.c_size_t(32)
    )
    if done == 0:
        return
    if ctypes.get_errno() != errno.ENOSYS:
        check(done, "read-only mount")
    # Before Linux 5.12: flags that the host has set on the mount are locked and have to be repeated.
    flags = MS_BIND | MS_REMOUNT | (os.statvfs(target).f_flag & 0x1CCE)
    flags |= MS_RDONLY if attributes & ATTR_RDONLY else 0
    flags |= MS_NOSUID if attributes & ATTR_NOSUID else 0
    flags |= MS_NODEV if attributes & ATTR_NODEV else 0
    mount(None, target, None, flags)


def bind(source, target, attributes):
    if stat.S_ISDIR(os.stat(source).st_mode):
        os.makedirs(target, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o644))
    mount(source, target, None, MS_BIND | MS_REC)
    if attributes:
        protect(target, attributes)


def tmpfs(target, size, mode, own=True, inodes=100_000):
    os.makedirs(target, exist_ok=True)
    owner = f",uid={INSIDE_ID},gid={INSIDE_ID}" if own else ""
    mount("tmpfs", target, "tmpfs", MS_NOSUID | MS_NODEV, f"size={size},nr_inodes={inodes},mode={mode}{owner}")


def build_root(root, interpreter, files, workspace_bytes, memory_bytes):
    """Builds a root at `root` that holds the interpreter, the task's files and nothing else of the host; enters it."""
    mount(None, "/", None, MS_REC | MS_PRIVATE)
    tmpfs(root, "1m", "755", own=False, inodes=10_000)
    locked = ATTR_RDONLY | ATTR_NOSUID
    tmpfs(f"{root}/tmp", min(workspace_bytes, 256 << 20), "700")
    for path in ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"):
        if os.path.islink(path):
            os.symlink(os.readlink(path), root + path)
        elif os.path.isdir(path):
            bind(path, root + path, locked | ATTR_NODEV)
    for path in interpreter:
        if not f"{path}/".startswith(("/usr/", "/bin/", "/lib/")):
            bind(path, root + path, locked | ATTR_NODEV)
    os.makedirs(f"{root}/etc")
    for path in ("/etc/ld.so.cache", "/etc/alternatives"):
        if os.path.exists(path):
            bind(path, root + path, locked | ATTR_NODEV)
    for name, text in {
        "passwd": f"agent:x:{INSIDE_ID}:{INSIDE_ID}:agent:/workspace:/bin/sh\n",
        "group": f"agent:x:{INSIDE_ID}:\n",
        "hosts": "127.0.0.1 localhost\n",
        "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
    }.items():
        write(f"{root}/etc/{name}", text, "the private root")
    os.makedirs(f"{root}/dev")
    for name in ("null", "zero", "full", "random", "urandom"):
        bind(f"/dev/{name}", f"{root}/dev/{name}", 0)
    for name, target in {"fd": "", "stdin": "/0", "stdout": "/1", "stderr": "/2"}.items():
        os.symlink(f"/proc/self/fd{target}", f"{root}/dev/{name}")
    tmpfs(f"{root}/dev/shm", min(memory_bytes // 4, 256 << 20), "700")
    tmpfs(f"{root}/workspace", workspace_bytes, "700")
    tmpfs(f"{root}/workspace/data", "1m", "755", own=False)
    for name, source in files:
        bind(source, f"{root}/workspace/data/{name}", locked | ATTR_NODEV)
    proc = mount_proc(f"{root}/proc")
    protect(f"{root}/workspace/data", ATTR_RDONLY)
    os.chdir(root)
    check(libc.pivot_root(b".", b"."), "pivot_root")
    check(libc.umount2(b".", MNT_DETACH), "umount of the old root")
    mount(None, "/", None, MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV)
    os.chdir("/workspace")
    return proc


def mount_proc(target):
    """A /proc of the sandbox's own processes; some containers refuse one, and then there is none."""
    os.makedirs(target)
    try:
        mount("proc", target, "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    except JailError:
        return False
    try:
        # No further user namespaces inside: they are the door to most of the kernel's attack surface.
        write(f"{target}/sys/user/max_user_namespaces", "0", "user namespace limit")
    except JailError:
        pass
    # Read-only: as root on the host, /proc/sys would be writable even without capabilities.
    protect(target, ATTR_RDONLY)
    return True


# --- privileges ---------------------------------------------------------------------------------------------------


def drop_privileges(become):
    """Gives up root and every capability, for good. `become` is set where root built the jail."""
    if become:
        os.setgroups([])
        for capability in range(64):
            if libc.prctl(PR_CAPBSET_DROP, ctypes.c_ulong(capability), 0, 0, 0) == -1:
                break
        os.setresgid(INSIDE_ID, INSIDE_ID, INSIDE_ID)
        os.setresuid(INSIDE_ID, INSIDE_ID, INSIDE_ID)
    libc.prctl(PR_CAP_AMBIENT, ctypes.c_ulong(PR_CAP_AMBIENT_CLEAR_ALL), 0, 0, 0)
    header = struct.pack("Ii", 0x20080522, 0)
    check(libc.capset(header, struct.pack("6I", 0, 0, 0, 0, 0, 0)), "dropping capabilities")
    prctl(PR_SET_NO_NEW_PRIVS, 1, layer="no_new_privs")


def limit(which, value):
    hard = resource.getrlimit(which)[1]
    if hard != resource.RLIM_INFINITY:
        value = min(value, hard)
    resource.setrlimit(which, (value, value))


def data_bytes():
    """What RLIMIT_DATA counts of this process now: private writable memory, the stack too."""
    with open("/proc/self/status") as file:
        for line in file:
            if line.startswith("VmData:"):
                return int(line.split()[1]) * 1024
    return 0


def set_limits(memory_bytes, workspace_bytes, inherited_bytes):
    # RLIMIT_DATA rather than RLIMIT_AS: a mapped data file is not memory that the agent uses up.
    limit(resource.RLIMIT_DATA, inherited_bytes + memory_bytes + RESERVE_BYTES)
    limit(resource.RLIMIT_FSIZE, workspace_bytes)
    limit(resource.RLIMIT_CORE, 0)
    limit(resource.RLIMIT_NOFILE, 1024)
    limit(resource.RLIMIT_NPROC, 256)
    os.nice(5)  # the orchestrator comes first


# --- system calls -------------------------------------------------------------------------------------------------

# Calls that no data analysis makes, by architecture: mounts, namespaces, tracing, keys, modules, io_uring, clocks.
COMMON = [425, 426, 427, 428, 429, 430, 431, 432, 442]
DENIED = {
    "x86_64": (0xC000003E, 41, COMMON + [101, 103, 135, 155, 161, 163, 164, 165, 166, 167, 169, 172, 173, 175, 176, 179,
               227, 246, 248, 249, 250, 272, 298, 304, 308, 310, 311, 313, 320, 321, 323]),
    "aarch64": (0xC00000B7, 198, COMMON + [39, 40, 41, 51, 60, 89, 92, 97, 104, 105, 106, 112, 116, 117, 142, 170, 217,
                218, 219, 224, 241, 265, 268, 270, 271, 273, 280, 282, 294]),
}
FAMILIES = (1, 2, 10, 16)  # unix, inet, inet6, netlink: bounded by the network namespace, which others (vsock) are not


def filter_program():
    """The BPF program, or nothing for an architecture we have no table for."""
    if platform.machine() not in DENIED:
        return None
    architecture, socket_call, denied = DENIED[platform.machine()]
    load, equal, at_least, give = 0x20, 0x15, 0x35, 0x06
    refuse, unsupported, allow = 0x00050000 | errno.EPERM, 0x00050000 | errno.EAFNOSUPPORT, 0x7FFF0000
    code = [(load, 0, 0, 4), (equal, 1, 0, architecture), (give, 0, 0, refuse), (load, 0, 0, 0)]
    code += [(at_least, 0, 1, 0x40000000), (give, 0, 0, refuse)]
    for number in denied:
        code += [(equal, 0, 1, number), (give, 0, 0, refuse)]
    code += [(equal, 1, 0, socket_call), (give, 0, 0, allow), (load, 0, 0, 16)]
    for family in FAMILIES:
        code += [(equal, 0, 1, family), (give, 0, 0, allow)]
    code += [(give, 0, 0, unsupported)]
    return b"".join(struct.pack("HBBI", *line) for line in code)


def filter_calls(program):
    """Installs the filter; whether the kernel took it."""
    if program is None:
        return False
    memory = ctypes.create_string_buffer(program, len(program))

    class Program(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]

    record = Program(len(program) // 8, ctypes.cast(memory, ctypes.c_void_p))
    return libc.prctl(PR_SET_SECCOMP, ctypes.c_ulong(2), ctypes.byref(record), 0, 0) == 0


# --- what `synth doctor` asks -------------------------------------------------------------------------------------


def probe():
    """Tries each layer in a child of its own; the text of the refusal, or nothing where it works."""

    def user():
        unshare_user(None)

    def rest():
        unshare_user(None)
        unshare_rest()

    def network():
        unshare_user(None)
        check(libc.unshare(CLONE_NEWNET), "network namespace")

    def calls():
        prctl(PR_SET_NO_NEW_PRIVS, 1)
        if not filter_calls(filter_program()):
            raise JailError("seccomp", ctypes.get_errno() or errno.ENOSYS)

    def landlock():
        check(libc.syscall(444, None, ctypes.c_size_t(0), ctypes.c_uint32(1)), "landlock")

    answers = {}
    for name, attempt in {
        "user": user, "namespaces": rest, "network": network, "seccomp": calls, "landlock": landlock,
    }.items():
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            text = ""
            try:
                attempt()
            except (JailError, OSError) as error:
                text = str(error)
            os.write(writer, text.encode())
            os._exit(0)
        os.close(writer)
        with os.fdopen(reader) as file:
            answers[name] = file.read()
        os.waitpid(pid, 0)
    return answers
