//! The names of errors that the host gives where the function gave none. Where AWS Lambda or its
//! open-source Runtime Interface Emulator has a name, it is that one.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::invocation::OutcomeResult;
use crate::meter::Excess;
use crate::runtime_api::RESPONSE_LIMIT_BYTES;

/// The process exited during an invocation (name from AWS Lambda).
pub const RUNTIME_EXIT: &str = "Runtime.ExitError";
/// A signal ended the process during an invocation, such as a segmentation fault. AWS Lambda reports
/// this as `Runtime.ExitError` too; it calls the same of an extension `Extension.Crash`.
pub const RUNTIME_CRASH: &str = "Runtime.Crash";
/// The process ended before it was ready, without saying why. AWS Lambda reports this as
/// `Runtime.ExitError` too; it has its own name here because the code never saw the event.
pub const INIT_ERROR: &str = "Runtime.InitError";
/// The process was not ready in time (AWS Lambda: `Sandbox.Timedout` in the init phase).
pub const INIT_TIMEOUT: &str = "Runtime.InitTimeout";
/// The program could not be started (name from AWS Lambda).
pub const INVALID_ENTRYPOINT: &str = "Runtime.InvalidEntrypoint";
/// The response is not JSON. AWS Lambda hands such a response on, and a state machine cannot
/// use it; here it is an error with this name.
pub const INVALID_RESPONSE: &str = "Runtime.InvalidResponse";
/// The response broke off (name from AWS Lambda, which has it for streamed ones).
pub const TRUNCATED_RESPONSE: &str = "Runtime.TruncatedResponse";
/// The response is larger than AWS Lambda allows (name from AWS Lambda).
pub const RESPONSE_TOO_LARGE: &str = "Function.ResponseSizeTooLarge";
/// The event is larger than AWS Lambda allows (the exception of `Invoke`, as Step Functions
/// prefixes it).
pub const PAYLOAD_TOO_LARGE: &str = "Lambda.RequestTooLargeException";
/// The process and what it started had more memory in use than the function may (name from AWS
/// Lambda).
pub const OUT_OF_MEMORY: &str = "Runtime.OutOfMemory";
/// Its temporary folder held more than it may. AWS Lambda lets writes fail instead.
pub const OUT_OF_DISK: &str = "Runtime.OutOfDisk";
/// It started more processes and threads than it may. AWS Lambda lets starts fail instead.
pub const TOO_MANY_PROCESSES: &str = "Runtime.TooManyProcesses";
/// The function failed without naming its error (name from the Runtime Interface Emulator).
pub const FUNCTION_UNKNOWN: &str = "Function.Unknown";

/// Before the status of an HTTP answer that is no success (names from the HTTP Task of AWS Step
/// Functions).
pub const HTTP_STATUS: &str = "States.Http.StatusCode.";
/// There was no HTTP connection, or it broke before there was a whole answer (name as above).
pub const HTTP_SOCKET: &str = "States.Http.Socket";
/// The address of a remote function may not be called. Correct its URL, or allow private addresses.
pub const ADDRESS_REFUSED: &str = "Daybook.AddressRefused";
/// A function that does not pass the gateway was to run as a shadow.
pub const SHADOW_REFUSED: &str = "Daybook.ShadowRefused";
/// Before the name of what the service AWS Lambda refused or could not do (as AWS Step Functions
/// prefixes it).
pub const LAMBDA: &str = "Lambda.";
/// AWS Lambda was not reached, or there are no credentials (name from AWS Step Functions).
pub const LAMBDA_CLIENT: &str = "Lambda.SdkClientException";
/// A Lambda function failed without naming its error (name from AWS Step Functions).
pub const LAMBDA_UNKNOWN: &str = "Lambda.Unknown";

/// The type inside the error document of a time-out (name from AWS Lambda).
pub(crate) const TIMED_OUT: &str = "Sandbox.Timedout";
/// Error documents that are longer than this are replaced by a shorter one; 32,768 characters is
/// what a Step Functions event keeps of a cause.
const CAUSE_LIMIT_BYTES: usize = 32 << 10;
/// How much of the message such a shorter document keeps.
const SHORT_MESSAGE_CHARS: usize = 4 << 10;

/// A failure that the host names.
pub(crate) fn failed(error: &str, message: impl Into<String>) -> OutcomeResult {
    let message: String = message.into();
    OutcomeResult::Failed {
        error: error.to_owned(),
        cause: json!({ "errorType": error, "errorMessage": message }).to_string(),
    }
}

/// What the end of a process during an invocation is called; `status` in AWS's words.
pub(crate) fn end(status: &str) -> &'static str {
    match status.starts_with("signal:") {
        true => RUNTIME_CRASH,
        false => RUNTIME_EXIT,
    }
}

/// The process ended; `status` in AWS's words (`exit status 1`).
pub(crate) fn exited(error: &str, request_id: Uuid, status: &str) -> OutcomeResult {
    let message = match status {
        "exit status 0" => {
            format!("RequestId: {request_id} Error: Runtime exited without providing a reason")
        }
        status => format!("RequestId: {request_id} Error: Runtime exited with error: {status}"),
    };
    failed(error, message)
}

/// The process was killed for having taken more than it may.
pub(crate) fn exceeded(request_id: Uuid, excess: Excess) -> OutcomeResult {
    let name = match excess {
        Excess::Memory { .. } => OUT_OF_MEMORY,
        Excess::Disk { .. } => OUT_OF_DISK,
        Excess::Processes { .. } => TOO_MANY_PROCESSES,
    };
    let message = format!(
        "RequestId: {request_id} Error: Runtime exited with error: signal: killed ({excess})"
    );
    failed(name, message)
}

/// The invocation took longer than `seconds`.
pub(crate) fn timed_out(request_id: Uuid, seconds: f64) -> OutcomeResult {
    let message =
        format!("RequestId: {request_id} Error: Task timed out after {seconds:.2} seconds");
    OutcomeResult::TimedOut {
        cause: json!({ "errorType": TIMED_OUT, "errorMessage": message }).to_string(),
    }
}

/// The answer is longer than [`RESPONSE_LIMIT_BYTES`].
pub(crate) fn answer_too_large() -> OutcomeResult {
    failed(
        RESPONSE_TOO_LARGE,
        format!(
            "Response payload size exceeded maximum allowed payload size \
             ({RESPONSE_LIMIT_BYTES} bytes)."
        ),
    )
}

/// The error document that a runtime posted, with the type from the header where the body has none.
pub(crate) fn reported(body: &[u8], header_type: Option<&str>, unnamed: &str) -> OutcomeResult {
    let document = match serde_json::from_slice(body) {
        Ok(Value::Object(document)) => document,
        _ => {
            let text = String::from_utf8_lossy(body).into_owned();
            serde_json::Map::from_iter([("errorMessage".to_owned(), Value::String(text))])
        }
    };
    let error = document
        .get("errorType")
        .and_then(Value::as_str)
        .or(header_type)
        .filter(|name| !name.is_empty())
        .unwrap_or(unnamed)
        .chars()
        .take(256)
        .collect::<String>();
    let cause = Value::Object(document.clone()).to_string();
    if cause.len() <= CAUSE_LIMIT_BYTES {
        return OutcomeResult::Failed { error, cause };
    }
    let message = document
        .get("errorMessage")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let short: String = message.chars().take(SHORT_MESSAGE_CHARS).collect();
    let cause = json!({
        "errorType": error,
        "errorMessage": short,
        "truncatedFromBytes": cause.len(),
    });
    OutcomeResult::Failed {
        error,
        cause: cause.to_string(),
    }
}
