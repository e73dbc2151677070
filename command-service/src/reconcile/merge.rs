//! The bucket's keys and the ledger's keys, both in order, side by side.

use std::cmp::Ordering;
use std::collections::VecDeque;

use async_trait::async_trait;
use daybook_domain::stored_object::{ListedVersion, ObjectState};
use daybook_domain::{ObjectKey, SHADOWS};
use daybook_s3_gateway::{Survey, SurveyedKey};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::Problem;
use super::known::{Known, KnownKeys};

/// How many pages of the bucket are read ahead.
const PAGES_AHEAD: usize = 2;

/// Where one of the two sides comes from, page by page; a page may be empty.
#[async_trait]
pub(crate) trait Pages<T>: Send {
    async fn next_page(&mut self) -> Result<Option<Vec<T>>, Problem>;
}

#[async_trait]
impl Pages<Known> for KnownKeys {
    async fn next_page(&mut self) -> Result<Option<Vec<Known>>, Problem> {
        KnownKeys::next_page(self).await
    }
}

/// A walk over the bucket, in a task of its own.
pub(super) struct ReadAhead {
    pages: mpsc::Receiver<Result<Vec<SurveyedKey>, Problem>>,
    _reading: AbortOnDropHandle<()>,
}

impl ReadAhead {
    pub(super) fn of(mut survey: Survey) -> Self {
        let (sender, pages) = mpsc::channel(PAGES_AHEAD);
        let reading = tokio::spawn(async move {
            loop {
                let page = match survey.next_page().await {
                    Ok(Some(page)) => Ok(page),
                    Ok(None) => return,
                    Err(error) => Err(Problem::from(error)),
                };
                let failed = page.is_err();
                if sender.send(page).await.is_err() || failed {
                    return;
                }
            }
        });
        Self {
            pages,
            _reading: AbortOnDropHandle::new(reading),
        }
    }
}

#[async_trait]
impl Pages<SurveyedKey> for ReadAhead {
    async fn next_page(&mut self) -> Result<Option<Vec<SurveyedKey>>, Problem> {
        self.pages.recv().await.transpose()
    }
}

/// A key, as the bucket and as the ledger has it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Pair {
    pub key: ObjectKey,
    /// What the bucket shows, the newest first.
    pub listed: Vec<ListedVersion>,
    /// What the ledger knows; nothing where it knows nothing.
    pub state: ObjectState,
    /// See [`Known::ours`].
    pub ours: bool,
}

/// Both sides.
pub(super) struct Merge {
    listed: Side<SurveyedKey>,
    known: Side<Known>,
}

impl Merge {
    pub(super) fn new(
        listed: Box<dyn Pages<SurveyedKey>>,
        known: impl Pages<Known> + 'static,
    ) -> Self {
        Self {
            listed: Side::new(listed),
            known: Side::new(Box::new(known)),
        }
    }

    /// The next key that at least one side has.
    pub(super) async fn next(&mut self) -> Result<Option<Pair>, Problem> {
        loop {
            let (listed, known) = (self.listed.peek().await?, self.known.peek().await?);
            let order = match (listed, known) {
                (None, None) => return Ok(None),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(listed), Some(known)) => listed.key.cmp(&known.key),
            };
            let listed = match order {
                Ordering::Greater => None,
                _ => self.listed.take(),
            };
            let known = match order {
                Ordering::Less => None,
                _ => self.known.take(),
            };
            let pair = match (listed, known) {
                (Some(listed), Some(known)) => Pair {
                    key: listed.key,
                    listed: listed.versions,
                    state: known.state,
                    ours: known.ours,
                },
                (Some(listed), None) => Pair {
                    key: listed.key,
                    listed: listed.versions,
                    state: ObjectState::default(),
                    ours: false,
                },
                (None, Some(known)) => Pair {
                    key: known.key,
                    listed: Vec::new(),
                    state: known.state,
                    ours: known.ours,
                },
                (None, None) => return Ok(None),
            };
            // What runs aside has its own place, which is no part of the bucket.
            if !pair.key.as_str().starts_with(SHADOWS) {
                return Ok(Some(pair));
            }
        }
    }
}

struct Side<T> {
    pages: Box<dyn Pages<T>>,
    page: VecDeque<T>,
    done: bool,
}

impl<T: Send> Side<T> {
    fn new(pages: Box<dyn Pages<T>>) -> Self {
        Self {
            pages,
            page: VecDeque::new(),
            done: false,
        }
    }

    async fn peek(&mut self) -> Result<Option<&T>, Problem> {
        while self.page.is_empty() && !self.done {
            match self.pages.next_page().await? {
                Some(page) => self.page = page.into(),
                None => self.done = true,
            }
        }
        Ok(self.page.front())
    }

    fn take(&mut self) -> Option<T> {
        self.page.pop_front()
    }
}

#[cfg(test)]
mod tests;
