//! Where a step stands in its trace (W3C Trace Context, "traceparent").
//!
//! The trace *is* the story: its id is the correlation id that all events of a story share, from the
//! first write to the last output. The spans' ids follow from the events and executions that they
//! tell of, so nobody has to hand them on, and every process computes the same.

use std::fmt;
use std::str::FromStr;

use daybook_domain::ExecutionId;
use uuid::Uuid;

/// A span and the trace that it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TraceContext {
    pub trace: [u8; 16],
    pub span: [u8; 8],
}

/// A text that is no `traceparent`. It is ignored, as the specification asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoTraceparent;

impl FromStr for TraceContext {
    type Err = NoTraceparent;

    fn from_str(text: &str) -> Result<Self, NoTraceparent> {
        let mut parts = text.trim().split('-');
        let (Some(version), Some(trace), Some(span), Some(flags)) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(NoTraceparent);
        };
        // Later versions may have more parts; this one has none.
        let known = version.len() == 2 && version != "ff" && flags.len() == 2;
        let lower = |text: &str| !text.bytes().any(|byte| byte.is_ascii_uppercase());
        if !known || (version == "00" && parts.next().is_some()) || !lower(text.trim()) {
            return Err(NoTraceparent);
        }
        let mut context = Self {
            trace: [0; 16],
            span: [0; 8],
        };
        for text in [version, flags] {
            hex::decode_to_slice(text, &mut [0; 1]).map_err(|_| NoTraceparent)?;
        }
        hex::decode_to_slice(trace, &mut context.trace).map_err(|_| NoTraceparent)?;
        hex::decode_to_slice(span, &mut context.span).map_err(|_| NoTraceparent)?;
        match context.trace == [0; 16] || context.span == [0; 8] {
            true => Err(NoTraceparent),
            false => Ok(context),
        }
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (trace, span) = (hex::encode(self.trace), hex::encode(self.span));
        write!(f, "00-{trace}-{span}-01")
    }
}

/// The trace of a story.
pub(crate) fn of_story(correlation: &str) -> [u8; 16] {
    let id = Uuid::from_str(correlation)
        .unwrap_or_else(|_| Uuid::new_v5(&Uuid::NAMESPACE_OID, correlation.as_bytes()));
    id.into_bytes()
}

/// The story of a trace, under which a client's write is recorded.
pub(crate) fn story_of(trace: [u8; 16]) -> String {
    Uuid::from_bytes(trace).to_string()
}

/// The span of what an id names: its second half, which is random in all ids that are used here.
pub(crate) fn span_of(id: Uuid) -> [u8; 8] {
    let mut span = [0; 8];
    span.copy_from_slice(&id.as_bytes()[8..]);
    span
}

/// The span of an attempt.
pub(crate) fn span_of_attempt(execution: ExecutionId, task: u32, attempt: u32) -> [u8; 8] {
    span_of(Uuid::new_v5(
        &execution.0,
        format!("attempt:{task}:{attempt}").as_bytes(),
    ))
}

/// The context in which an execution's events are recorded.
pub(crate) fn of_execution(correlation: &str, execution: ExecutionId) -> TraceContext {
    TraceContext {
        trace: of_story(correlation),
        span: span_of(execution.0),
    }
}

/// The context that an attempt hands to its function.
pub(crate) fn of_attempt(
    correlation: &str,
    execution: ExecutionId,
    task: u32,
    attempt: u32,
) -> TraceContext {
    TraceContext {
        trace: of_story(correlation),
        span: span_of_attempt(execution, task, attempt),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_traceparent_is_read_and_written() {
        let text = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let context: TraceContext = text.parse().unwrap();
        assert_eq!(context.to_string(), text);
        // A later version may say more.
        let later = "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00-more";
        assert_eq!(later.parse(), Ok(context));
    }

    #[test]
    fn what_is_none_is_ignored() {
        for text in [
            "",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "0x-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319-b7ad6b7169203331-01",
        ] {
            assert_eq!(text.parse::<TraceContext>(), Err(NoTraceparent), "{text}");
        }
    }

    #[test]
    fn a_trace_and_its_story_are_one() {
        let trace = *b"0123456789abcdef";
        assert_eq!(of_story(&story_of(trace)), trace);
        assert_eq!(of_story("no uuid"), of_story("no uuid"));
    }
}
