//! The allocator of the program.
//!
//! A server has many threads that wait for disks, and what one of them allocates another one frees.
//! The C library's allocator serves that with an arena for each thread that finds the others busy,
//! and holds half as much memory again for it, or with few arenas, in which the threads wait for each
//! other. With jemalloc the intake takes about a third less time of the processors (ADR 21).

/// Serves every allocation that Rust code makes. SQLite keeps to the C library's.
#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// What jemalloc reads when it starts (jemalloc(3), TUNING): an arena a processor, very little kept by
/// each thread, of which there may be hundreds, and what was not used for half a second goes back to
/// the system.
/// `_RJEM_MALLOC_CONF` in the environment overrides it.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "the name by which jemalloc finds it")]
#[unsafe(export_name = "_rjem_malloc_conf")]
pub(crate) static SETTINGS: &[u8; 149] =
    b"percpu_arena:percpu,dirty_decay_ms:500,muzzy_decay_ms:0,tcache_max:512,tcache_nslots_small_max:12,lg_tcache_nslots_mul:-3,tcache_gc_incr_bytes:16384\0";
