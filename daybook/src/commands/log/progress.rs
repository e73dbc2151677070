//! How far a walk through a log is: a bar on a terminal, a line now and then otherwise.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use bytesize::ByteSize;
use daybook_event_store::{Progress, Step};
use indicatif::{ProgressBar, ProgressStyle};

/// How often a line is written where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(5);

const TEMPLATE: &str = "{msg:<18} {bar:30} position {pos} of {len}  {per_sec}  {prefix}";

/// Tells people how far it is.
pub(super) struct Told {
    bar: Option<ProgressBar>,
    step: Option<Step>,
    begun: Instant,
    told: Instant,
}

impl Told {
    pub(super) fn new() -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::no_length();
            if let Ok(style) = ProgressStyle::with_template(TEMPLATE) {
                bar.set_style(style);
            }
            bar
        });
        let now = Instant::now();
        Self {
            bar,
            step: None,
            begun: now,
            told: now,
        }
    }

    pub(super) fn at(&mut self, progress: &Progress) {
        if self.step.replace(progress.step) != Some(progress.step) {
            self.begin(progress);
        }
        let bytes = ByteSize(progress.bytes).display().iec();
        if let Some(bar) = &self.bar {
            bar.set_length(progress.end.0);
            bar.set_position(progress.position.0);
            bar.set_prefix(bytes.to_string());
        } else if self.told.elapsed() >= LINE_EVERY {
            self.told = Instant::now();
            let rate = progress.events as f64 / self.begun.elapsed().as_secs_f64();
            eprintln!(
                "{}: {} events, {bytes}, {rate:.0} events/s, position {} of {}",
                name(progress.step),
                progress.events,
                progress.position,
                progress.end
            );
        }
    }

    pub(super) fn done(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }

    fn begin(&mut self, progress: &Progress) {
        self.begun = Instant::now();
        self.told = self.begun;
        let name = name(progress.step);
        match &self.bar {
            Some(bar) => {
                bar.reset();
                bar.set_message(name);
            }
            None => eprintln!("{name} up to position {}", progress.end),
        }
    }
}

fn name(step: Step) -> &'static str {
    match step {
        Step::Checking => "checking",
        Step::Copying => "copying",
        Step::ReadingSource => "reading the source",
        Step::ReadingTarget => "reading the target",
    }
}
