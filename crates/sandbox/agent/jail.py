"""The jail from inside: a freshly forked, single-threaded process enters its sandbox and gives up what it does not need.

Only the kernel's own interfaces, through ctypes. The namespaces and the root are made outside, by `jail/`.
"""

import ctypes
import errno
import os
import platform
import resource
import struct

libc = ctypes.CDLL(None, use_errno=True)

CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC = 0x00020000, 0x04000000, 0x08000000
CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x10000000, 0x20000000, 0x40000000
SANDBOX_NAMESPACES = CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNET

PR_SET_DUMPABLE, PR_CAPBSET_DROP, PR_SET_SECCOMP, PR_SET_CHILD_SUBREAPER = 4, 24, 22, 36
PR_SET_NO_NEW_PRIVS, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL = 38, 47, 4

INSIDE_ID = 1000  # the user and group that the agent sees itself as


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


def enter(descriptor, kinds):
    """Enters the namespaces that a descriptor stands for: one namespace, or those of a process."""
    check(libc.setns(descriptor, kinds), "namespaces of the sandbox")


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


def set_limits(memory_bytes, workspace_bytes, inherited_bytes, processes=256):
    # RLIMIT_DATA rather than RLIMIT_AS: a mapped data file is not memory that the agent uses up.
    limit(resource.RLIMIT_DATA, inherited_bytes + memory_bytes + RESERVE_BYTES)
    limit(resource.RLIMIT_FSIZE, workspace_bytes)
    limit(resource.RLIMIT_CORE, 1)  # 0 does not stop a dump that the host pipes to a program; 1 does
    limit(resource.RLIMIT_NOFILE, 1024)
    limit(resource.RLIMIT_NPROC, processes)
    os.nice(5)  # the orchestrator comes first


# --- Landlock -----------------------------------------------------------------------------------------------------

SYS_LANDLOCK_CREATE, SYS_LANDLOCK_ADD, SYS_LANDLOCK_RESTRICT = 444, 445, 446
READ = 0x000D  # execute, read a file, read a folder
WRITE_FILE, TRUNCATE, IOCTL = 1 << 1, 1 << 14, 1 << 15
MAKE_DEVICES = 1 << 6 | 1 << 11
BIND_TCP = 1
SCOPES = 3  # abstract sockets, signals: none to or from outside
WRITABLE = ("workspace", "tmp", "dev/shm")
DEVICES = ("null", "zero", "full", "random", "urandom")


def landlock_version():
    return max(libc.syscall(SYS_LANDLOCK_CREATE, None, ctypes.c_size_t(0), ctypes.c_uint32(1)), 0)


def landlock_rules(root):
    """Rules for a process whose root will be `root`, and the kernel's version of them; nothing where there is no Landlock."""
    version = landlock_version()
    if not version:
        return None, 0
    every = (1 << {1: 13, 2: 14, 3: 15, 4: 15}.get(version, 16)) - 1
    attributes = [every] + [BIND_TCP] * (version >= 4) + [SCOPES] * (version >= 6)
    record = struct.pack(f"{len(attributes)}Q", *attributes)
    rules = libc.syscall(SYS_LANDLOCK_CREATE, record, ctypes.c_size_t(len(record)), ctypes.c_uint32(0))
    check(rules, "Landlock")
    rights = {"": READ}
    rights.update({path: every & ~MAKE_DEVICES for path in WRITABLE})
    rights.update({f"dev/{name}": READ & ~8 | WRITE_FILE | TRUNCATE | IOCTL for name in DEVICES})
    for path, allowed in rights.items():
        descriptor = os.open(f"{root}/{path}", os.O_PATH | os.O_CLOEXEC)
        record = struct.pack("<Qi", allowed & every, descriptor)
        check(libc.syscall(SYS_LANDLOCK_ADD, rules, ctypes.c_uint32(1), record, ctypes.c_uint32(0)), "Landlock")
        os.close(descriptor)
    return rules, version


def restrict(rules):
    """Puts this process under the rules, for good."""
    if rules is not None:
        check(libc.syscall(SYS_LANDLOCK_RESTRICT, rules, ctypes.c_uint32(0)), "Landlock")
        os.close(rules)


# --- system calls -------------------------------------------------------------------------------------------------

# Calls that no data analysis makes, by architecture: mounts, namespaces, tracing, other processes' memory, keys, modules,
# io_uring, clocks, swap.
COMMON = [425, 426, 427, 428, 429, 430, 431, 432, 433, 438, 440, 442, 443, 447, 457, 458, 467]
ARCHITECTURES = {
    "x86_64": {
        "audit": 0xC000003E, "socket": 41, "clone": 56, "prlimit": 302,
        "of others": [142, 144, 203, 314],  # sched_setparam, sched_setscheduler, sched_setaffinity, sched_setattr
        "of others, second": [141, 251],  # setpriority, ioprio_set
        "denied": [101, 103, 135, 154, 155, 161, 163, 164, 165, 166, 167, 168, 169, 172, 173, 175, 176, 179, 212, 227, 246,
                   248, 249, 250, 256, 272, 279, 298, 300, 303, 304, 308, 310, 311, 312, 313, 320, 321, 323],
    },
    "aarch64": {
        "audit": 0xC00000B7, "socket": 198, "clone": 220, "prlimit": 261,
        "of others": [118, 119, 122, 274],
        "of others, second": [140, 30],
        "denied": [18, 39, 40, 41, 51, 60, 89, 92, 97, 104, 105, 106, 112, 116, 117, 142, 170, 217, 218, 219, 224, 225, 238,
                   239, 241, 262, 264, 265, 268, 270, 271, 272, 273, 280, 282, 294],
    },
}  # fmt: skip
CLONE3 = 435
NEW_NAMESPACES = 0x7E020080
FAMILIES = (1, 2, 10, 16)  # unix, inet, inet6, netlink: bounded by the network namespace, which others (vsock) are not


def filter_program():
    """The BPF program, or nothing for an architecture we have no table for."""
    calls = ARCHITECTURES.get(platform.machine())
    if calls is None:
        return None
    load, equal, at_least, any_bit, give = 0x20, 0x15, 0x35, 0x45, 0x06
    number, architecture, first, second = 0, 4, 16, 24  # offsets of what is looked at; of arguments, the lower half
    refuse, unsupported = 0x00050000 | errno.EPERM, 0x00050000 | errno.EAFNOSUPPORT
    missing, allow = 0x00050000 | errno.ENOSYS, 0x7FFF0000
    code = [(load, 0, 0, architecture), (equal, 1, 0, calls["audit"]), (give, 0, 0, refuse), (load, 0, 0, number)]
    code += [(at_least, 0, 1, 0x40000000), (give, 0, 0, refuse)]
    for call in COMMON + calls["denied"]:
        code += [(equal, 0, 1, call), (give, 0, 0, refuse)]
    # Its flags lie in memory, where no filter sees them; C libraries then take `clone`.
    code += [(equal, 0, 1, CLONE3), (give, 0, 0, missing)]
    code += [(equal, 0, 4, calls["clone"]), (load, 0, 0, first), (any_bit, 0, 1, NEW_NAMESPACES), (give, 0, 0, refuse)]
    code += [(give, 0, 0, allow)]
    # Limits and priorities of others: where there is one user id only, init has the same.
    for offset, names in ((first, [calls["prlimit"], *calls["of others"]]), (second, calls["of others, second"])):
        for call in names:
            code += [(equal, 0, 4, call), (load, 0, 0, offset), (equal, 1, 0, 0), (give, 0, 0, refuse), (give, 0, 0, allow)]
    code += [(equal, 1, 0, calls["socket"]), (give, 0, 0, allow), (load, 0, 0, first)]
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
