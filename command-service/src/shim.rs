//! The generic shim that makes any aggregate of the domain a [`cqrs_es::Aggregate`], executed by
//! [`cqrs_es::CqrsFramework`].
//!
//! Commands carry their [`Context`]; the framework's event sink applies each event at once, so that
//! after handling the aggregate is the state after its own events.

use cqrs_es::DomainEvent;
use cqrs_es::event_sink::EventSink;
use daybook_domain::{Aggregate, Context, Event};
use serde::{Deserialize, Serialize};

/// An aggregate of the domain, as `cqrs-es` wants it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(transparent, bound = "")]
pub(crate) struct Root<A: Aggregate>(pub(crate) A);

/// An event of the domain, as `cqrs-es` wants it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent, bound = "")]
pub(crate) struct Fact<E: Event>(pub(crate) E);

impl<E: Event> DomainEvent for Fact<E> {
    fn event_type(&self) -> String {
        self.0.event_type().to_owned()
    }

    fn event_version(&self) -> String {
        self.0.schema_version().to_string()
    }
}

impl<A: Aggregate> cqrs_es::Aggregate for Root<A> {
    const TYPE: &'static str = A::NAME;
    type Command = (A::Command, Context);
    type Event = Fact<A::Event>;
    type Error = A::Error;
    type Services = ();

    async fn handle(
        &mut self,
        (command, context): Self::Command,
        (): &(),
        sink: &EventSink<Self>,
    ) -> Result<(), A::Error> {
        for event in self.0.decide(command, &context)? {
            sink.write(Fact(event), self).await;
        }
        Ok(())
    }

    fn apply(&mut self, event: Self::Event) {
        self.0 = std::mem::take(&mut self.0).evolve(&event.0);
    }
}
