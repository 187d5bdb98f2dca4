//! System calls, bare: what the other files may ask of the kernel, with lengths and lifetimes that the compiler checks.

use core::arch::asm;
use core::ffi::CStr;
use core::ptr;

/// An error number of the kernel.
pub type Errno = i32;

pub const EINTR: Errno = 4;
pub const EEXIST: Errno = 17;
pub const EINVAL: Errno = 22;

#[cfg(target_arch = "x86_64")]
#[rustfmt::skip]
mod number {
    pub const READ: usize = 0;         pub const WRITE: usize = 1;        pub const CLOSE: usize = 3;
    pub const RT_SIGACTION: usize = 13;
    pub const SENDMSG: usize = 46;     pub const RECVMSG: usize = 47;     pub const WAIT4: usize = 61;
    pub const KILL: usize = 62;        pub const CHDIR: usize = 80;       pub const UMASK: usize = 95;
    pub const GETEUID: usize = 107;    pub const GETEGID: usize = 108;    pub const SETSID: usize = 112;
    pub const SETGROUPS: usize = 116;  pub const SETRESUID: usize = 117;  pub const SETRESGID: usize = 119;
    pub const CAPSET: usize = 126;     pub const PIVOT_ROOT: usize = 155; pub const PRCTL: usize = 157;
    pub const MOUNT: usize = 165;      pub const UMOUNT2: usize = 166;    pub const SETHOSTNAME: usize = 170;
    pub const GETDENTS64: usize = 217; pub const EXIT_GROUP: usize = 231; pub const OPENAT: usize = 257;
    pub const MKDIRAT: usize = 258;    pub const SYMLINKAT: usize = 266;  pub const PPOLL: usize = 271;
    pub const UNSHARE: usize = 272;    pub const DUP3: usize = 292;       pub const PIPE2: usize = 293;
    pub const PIDFD_OPEN: usize = 434; pub const CLONE3: usize = 435;     pub const CLOSE_RANGE: usize = 436;
    pub const MOUNT_SETATTR: usize = 442;
}

#[cfg(target_arch = "aarch64")]
#[rustfmt::skip]
mod number {
    pub const READ: usize = 63;        pub const WRITE: usize = 64;       pub const CLOSE: usize = 57;
    pub const RT_SIGACTION: usize = 134;
    pub const SENDMSG: usize = 211;    pub const RECVMSG: usize = 212;    pub const WAIT4: usize = 260;
    pub const KILL: usize = 129;       pub const CHDIR: usize = 49;       pub const UMASK: usize = 166;
    pub const GETEUID: usize = 175;    pub const GETEGID: usize = 177;    pub const SETSID: usize = 157;
    pub const SETGROUPS: usize = 159;  pub const SETRESUID: usize = 147;  pub const SETRESGID: usize = 149;
    pub const CAPSET: usize = 91;      pub const PIVOT_ROOT: usize = 41;  pub const PRCTL: usize = 167;
    pub const MOUNT: usize = 40;       pub const UMOUNT2: usize = 39;     pub const SETHOSTNAME: usize = 161;
    pub const GETDENTS64: usize = 61;  pub const EXIT_GROUP: usize = 94;  pub const OPENAT: usize = 56;
    pub const MKDIRAT: usize = 34;     pub const SYMLINKAT: usize = 36;   pub const PPOLL: usize = 73;
    pub const UNSHARE: usize = 97;     pub const DUP3: usize = 24;        pub const PIPE2: usize = 59;
    pub const PIDFD_OPEN: usize = 434; pub const CLONE3: usize = 435;     pub const CLOSE_RANGE: usize = 436;
    pub const MOUNT_SETATTR: usize = 442;
}

use number as nr;

const AT_FDCWD: usize = -100_isize as usize;
const AT_RECURSIVE: usize = 0x8000;

pub const O_WRONLY: usize = 0o1;
pub const O_CREAT: usize = 0o100;
pub const O_CLOEXEC: usize = 0o200_0000;
pub const O_PATH: usize = 0o1000_0000;
pub const O_RDONLY: usize = 0;
#[cfg(target_arch = "x86_64")]
pub const O_DIRECTORY: usize = 0o20_0000;
#[cfg(target_arch = "aarch64")]
pub const O_DIRECTORY: usize = 0o4_0000;

pub const SIGINT: usize = 2;
pub const SIGKILL: usize = 9;
pub const SIGPIPE: usize = 13;
pub const SIGTERM: usize = 15;
pub const SIGCHLD: usize = 17;

/// Asks the kernel.
///
/// # Safety
/// Every address among the arguments is good for what the call does with it.
unsafe fn call(number: usize, a: [usize; 6]) -> Result<usize, Errno> {
    let result: isize;
    // SAFETY: the registers are those of the kernel's calling convention; memory is the caller's promise.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        asm!("syscall", inlateout("rax") number => result, in("rdi") a[0], in("rsi") a[1], in("rdx") a[2],
             in("r10") a[3], in("r8") a[4], in("r9") a[5], lateout("rcx") _, lateout("r11") _, options(nostack));
    }
    // SAFETY: as above.
    #[cfg(target_arch = "aarch64")]
    unsafe {
        asm!("svc 0", in("x8") number, inlateout("x0") a[0] => result, in("x1") a[1], in("x2") a[2],
             in("x3") a[3], in("x4") a[4], in("x5") a[5], options(nostack));
    }
    if (-4095..0).contains(&result) {
        Err(-result as Errno)
    } else {
        Ok(result as usize)
    }
}

/// A call whose arguments are numbers only.
fn plain(number: usize, a: usize, b: usize, c: usize) -> Result<usize, Errno> {
    // SAFETY: used for calls that take no address in these arguments.
    unsafe { call(number, [a, b, c, 0, 0, 0]) }
}

/// A call whose first argument is a path and whose others are numbers.
fn with_path(number: usize, path: &CStr, b: usize) -> Result<usize, Errno> {
    // SAFETY: the kernel reads the path up to its NUL.
    unsafe { call(number, [path.as_ptr() as usize, b, 0, 0, 0, 0]) }
}

pub fn exit(code: i32) -> ! {
    loop {
        let _ = plain(nr::EXIT_GROUP, code as usize, 0, 0);
    }
}

// --- files ---------------------------------------------------------------------------------------------------------

pub fn open(path: &CStr, flags: usize) -> Result<i32, Errno> {
    // SAFETY: the kernel reads the path up to its NUL.
    unsafe {
        call(
            nr::OPENAT,
            [AT_FDCWD, path.as_ptr() as usize, flags, 0o644, 0, 0],
        )
    }
    .map(|fd| fd as i32)
}

pub fn close(fd: i32) {
    let _ = plain(nr::CLOSE, fd as usize, 0, 0);
}

/// Closes every descriptor from `first` on.
pub fn close_from(first: i32) -> Result<usize, Errno> {
    plain(nr::CLOSE_RANGE, first as usize, u32::MAX as usize, 0)
}

pub fn dup_to(fd: i32, target: i32) -> Result<usize, Errno> {
    plain(nr::DUP3, fd as usize, target as usize, 0)
}

pub fn pipe() -> Result<[i32; 2], Errno> {
    let mut ends = [0; 2];
    // SAFETY: the kernel writes two descriptors there.
    unsafe { call(nr::PIPE2, [&raw mut ends as usize, O_CLOEXEC, 0, 0, 0, 0]) }.map(|_| ends)
}

pub fn read(fd: i32, into: &mut [u8]) -> Result<usize, Errno> {
    loop {
        // SAFETY: the kernel writes no more than the slice holds.
        match unsafe {
            call(
                nr::READ,
                [fd as usize, into.as_mut_ptr() as usize, into.len(), 0, 0, 0],
            )
        } {
            Err(EINTR) => {}
            outcome => return outcome,
        }
    }
}

/// Fills the slice; false at the end of the stream.
pub fn read_exactly(fd: i32, mut into: &mut [u8]) -> bool {
    while !into.is_empty() {
        match read(fd, into) {
            Ok(count) if count > 0 => into = &mut into[count..],
            _ => return false,
        }
    }
    true
}

pub fn write(fd: i32, bytes: &[u8]) -> Result<usize, Errno> {
    // SAFETY: the kernel reads no more than the slice holds.
    unsafe {
        call(
            nr::WRITE,
            [fd as usize, bytes.as_ptr() as usize, bytes.len(), 0, 0, 0],
        )
    }
}

pub fn make_folder(path: &CStr) -> Result<usize, Errno> {
    // SAFETY: the kernel reads the path up to its NUL.
    unsafe {
        call(
            nr::MKDIRAT,
            [AT_FDCWD, path.as_ptr() as usize, 0o755, 0, 0, 0],
        )
    }
}

pub fn link(target: &CStr, path: &CStr) -> Result<usize, Errno> {
    // SAFETY: the kernel reads both up to their NUL.
    unsafe {
        call(
            nr::SYMLINKAT,
            [
                target.as_ptr() as usize,
                AT_FDCWD,
                path.as_ptr() as usize,
                0,
                0,
                0,
            ],
        )
    }
}

pub fn list(folder: i32, into: &mut [u8]) -> Result<usize, Errno> {
    // SAFETY: the kernel writes no more than the slice holds.
    unsafe {
        call(
            nr::GETDENTS64,
            [
                folder as usize,
                into.as_mut_ptr() as usize,
                into.len(),
                0,
                0,
                0,
            ],
        )
    }
}

// --- mounts --------------------------------------------------------------------------------------------------------

pub const MS_NOSUID: usize = 2;
pub const MS_NODEV: usize = 4;
pub const MS_NOEXEC: usize = 8;
pub const MS_REMOUNT: usize = 32;
pub const MS_BIND: usize = 4096;
pub const MS_REC: usize = 16384;
pub const MS_SLAVE: usize = 1 << 19;
const MNT_DETACH: usize = 2;

pub fn mount(
    source: Option<&CStr>,
    target: &CStr,
    kind: Option<&CStr>,
    flags: usize,
    data: Option<&CStr>,
) -> Result<usize, Errno> {
    let address = |text: Option<&CStr>| text.map_or(ptr::null(), CStr::as_ptr) as usize;
    // SAFETY: the kernel reads each text up to its NUL, and takes null for none.
    unsafe {
        call(
            nr::MOUNT,
            [
                address(source),
                target.as_ptr() as usize,
                address(kind),
                flags,
                address(data),
                0,
            ],
        )
    }
}

/// Sets attributes of a mount, and of all below it.
pub fn protect(target: &CStr, attributes: u64, recursive: bool) -> Result<usize, Errno> {
    let record = [attributes, 0, 0, 0];
    let flags = if recursive { AT_RECURSIVE } else { 0 };
    // SAFETY: the record has the 32 bytes that its length says.
    unsafe {
        call(
            nr::MOUNT_SETATTR,
            [
                AT_FDCWD,
                target.as_ptr() as usize,
                flags,
                &raw const record as usize,
                32,
                0,
            ],
        )
    }
}

/// Makes the working folder the root and lets go of the old root.
pub fn enter_root() -> Result<usize, Errno> {
    let here = c".".as_ptr() as usize;
    // SAFETY: the kernel reads the path up to its NUL.
    unsafe { call(nr::PIVOT_ROOT, [here, here, 0, 0, 0, 0]) }?;
    with_path(nr::UMOUNT2, c".", MNT_DETACH)
}

pub fn change_folder(path: &CStr) -> Result<usize, Errno> {
    with_path(nr::CHDIR, path, 0)
}

pub fn set_host_name(name: &CStr) -> Result<usize, Errno> {
    with_path(nr::SETHOSTNAME, name, name.to_bytes().len())
}

// --- processes -----------------------------------------------------------------------------------------------------

pub const CLONE_NEWNS: usize = 0x0002_0000;
pub const CLONE_NEWUTS: usize = 0x0400_0000;
pub const CLONE_NEWIPC: usize = 0x0800_0000;
pub const CLONE_NEWUSER: usize = 0x1000_0000;
pub const CLONE_NEWPID: usize = 0x2000_0000;
pub const CLONE_NEWNET: usize = 0x4000_0000;
const CLONE_PIDFD: usize = 0x1000;

pub enum Forked {
    Child,
    Parent { pid: u32, pidfd: i32 },
}

/// Forks into new namespaces.
pub fn fork_into(namespaces: usize) -> Result<Forked, Errno> {
    let mut pidfd = -1_i32;
    let mut arguments = [0_u64; 11];
    arguments[0] = (namespaces | CLONE_PIDFD) as u64;
    arguments[1] = &raw mut pidfd as u64;
    arguments[4] = SIGCHLD as u64;
    // SAFETY: the record has the length given; without a stack of its own the child goes on with a copy of ours, as after fork.
    match unsafe {
        call(
            nr::CLONE3,
            [
                &raw mut arguments as usize,
                size_of_val(&arguments),
                0,
                0,
                0,
                0,
            ],
        )
    }? {
        0 => Ok(Forked::Child),
        pid => Ok(Forked::Parent {
            pid: pid as u32,
            pidfd,
        }),
    }
}

pub fn unshare(namespaces: usize) -> Result<usize, Errno> {
    plain(nr::UNSHARE, namespaces, 0, 0)
}

pub fn new_session() {
    let _ = plain(nr::SETSID, 0, 0, 0);
}

pub fn set_umask(mask: usize) {
    let _ = plain(nr::UMASK, mask, 0, 0);
}

pub fn user() -> usize {
    plain(nr::GETEUID, 0, 0, 0).unwrap_or(0)
}

pub fn group() -> usize {
    plain(nr::GETEGID, 0, 0, 0).unwrap_or(0)
}

pub fn kill(pid: isize, signal: usize) -> Result<usize, Errno> {
    plain(nr::KILL, pid as usize, signal, 0)
}

pub fn open_process(pid: usize) -> Result<i32, Errno> {
    plain(nr::PIDFD_OPEN, pid, 0, 0).map(|fd| fd as i32)
}

/// Waits until there is no child left.
pub fn wait_for_all() {
    const ANY: usize = -1_isize as usize;
    const ALL_KINDS: usize = 0x4000_0000;
    loop {
        // SAFETY: no status and no usage are asked for.
        match unsafe { call(nr::WAIT4, [ANY, 0, ALL_KINDS, 0, 0, 0]) } {
            Ok(_) | Err(EINTR) => {}
            Err(_) => return,
        }
    }
}

/// Ignores a signal; of `SIGCHLD` that means that dead children are buried by the kernel.
pub fn ignore(signal: usize) {
    const SIG_IGN: usize = 1;
    let action = [SIG_IGN, 0, 0, 0];
    // SAFETY: the record is the kernel's `sigaction` with an empty mask; ignoring needs no code to return through.
    let _ = unsafe {
        call(
            nr::RT_SIGACTION,
            [signal, &raw const action as usize, 0, 8, 0, 0],
        )
    };
}

pub fn set_name(name: &CStr) {
    const PR_SET_NAME: usize = 15;
    // SAFETY: the kernel reads the name up to its NUL.
    let _ = unsafe { call(nr::PRCTL, [PR_SET_NAME, name.as_ptr() as usize, 0, 0, 0, 0]) };
}

fn prctl(option: usize, value: usize) -> Result<usize, Errno> {
    plain(nr::PRCTL, option, value, 0)
}

/// Gives up every capability, for good; nobody may trace it from now on. One that becomes the user `id` keeps those by which it ends
/// and counts the other processes of its user namespace.
pub fn drop_privileges(id: Option<usize>) -> Result<(), Errno> {
    const PR_SET_DUMPABLE: usize = 4;
    const PR_SET_KEEPCAPS: usize = 8;
    const PR_CAPBSET_DROP: usize = 24;
    const PR_SET_NO_NEW_PRIVS: usize = 38;
    const VERSION_3: u32 = 0x2008_0522;
    const KILL: u32 = 1 << 5;
    const TRACE: u32 = 1 << 19;
    for capability in 0..64 {
        if prctl(PR_CAPBSET_DROP, capability).is_err() {
            break;
        }
    }
    if let Some(id) = id {
        prctl(PR_SET_KEEPCAPS, 1)?;
        plain(nr::SETGROUPS, 0, 0, 0)?;
        plain(nr::SETRESGID, id, id, id)?;
        plain(nr::SETRESUID, id, id, id)?;
    }
    let kept = if id.is_some() { KILL | TRACE } else { 0 };
    // The lower halves of the effective, permitted and inheritable sets, then the upper ones.
    let (header, sets) = ([VERSION_3, 0], [kept, kept, 0, 0, 0, 0]);
    // SAFETY: header and sets are of the version that the header names.
    unsafe {
        call(
            nr::CAPSET,
            [
                &raw const header as usize,
                &raw const sets as usize,
                0,
                0,
                0,
                0,
            ],
        )
    }?;
    prctl(PR_SET_NO_NEW_PRIVS, 1)?;
    prctl(PR_SET_DUMPABLE, 0).map(drop)
}

// --- waiting, and messages with descriptors ------------------------------------------------------------------------

/// One line of `poll`: asks for readability.
#[repr(C)]
pub struct Watched {
    fd: i32,
    events: i16,
    happened: i16,
}

impl Watched {
    pub const fn new(fd: i32) -> Self {
        Self {
            fd,
            events: 1,
            happened: 0,
        }
    }

    pub const fn happened(&self) -> bool {
        self.happened != 0
    }
}

/// Waits until one is readable, or for so many milliseconds if there is a limit.
pub fn poll(watched: &mut [Watched], milliseconds: Option<u64>) {
    for one in &mut *watched {
        one.happened = 0;
    }
    let time =
        milliseconds.map(|milliseconds| [milliseconds / 1000, milliseconds % 1000 * 1_000_000]);
    let address = time
        .as_ref()
        .map_or(0, |time| time as *const [u64; 2] as usize);
    // SAFETY: the kernel writes into as many records as there are; the time, if any, outlives the call.
    let _ = unsafe {
        call(
            nr::PPOLL,
            [
                watched.as_mut_ptr() as usize,
                watched.len(),
                address,
                0,
                0,
                0,
            ],
        )
    };
}

const MOST_DESCRIPTORS: usize = 4;
const HEAD_BYTES: usize = 16;

#[repr(C, align(8))]
struct Control {
    length: usize,
    level: i32,
    kind: i32,
    descriptors: [i32; MOST_DESCRIPTORS],
}

#[repr(C)]
struct Header {
    name: usize,
    name_length: usize,
    parts: usize,
    part_count: usize,
    control: usize,
    control_length: usize,
    flags: usize,
}

const SOL_SOCKET: i32 = 1;
const SCM_RIGHTS: i32 = 1;

/// Receives a message and the descriptors that came with it; -1 stands for none.
pub fn receive(socket: i32, into: &mut [u8]) -> Result<(usize, [i32; MOST_DESCRIPTORS]), Errno> {
    const MSG_CMSG_CLOEXEC: usize = 0x4000_0000;
    let part = [into.as_mut_ptr() as usize, into.len()];
    let mut control = Control {
        length: 0,
        level: 0,
        kind: 0,
        descriptors: [-1; MOST_DESCRIPTORS],
    };
    let mut header = Header {
        name: 0,
        name_length: 0,
        parts: &raw const part as usize,
        part_count: 1,
        control: &raw mut control as usize,
        control_length: size_of::<Control>(),
        flags: 0,
    };
    loop {
        // SAFETY: all records that the header points to live here, and have the lengths that it says.
        match unsafe {
            call(
                nr::RECVMSG,
                [
                    socket as usize,
                    &raw mut header as usize,
                    MSG_CMSG_CLOEXEC,
                    0,
                    0,
                    0,
                ],
            )
        } {
            Err(EINTR) => {}
            Err(error) => return Err(error),
            Ok(count) => {
                let mut descriptors = [-1; MOST_DESCRIPTORS];
                if header.control_length >= HEAD_BYTES && control.kind == SCM_RIGHTS {
                    let came = control.length.saturating_sub(HEAD_BYTES) / 4;
                    for (slot, fd) in descriptors.iter_mut().zip(control.descriptors).take(came) {
                        *slot = fd;
                    }
                }
                return Ok((count, descriptors));
            }
        }
    }
}

/// Sends a message with descriptors.
pub fn send(socket: i32, bytes: &[u8], descriptors: &[i32]) -> Result<usize, Errno> {
    const MSG_NOSIGNAL: usize = 0x4000;
    let part = [bytes.as_ptr() as usize, bytes.len()];
    let mut control = Control {
        length: HEAD_BYTES + 4 * descriptors.len(),
        level: SOL_SOCKET,
        kind: SCM_RIGHTS,
        descriptors: [-1; MOST_DESCRIPTORS],
    };
    for (slot, fd) in control.descriptors.iter_mut().zip(descriptors) {
        *slot = *fd;
    }
    let used = if descriptors.is_empty() {
        0
    } else {
        HEAD_BYTES + (4 * descriptors.len()).next_multiple_of(8)
    };
    let header = Header {
        name: 0,
        name_length: 0,
        parts: &raw const part as usize,
        part_count: 1,
        control: if used == 0 {
            0
        } else {
            &raw const control as usize
        },
        control_length: used,
        flags: 0,
    };
    // SAFETY: all records that the header points to live here, and have the lengths that it says.
    unsafe {
        call(
            nr::SENDMSG,
            [
                socket as usize,
                &raw const header as usize,
                MSG_NOSIGNAL,
                0,
                0,
                0,
            ],
        )
    }
}
