//! The figures in the logs of a Lambda function: its `REPORT` line, where the tail of the logs
//! that AWS gives still has it.

/// What a `REPORT` line says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Figures {
    /// How long the handler took.
    pub(crate) duration_ms: Option<u64>,
    /// How long its process took to start, if this call waited for it.
    pub(crate) init_ms: Option<u64>,
    /// What is billed.
    pub(crate) billed_ms: Option<u64>,
    /// The memory that the function has, for which it is billed.
    pub(crate) memory_bytes: Option<u64>,
    /// The memory high-water mark.
    pub(crate) max_memory_bytes: Option<u64>,
}

impl Figures {
    /// Reads the last `REPORT` line. Its fields are set apart by tabs, in no fixed order.
    pub(crate) fn from_logs(logs: &str) -> Self {
        let mut figures = Self::default();
        let report = logs.lines().rfind(|line| line.starts_with("REPORT "));
        for field in report.unwrap_or_default().split('\t') {
            let Some((name, value)) = field.split_once(": ") else {
                continue;
            };
            match name.trim() {
                "Duration" => figures.duration_ms = number(value, "ms"),
                "Init Duration" => figures.init_ms = number(value, "ms"),
                "Billed Duration" => figures.billed_ms = number(value, "ms"),
                "Memory Size" => figures.memory_bytes = megabytes(value),
                "Max Memory Used" => figures.max_memory_bytes = megabytes(value),
                _ => {}
            }
        }
        figures
    }
}

fn megabytes(value: &str) -> Option<u64> {
    number(value, "MB").map(|megabytes| megabytes.saturating_mul(1 << 20))
}

/// `12.34 ms` as whole units; what has begun counts as whole.
fn number(value: &str, unit: &str) -> Option<u64> {
    let digits = value.trim().strip_suffix(unit)?.trim_end();
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let more = fraction.bytes().any(|digit| digit != b'0');
    whole.parse::<u64>().ok()?.checked_add(u64::from(more))
}

#[cfg(test)]
mod tests;
