//! The contract of [`EventLog`] as small named cases that every adapter runs.
//!
//! An adapter's test file says how to open a log ([`Harness`]) and starts them all:
//!
//! ```ignore
//! daybook_event_store::conformance_suite!(MyHarness::new());
//! ```
//!
//! Each case gets an empty log of its own. Where a case waits, it waits for a condition, and gives
//! up only after [`fixture::PATIENCE`].

#![allow(
    clippy::unwrap_used,
    reason = "the cases are tests, a panic is how they fail"
)]

pub mod appending;
pub mod fixture;
pub mod importing;
pub mod newest;
pub mod racing;
pub mod reading;
pub mod recording;
pub mod repeating;
pub mod restarting;
pub mod sharing;
pub mod subscribing;

use std::sync::Arc;

use async_trait::async_trait;
use futures::future::BoxFuture;

use crate::EventLog;

/// How the cases get at an adapter.
#[async_trait]
pub trait Harness: Send {
    /// An empty log. It is asked once for each case.
    async fn open(&mut self) -> Arc<dyn EventLog>;

    /// Shuts the log down and opens the same one again; `None` where the adapter keeps nothing.
    async fn reopen(&mut self, log: Arc<dyn EventLog>) -> Option<Arc<dyn EventLog>>;

    /// Whether positions are 1, 2, 3 and so on. If not, they only grow.
    fn contiguous(&self) -> bool {
        true
    }
}

/// Makes one test of each case. The expression makes a [`Harness`]; it is evaluated for each test.
#[macro_export]
macro_rules! conformance_suite {
    ($harness:expr) => {
        $crate::conformance_suite!(@all { $harness });
    };
    // The one list of all cases. What is made of each is up to the arms of `@cases`.
    (@all $harness:tt) => {
        $crate::conformance_suite!(@cases $harness, appending:
            an_append_tells_version_and_position,
            no_stream_on_an_existing_one_conflicts,
            exact_on_a_missing_stream_conflicts,
            exact_behind_the_stream_conflicts,
            exact_ahead_of_the_stream_conflicts,
            a_conflict_adds_nothing,
            an_empty_append_is_invalid,
            an_append_at_the_limit_is_taken,
            an_append_over_the_limit_is_invalid,
            the_greatest_version_is_no_trouble,
            streams_do_not_touch_each_other,
        );
        $crate::conformance_suite!(@cases $harness, repeating:
            a_whole_repeat_succeeds_and_adds_nothing,
            a_repeat_succeeds_after_later_events,
            a_repeat_inside_a_stream_succeeds,
            a_repeat_in_the_same_call_succeeds,
            a_repeat_with_fewer_events_succeeds,
            a_repeat_with_more_events_conflicts,
            other_ids_conflict,
            one_other_id_among_the_same_conflicts,
            the_same_ids_in_another_order_conflict,
            the_same_ids_at_another_version_conflict,
            a_repeat_by_racing_callers_adds_nothing,
        );
        $crate::conformance_suite!(@cases $harness, sharing:
            no_appends_give_no_results,
            each_append_gets_its_own_result,
            two_appends_to_one_stream_apply_in_order,
            a_conflict_in_between_leaves_the_others,
            many_appends_in_one_call,
        );
        $crate::conformance_suite!(@cases $harness, reading:
            an_empty_log_reads_as_empty,
            positions_grow_in_order_of_appends,
            read_all_pages_without_gap_or_repeat,
            read_all_beyond_the_end_is_empty,
            read_stream_forward,
            read_stream_backward,
            read_stream_beyond_its_end,
            read_stream_of_a_missing_stream_is_empty,
            read_stream_pages_both_ways,
            a_limit_of_nothing_gives_nothing,
            a_limit_without_bound_gives_all,
            head_is_the_newest_position,
            stream_names_are_kept_apart_exactly,
        );
        $crate::conformance_suite!(@cases $harness, newest:
            newest_of_each_stream_by_name,
            newest_of_streams_with_a_prefix,
            newest_of_streams_after_a_name,
            newest_of_streams_is_of_one_moment,
        );
        $crate::conformance_suite!(@cases $harness, recording:
            every_field_comes_back,
            data_comes_back_byte_by_byte,
            metadata_comes_back,
            empty_metadata_comes_back,
            salts_are_there_and_differ,
            both_reads_give_the_same_events,
            recorded_at_never_decreases,
            recorded_at_has_whole_microseconds,
        );
        $crate::conformance_suite!(@cases $harness, subscribing:
            catches_up_then_lives,
            starts_after_its_position,
            ahead_of_the_log_it_stops,
            batches_keep_their_limit,
            several_subscribers_see_one_order,
            neither_misses_nor_repeats_under_concurrent_appends,
            a_cancelled_wait_loses_nothing,
            a_dropped_subscriber_harms_nobody,
            as_a_stream_of_events,
        );
        $crate::conformance_suite!(@cases $harness, restarting:
            everything_is_still_there,
            positions_and_versions_continue,
            repeats_are_still_known,
            recorded_at_never_decreases_over_a_restart,
            a_subscription_resumes,
        );
        $crate::conformance_suite!(@cases $harness, racing:
            one_of_many_new_streams_wins,
            writers_that_retry_all_get_through,
            positions_are_unique_and_streams_whole,
        );
        $crate::conformance_suite!(@cases $harness, importing:
            imported_events_are_kept_as_they_are,
            an_import_goes_on_where_the_last_one_ended,
            appends_go_on_after_an_import,
            an_import_that_does_not_fit_is_refused_whole,
            subscribers_see_imported_events,
        );
    };
    (@cases { each to $add:ident }, $group:ident: $($case:ident),+ $(,)?) => {
        $($add($crate::conformance::Case {
            name: concat!(stringify!($group), "::", stringify!($case)),
            run: |harness| Box::pin($crate::conformance::$group::$case(harness)),
        });)+
    };
    (@cases { $harness:expr }, $group:ident: $($case:ident),+ $(,)?) => {
        mod $group {
            #[allow(unused_imports, reason = "the harness may need no name from above")]
            use super::*;

            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    let mut harness = { $harness };
                    $crate::conformance::$group::$case(&mut harness).await;
                }
            )+
        }
    };
}

/// A case by its name, for programs that run them without a test runner.
pub struct Case {
    /// Its group and its function.
    pub name: &'static str,
    /// Runs it; a panic is how it fails.
    pub run: for<'a> fn(&'a mut dyn Harness) -> BoxFuture<'a, ()>,
}

/// Every case, in the order in which they are written.
pub fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut add = |case| cases.push(case);
    conformance_suite!(@all { each to add });
    cases
}

#[cfg(test)]
mod tests;
