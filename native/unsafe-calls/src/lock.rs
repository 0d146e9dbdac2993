//! A lock that an open file holds, on a part of the file that nobody reads or writes.
//!
//! SQLite locks bytes of its database file, at 1 GiB. This lock is on one byte far behind the end
//! of every file, so the two never meet. It belongs to the open file and not to the process: a
//! second opener in the same process is refused too, closing other descriptors of the file does not
//! end it, and it dies with its holder. A lock of the whole file, as
//! `File::try_lock` takes it, would shut SQLite out on Windows.

use std::fs::File;
use std::io;

/// The byte that is locked.
const BYTE: u64 = 1 << 62;

/// Locks the file for as long as it is open; false when another opener has locked it. Never waits.
/// The file must be open for writing. Fails with `Unsupported` where the system knows no locks of
/// this kind.
#[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
pub fn lock_file(file: &File) -> io::Result<bool> {
    let Err(error) = set_lock(file, libc::F_WRLCK) else {
        return Ok(true);
    };
    match error.raw_os_error() {
        Some(libc::EAGAIN | libc::EACCES) => Ok(false),
        Some(libc::EINVAL | libc::ENOSYS | libc::EOPNOTSUPP) => Err(io::ErrorKind::Unsupported.into()),
        _ => Err(error),
    }
}

/// Ends the lock. Closing the file alone does not end it at once when another thread starts a
/// program at that moment: until it runs, the new process has the open file as well.
#[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
pub fn unlock_file(file: &File) {
    let _ = set_lock(file, libc::F_UNLCK);
}

#[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
fn set_lock(file: &File, kind: impl Into<libc::c_int>) -> io::Result<()> {
    use std::os::fd::AsRawFd;

    // SAFETY: `flock` is a plain struct of integers, for which zeros are values.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    lock.l_type = kind.into() as _;
    lock.l_whence = libc::SEEK_SET as _;
    lock.l_start = BYTE as libc::off_t;
    lock.l_len = 1;
    // SAFETY: the descriptor is open as long as `file` is borrowed, and the call only reads `lock`,
    // which outlives it.
    match unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &lock) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
const _: () = assert!(size_of::<libc::off_t>() == 8, "files of 64-bit length");

/// Locks the file for as long as it is open; false when another opener has locked it. Never waits.
#[cfg(windows)]
pub fn lock_file(file: &File) -> io::Result<bool> {
    use std::ffi::c_void;
    use std::os::windows::io::AsRawHandle;

    /// OVERLAPPED of the Windows API: here it says where the lock begins.
    #[repr(C)]
    struct Overlapped {
        internal: usize,
        internal_high: usize,
        offset: u32,
        offset_high: u32,
        event: *mut c_void,
    }
    #[link(name = "kernel32")]
    unsafe extern "system" {
        fn LockFileEx(
            file: *mut c_void,
            flags: u32,
            reserved: u32,
            length: u32,
            length_high: u32,
            place: *mut Overlapped,
        ) -> i32;
    }
    const FAIL_IMMEDIATELY: u32 = 1;
    const EXCLUSIVE: u32 = 2;
    const LOCK_VIOLATION: i32 = 33;

    let mut place = Overlapped {
        internal: 0,
        internal_high: 0,
        offset: BYTE as u32,
        offset_high: (BYTE >> 32) as u32,
        event: std::ptr::null_mut(),
    };
    // SAFETY: the handle is open as long as `file` is borrowed. The standard library opens files
    // for synchronous use, so the call is over with `place` when it returns.
    let done = unsafe {
        LockFileEx(
            file.as_raw_handle().cast(),
            FAIL_IMMEDIATELY | EXCLUSIVE,
            0,
            1,
            0,
            &mut place,
        )
    };
    if done != 0 {
        return Ok(true);
    }
    let error = io::Error::last_os_error();
    if error.raw_os_error() == Some(LOCK_VIOLATION) {
        Ok(false)
    } else {
        Err(error)
    }
}

/// Closing the file ends the lock: no other process gets an open file that was not given to it.
#[cfg(windows)]
pub fn unlock_file(_: &File) {}

/// No such lock here: nothing is to be ended.
#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple", windows)))]
pub fn unlock_file(_: &File) {}

/// No such lock here: what remains are the lock file and SQLite's own locks.
#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple", windows)))]
pub fn lock_file(_: &File) -> io::Result<bool> {
    Err(io::ErrorKind::Unsupported.into())
}
