//! A thread for what has to be done, but not before anything that somebody waits for: it has a
//! lower priority than all others of the process.
//!
//! Folding takes about as much of a processor as recording does. Where both compete for it the
//! read model falls behind for a moment, and commands are acknowledged as fast as ever; with
//! processors to spare it makes no difference.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc::{Sender, channel};
use std::thread;

use tokio::sync::oneshot;

/// What `nice` makes of it: a third of the weight of a thread of usual priority.
const NICENESS: i32 = 5;

type Work = Box<dyn FnOnce() + Send>;

/// Does one piece of work after the other. It ends with this.
pub(crate) struct Background(Sender<Work>);

impl Background {
    pub(crate) fn start() -> io::Result<Self> {
        let (work, waiting) = channel::<Work>();
        let run = move || {
            give_way();
            waiting.into_iter().for_each(|work| work());
        };
        let name = "projector".to_owned();
        thread::Builder::new().name(name).spawn(run)?;
        Ok(Self(work))
    }

    /// Has work done. If this is dropped meanwhile, the work goes on to its end.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> T {
        let (done, result) = oneshot::channel();
        let work = move || {
            // Nobody waits any more where it cannot be sent.
            let _ = done.send(catch_unwind(AssertUnwindSafe(work)));
        };
        let _ = self.0.send(Box::new(work));
        match result.await {
            Ok(Ok(result)) => result,
            Ok(Err(panic)) => resume_unwind(panic),
            // The thread ends with this, and no panic of any work ends it.
            Err(_) => std::future::pending().await,
        }
    }
}

/// Lowers the priority of this thread. Where that is not allowed it has the usual one.
fn give_way() {
    #[cfg(target_os = "linux")]
    let _ = rustix::process::setpriority_process(None, NICENESS);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_it_does_has_a_lower_priority_than_what_waits_for_it() {
        let background = Background::start().unwrap();
        let priority = || rustix::process::getpriority_process(None).unwrap();
        let before = priority();
        assert_eq!(background.run(priority).await, (before + NICENESS).min(19));
        assert_eq!(priority(), before);
    }

    #[tokio::test]
    async fn a_panic_is_that_of_who_asked_and_the_thread_goes_on() {
        let background = std::sync::Arc::new(Background::start().unwrap());
        let other = background.clone();
        let asked = tokio::spawn(async move { other.run(|| panic!("no")).await });
        assert!(asked.await.unwrap_err().is_panic());
        assert_eq!(background.run(|| 7).await, 7);
    }
}
