//! The Amazon States Language (states-language.net), as far as it runs here today: a machine of
//! one Task state that calls a function, with `Retry` and `TimeoutSeconds`. Everything else is
//! refused by name when a pipeline is loaded, never skipped.
//!
//! Definitions come from the config (through the pipeline aggregate) and are pinned in
//! `ExecutionStarted`; the execution aggregate asks here what comes next.

mod error;
mod parse;
mod retry;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde_json::{Value, json};

pub use error::AslError;
pub use retry::{JitterStrategy, Retrier};

use crate::FunctionName;

/// A state machine.
#[derive(Clone, Debug, PartialEq)]
pub struct Machine {
    /// The first state.
    pub start_at: String,
    /// How long the whole execution may take, in seconds.
    pub timeout_seconds: Option<u64>,
    /// The states by name.
    pub states: BTreeMap<String, State>,
}

/// A state.
#[derive(Clone, Debug, PartialEq)]
pub enum State {
    /// Calls a function.
    Task(TaskState),
}

/// A state that calls a function and ends the machine.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskState {
    /// The function.
    pub function: FunctionName,
    /// How long an attempt may take, in seconds.
    pub timeout_seconds: Option<u64>,
    /// What to do after which error, in order.
    pub retry: Vec<Retrier>,
}

impl Machine {
    /// Reads a definition. The error names the place in the document and what to do.
    pub fn parse(definition: &Value) -> Result<Self, AslError> {
        parse::machine(definition)
    }

    /// The machine of a pipeline that names one function: a single Task.
    pub fn of_function(function: &FunctionName) -> Value {
        json!({
            "StartAt": function.as_str(),
            "States": {
                function.as_str(): {
                    "Type": "Task",
                    "Resource": resource_of(function),
                    "End": true,
                }
            }
        })
    }

    /// The functions that it calls, each once.
    pub fn functions(&self) -> Vec<&FunctionName> {
        let mut functions: Vec<_> = self
            .states
            .values()
            .map(|State::Task(task)| &task.function)
            .collect();
        functions.sort();
        functions.dedup();
        functions
    }
}

/// The `Resource` by which a Task names a function of this ledger. It has the shape of a Lambda
/// ARN, so that definitions go to AWS and back with nothing but the account changed.
pub fn resource_of(function: &FunctionName) -> String {
    format!("arn:aws:lambda:us-east-1:000000000000:function:{function}")
}
