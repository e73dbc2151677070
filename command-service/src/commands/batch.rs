//! Many commands on many streams at once, for those who bring facts by the thousand: the appends of
//! a batch go to the log together, and a stream that is not known is taken to be new.
//!
//! A wrong guess costs one refused append: the log checks that the stream does not exist. Such a
//! command, and one that would lead to nothing on a new stream, then goes the way of
//! [`Ledger::execute`], which reads the stream. So does everything else that does not go smoothly.

use std::collections::HashSet;

use cqrs_es::AggregateError;
use daybook_event_store::{Append, AppendError, Appended, NewEvent, StreamName, StreamVersion};
use futures::future::join_all;

use super::store::{MAX_REPEATS, encode};
use super::{CommandError, Executed, Kept, Ledger, Origin};
use crate::clock;

/// A command on a stream.
#[derive(Clone, Debug)]
pub(crate) struct Proposal<A: Kept> {
    /// The stream.
    pub stream: String,
    /// The command.
    pub command: A::Command,
    /// Where it comes from. Its id must not be that of an earlier command: a stream that holds its
    /// events would pass for a new one.
    pub origin: Origin,
}

/// What was decided and is to be appended.
struct Decided<A: Kept> {
    state: A,
    events: Vec<A::Event>,
    version: Option<StreamVersion>,
}

/// What came of a command, if it could be executed.
pub(crate) type Outcome<A> =
    Result<Executed<A>, CommandError<<A as daybook_domain::Aggregate>::Error>>;

impl Ledger {
    /// Executes the first command on a stream, as far as the caller knows.
    pub(crate) async fn execute_first<A: Kept>(
        &self,
        stream: String,
        command: A::Command,
        origin: Origin,
    ) -> Outcome<A> {
        let proposal = Proposal {
            stream,
            command,
            origin,
        };
        let mut results = self.execute_round(vec![(0, proposal)]).await;
        match results.pop() {
            Some((_, result)) => result,
            None => Err(CommandError::incomplete()),
        }
    }

    /// Executes commands; one result for each, in their order. What is `Ok` is on disk. Those on
    /// different streams go together, those on one stream one after the other.
    pub(crate) async fn execute_each<A: Kept>(
        &self,
        proposals: Vec<Proposal<A>>,
    ) -> Vec<Outcome<A>> {
        let mut results: Vec<Option<Outcome<A>>> = proposals.iter().map(|_| None).collect();
        let mut waiting: Vec<(usize, Proposal<A>)> = proposals.into_iter().enumerate().collect();
        while !waiting.is_empty() {
            let mut streams = HashSet::new();
            let first_of_stream =
                |(_, proposal): &(usize, Proposal<A>)| streams.insert(proposal.stream.clone());
            let (round, later) = waiting.into_iter().partition(first_of_stream);
            waiting = later;
            for (place, result) in self.execute_round(round).await {
                results[place] = Some(result);
            }
        }
        results.into_iter().flatten().collect()
    }

    /// At most one command on each stream.
    async fn execute_round<A: Kept>(
        &self,
        round: Vec<(usize, Proposal<A>)>,
    ) -> Vec<(usize, Outcome<A>)> {
        let mut done = Vec::with_capacity(round.len());
        let (mut appends, mut decided, mut read_first) = (Vec::new(), Vec::new(), Vec::new());
        for (place, proposal) in round {
            let Some(decision) = self.decide_unread(&proposal) else {
                read_first.push((place, proposal));
                continue;
            };
            match self.encoded(&proposal, &decision.events).await {
                Err(error) => done.push((place, Err(error.into()))),
                Ok(events) => {
                    appends.push(Append {
                        stream: StreamName::new(proposal.stream.as_str()),
                        expected: decision.version.into(),
                        events,
                    });
                    decided.push((place, proposal, decision));
                }
            }
        }
        if !appends.is_empty() {
            let appended = self.append_until_known(appends).await;
            for ((place, proposal, decision), appended) in decided.into_iter().zip(appended) {
                match appended {
                    Ok(appended) => {
                        done.push((place, Ok(self.kept(&proposal, decision, appended))))
                    }
                    // It was not new, or what was known of it is old; or whether it is on disk is
                    // not known: the same command, asked again, finds out.
                    Err(_) => {
                        A::cache(self).forget(&proposal.stream);
                        read_first.push((place, proposal));
                    }
                }
            }
        }
        let reading = read_first.into_iter().map(|(place, proposal)| async move {
            let Proposal {
                stream,
                command,
                origin,
            } = proposal;
            (place, self.execute::<A>(&stream, command, &origin).await)
        });
        done.extend(join_all(reading).await);
        done
    }

    /// Appends, and asks again with the same ids where it is not known what came of it.
    async fn append_until_known(&self, appends: Vec<Append>) -> Vec<Result<Appended, AppendError>> {
        let mut results = self.log().append_each(appends.clone()).await;
        for _ in 0..MAX_REPEATS {
            let unknown = |result: &Result<_, _>| matches!(result, Err(AppendError::Unknown(_)));
            let places: Vec<usize> = (0..results.len())
                .filter(|place| unknown(&results[*place]))
                .collect();
            if places.is_empty() {
                break;
            }
            let again = places.iter().map(|place| appends[*place].clone());
            let again = self.log().append_each(again.collect()).await;
            for (place, result) in places.into_iter().zip(again) {
                results[place] = result;
            }
        }
        results
    }

    fn kept<A: Kept>(
        &self,
        proposal: &Proposal<A>,
        decision: Decided<A>,
        appended: Appended,
    ) -> Executed<A> {
        let Decided { state, events, .. } = decision;
        A::cache(self).put(&proposal.stream, state.clone(), appended.version);
        Executed {
            events,
            state,
            position: Some(appended.position),
        }
    }

    async fn encoded<A: Kept>(
        &self,
        proposal: &Proposal<A>,
        events: &[A::Event],
    ) -> Result<Vec<NewEvent>, AggregateError<A::Error>> {
        encode(self, &proposal.stream, &proposal.origin, events).await
    }

    /// What the command leads to by what is known without reading; `None` where that is no answer.
    fn decide_unread<A: Kept>(&self, proposal: &Proposal<A>) -> Option<Decided<A>> {
        let kept = A::cache(self).get(&proposal.stream);
        let (state, version) = match kept {
            Some((state, version)) => (state, Some(version)),
            None => (A::default(), None),
        };
        let events = state
            .decide(proposal.command.clone(), &clock::context())
            .ok()?;
        let state = events
            .iter()
            .fold(state, |state, event| state.evolve(event));
        (!events.is_empty()).then_some(Decided {
            state,
            events,
            version,
        })
    }
}
