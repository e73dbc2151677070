//! What a function's processes may use and reach, as the config says it.

use daybook_functions::{FunctionSpec, SandboxMode};

use super::ConfigError;
use super::check::Place;
use super::file::FunctionTable;

/// Fewer open files than this, and no runtime starts.
const FEWEST_OPEN_FILES: u64 = 64;

/// How many executions may wait for the function at this place of the config.
pub(super) fn queue(
    place: &Place<'_>,
    at: &str,
    table: &FunctionTable,
) -> Result<usize, ConfigError> {
    match table.queue {
        Some(0) => place.wrong(
            &format!("{at}.queue"),
            "at least one execution has to wait; to hold all of them, pause the pipeline",
        ),
        given => Ok(given.unwrap_or(FunctionSpec::QUEUE)),
    }
}

/// Takes over the limits of the function at this place of the config.
pub(super) fn apply(
    place: &Place<'_>,
    at: &str,
    table: &FunctionTable,
    spec: &mut FunctionSpec,
) -> Result<(), ConfigError> {
    for (key, given, target) in [
        (
            "memory",
            table.memory.map(|size| size.as_u64()),
            &mut spec.memory_bytes,
        ),
        (
            "tmp_size",
            table.tmp_size.map(|size| size.as_u64()),
            &mut spec.tmp_bytes,
        ),
        ("processes", table.processes, &mut spec.processes),
        ("open_files", table.open_files, &mut spec.open_files),
    ] {
        match given {
            Some(0) => {
                return place.wrong(
                    &format!("{at}.{key}"),
                    "with 0 nothing runs; give more, or leave it out for the default",
                );
            }
            given => *target = given.unwrap_or(*target),
        }
    }
    if spec.open_files < FEWEST_OPEN_FILES {
        return place.wrong(
            &format!("{at}.open_files"),
            format!("no runtime starts with so few; give at least {FEWEST_OPEN_FILES}"),
        );
    }
    if table
        .cpu
        .is_some_and(|cores| !cores.is_finite() || cores <= 0.0)
    {
        return place.wrong(
            &format!("{at}.cpu"),
            "give a number of cores above 0, as in 0.5, or leave it out for all",
        );
    }
    if table.max_invocations == Some(0) {
        return place.wrong(
            &format!("{at}.max_invocations"),
            "at least one invocation is needed; leave it out for any number",
        );
    }
    spec.cpu = table.cpu;
    spec.max_invocations = table.max_invocations;
    spec.max_memory_growth_bytes = table.max_memory_growth.map(|size| size.as_u64());
    spec.sandbox = sandbox(place, &format!("{at}.sandbox"), table.sandbox.as_deref())?;
    if let Some(connect) = &table.connect {
        spec.connect.clone_from(connect);
    }
    spec.listen.clone_from(&table.listen);
    spec.readable = table
        .readable
        .iter()
        .map(|path| place.folder().join(path))
        .collect();
    Ok(())
}

/// A sandbox's mode, where one is given.
pub(super) fn sandbox(
    place: &Place<'_>,
    at: &str,
    text: Option<&str>,
) -> Result<Option<SandboxMode>, ConfigError> {
    match text.map(str::parse).transpose() {
        Ok(mode) => Ok(mode),
        Err(error) => place.wrong(at, format!("{error}")),
    }
}
