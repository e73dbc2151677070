//! Limits that the library does not know: fields at the root and aliases. Both let a short text
//! ask for much work, on every way in.

use std::sync::Arc;

use async_graphql::extensions::{Extension, ExtensionContext, ExtensionFactory, NextParseQuery};
use async_graphql::parser::types::{ExecutableDocument, Selection, SelectionSet};
use async_graphql::{ServerError, ServerResult, Variables};

/// The limits.
#[derive(Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) root_fields: usize,
    pub(crate) aliases: usize,
}

impl ExtensionFactory for Limits {
    fn create(&self) -> Arc<dyn Extension> {
        Arc::new(*self)
    }
}

#[async_trait::async_trait]
impl Extension for Limits {
    async fn parse_query(
        &self,
        ctx: &ExtensionContext<'_>,
        query: &str,
        variables: &Variables,
        next: NextParseQuery<'_>,
    ) -> ServerResult<ExecutableDocument> {
        let document = next.run(ctx, query, variables).await?;
        self.check(&document)?;
        Ok(document)
    }
}

impl Limits {
    fn check(&self, document: &ExecutableDocument) -> ServerResult<()> {
        let operations = document.operations.iter().map(|(_, operation)| operation);
        let sets = operations.map(|operation| &operation.node.selection_set.node);
        let root_fields = sets
            .clone()
            .map(|set| fields_in(set, document, SPREADS_FOLLOWED))
            .max()
            .unwrap_or(0);
        if root_fields > self.root_fields {
            return Err(refused(format!(
                "the query has {root_fields} fields at its root, more than {}",
                self.root_fields
            )));
        }
        let fragments = document.fragments.values();
        let aliases: usize = sets
            .chain(fragments.map(|fragment| &fragment.node.selection_set.node))
            .map(aliases_in)
            .sum();
        if aliases > self.aliases {
            return Err(refused(format!(
                "the query has {aliases} aliases, more than {}",
                self.aliases
            )));
        }
        Ok(())
    }
}

/// How deep fragments at the root may spread others; a deeper one
/// counts as one field.
const SPREADS_FOLLOWED: usize = 4;

/// The fields of a selection, those of its fragments included.
fn fields_in(set: &SelectionSet, document: &ExecutableDocument, spreads: usize) -> usize {
    set.items
        .iter()
        .map(|item| match &item.node {
            Selection::Field(_) => 1,
            Selection::InlineFragment(fragment) => {
                fields_in(&fragment.node.selection_set.node, document, spreads)
            }
            Selection::FragmentSpread(spread) => {
                let fragment = document.fragments.get(&spread.node.fragment_name.node);
                match (fragment, spreads.checked_sub(1)) {
                    (Some(fragment), Some(spreads)) => {
                        fields_in(&fragment.node.selection_set.node, document, spreads)
                    }
                    _ => 1,
                }
            }
        })
        .sum()
}

/// The parser has bounded the nesting already.
fn aliases_in(set: &SelectionSet) -> usize {
    set.items
        .iter()
        .map(|item| match &item.node {
            Selection::Field(field) => {
                usize::from(field.node.alias.is_some()) + aliases_in(&field.node.selection_set.node)
            }
            Selection::InlineFragment(fragment) => aliases_in(&fragment.node.selection_set.node),
            Selection::FragmentSpread(_) => 0,
        })
        .sum()
}

fn refused(message: String) -> ServerError {
    ServerError::new(message, None)
}
