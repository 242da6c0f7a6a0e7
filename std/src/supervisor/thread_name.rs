//! What the system calls the thread that runs a child, where that is not the thread's own name: a [spare](super::spares) runs
//! one child after the other, and its name in the standard library is given once.

/// Has the system call this thread by `name` from here on, cut to the first 15 bytes as the standard library cuts it. It is for who
/// looks at the process from outside; if it is refused, nothing else depends on it.
#[cfg(target_os = "linux")]
pub(super) fn set(name: &str) {
    /// With the zero at its end.
    const MOST: usize = 16;

    let mut text = [0_u8; MOST];
    let length = name.len().min(MOST - 1);
    text[..length].copy_from_slice(&name.as_bytes()[..length]);
    if let Ok(name) = core::ffi::CStr::from_bytes_until_nul(&text) {
        let _refused = rustix::thread::set_name(name);
    }
}

/// Not where that takes unsafe code.
#[cfg(not(target_os = "linux"))]
pub(super) const fn set(_name: &str) {}
