//! Steps: a list of small things to do to the file system of a sandbox, written by `synth` and done here in order.
//!
//! A step is one letter and its arguments, each of which ends with a NUL. What a sandbox is shown is decided by whoever writes
//! the list; here is only how.

use core::ffi::CStr;

use crate::sys::{self, EINVAL, Errno};
use crate::text::Fields;

/// The step that was refused, counted from 0, and why.
pub struct Refusal {
    pub step: u32,
    pub errno: Errno,
}

/// Does all steps; whether a `/proc` that was asked for is there.
pub fn take(list: &[u8]) -> Result<bool, Refusal> {
    let mut fields = Fields::new(list);
    let (mut step, mut proc) = (0, false);
    while let Some(letter) = fields.byte() {
        take_one(letter, &mut fields, &mut proc).map_err(|errno| Refusal { step, errno })?;
        step += 1;
    }
    Ok(proc)
}

fn take_one(letter: u8, fields: &mut Fields, proc: &mut bool) -> Result<(), Errno> {
    const PRIVATE: usize = sys::MS_NOSUID | sys::MS_NODEV;
    let path = fields.text().ok_or(EINVAL)?;
    let mut text = || fields.text().ok_or(EINVAL);
    match letter {
        // A folder; it may be there.
        b'd' => match sys::make_folder(path) {
            Ok(_) | Err(sys::EEXIST) => Ok(()),
            Err(errno) => Err(errno),
        },
        b'l' => sys::link(text()?, path).map(drop),
        // A file with a text.
        b'f' => write(path, text()?.to_bytes()),
        // A folder or file of the host with all that is mounted in it, under these attributes.
        b'b' => {
            let source = text()?;
            let attributes = fields.number().ok_or(EINVAL)?;
            sys::mount(Some(source), path, None, sys::MS_BIND | sys::MS_REC, None)?;
            if attributes != 0 {
                sys::protect(path, attributes, true)?;
            }
            Ok(())
        }
        // A file system in memory.
        b't' => sys::mount(Some(c"tmpfs"), path, Some(c"tmpfs"), PRIVATE, Some(text()?)).map(drop),
        // Other limits for one.
        b's' => sys::mount(None, path, None, sys::MS_REMOUNT | PRIVATE, Some(text()?)).map(drop),
        // The processes of this namespace. Some containers refuse it, and then there is none.
        b'p' => {
            let flags = PRIVATE | sys::MS_NOEXEC;
            *proc = sys::mount(Some(c"proc"), path, Some(c"proc"), flags, None).is_ok();
            Ok(())
        }
        // A setting that may be missing.
        b'w' => {
            let _ = write(path, text()?.to_bytes());
            Ok(())
        }
        // Attributes of one mount, and of a mount with all below it.
        b'a' => sys::protect(path, fields.number().ok_or(EINVAL)?, false).map(drop),
        b'r' => sys::protect(path, fields.number().ok_or(EINVAL)?, true).map(drop),
        b'h' => sys::set_host_name(path).map(drop),
        // The root of all that follows; the old one is let go.
        b'/' => {
            sys::change_folder(path)?;
            sys::enter_root().map(drop)
        }
        b'c' => sys::change_folder(path).map(drop),
        _ => Err(EINVAL),
    }
}

pub fn write(path: &CStr, bytes: &[u8]) -> Result<(), Errno> {
    let fd = sys::open(path, sys::O_WRONLY | sys::O_CREAT | sys::O_CLOEXEC)?;
    let outcome = if bytes.is_empty() {
        Ok(0)
    } else {
        sys::write(fd, bytes)
    };
    sys::close(fd);
    outcome.map(drop)
}
