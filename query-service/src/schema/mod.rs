//! The GraphQL schema. Its SDL is in `query-service/schema.graphql`; a test fails when they
//! differ.

mod catalog;
mod enums;
mod event;
mod execution;
mod ledger;
mod limits;
mod object;
mod paging;
mod query;
mod reconcile;
mod scalars;
mod statistics;
mod subscription;

use std::sync::Arc;

use async_graphql::{EmptyMutation, Schema};

use crate::config::QueryConfig;
use crate::state::State;

pub(crate) use query::Query;
pub(crate) use scalars::rfc3339;
pub(crate) use subscription::Subscription;

/// The schema with its data.
pub(crate) type DaybookSchema = Schema<Query, EmptyMutation, Subscription>;

/// Builds the schema over the data.
pub(crate) fn build(state: Arc<State>) -> DaybookSchema {
    let config = state.config.clone();
    builder(&config).data(state).finish()
}

/// The schema in GraphQL's definition language.
pub fn sdl() -> String {
    builder(&QueryConfig::new("")).finish().sdl()
}

fn builder(
    config: &QueryConfig,
) -> async_graphql::SchemaBuilder<Query, EmptyMutation, Subscription> {
    Schema::build(Query, EmptyMutation, Subscription)
        .limit_depth(config.max_depth)
        .limit_complexity(config.max_complexity)
        .extension(limits::Limits {
            root_fields: config.max_root_fields,
            aliases: config.max_aliases,
        })
}
