//! How the C library's allocator divides memory among threads.

/// Lets it have as many arenas as there are processors. It makes up to eight times as many, one for
/// each thread that finds the others busy, and what one of them has freed the others cannot use: a
/// server with many threads that wait for disks holds twice the memory for it.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "a call into the C library")]
pub(crate) fn bound_arenas() {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let arenas = libc::c_int::try_from(processors).unwrap_or(libc::c_int::MAX);
    // SAFETY: it takes two numbers, and may be called at any time (mallopt(3)). Where it fails, all
    // stays as it was.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, arenas);
    }
}

/// Other allocators are left as they are.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) fn bound_arenas() {}
