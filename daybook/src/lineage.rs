//! The graph around an object version or an execution: what it came from, what it led to.
//!
//! Data comes from GraphQL (`inputsOf`, `outputsOf`, `readObjects`, `writtenObjects`), one request
//! for each object version; what comes out is a tree, for people and as JSON.

use std::collections::HashSet;
use std::fmt::Write as _;

use anyhow::Result;
use serde_json::{Value, json};

use crate::client::Client;
use crate::output::{plain, text};
use crate::timeline::nodes;

/// How many steps from an object to the next one are told.
const DEEPEST: usize = 12;

/// How many object versions are told in one direction; then the tree says that it was cut.
const MOST: usize = 100;

const UP: &str = "query($bucket: String!, $key: String!, $version: String) {
  object(bucket: $bucket, key: $key, versionId: $version) {
    executions: outputsOf(last: 20) { edges { node {
      id pipelineName status
      attempts { task attempt status }
      writtenObjects { task attempt bucket key versionId }
      objects: readObjects { bucket key versionId ranges { first last } }
    } } }
  }
}";

const DOWN: &str = "query($bucket: String!, $key: String!, $version: String) {
  object(bucket: $bucket, key: $key, versionId: $version) {
    executions: inputsOf(last: 20) { edges { node {
      id pipelineName status
      objects: writtenObjects { bucket key versionId }
    } } }
  }
}";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    Up,
    Down,
}

/// Adds `cameFrom` and `ledTo` to an object as GraphQL gave it.
pub(crate) async fn add_to_object(client: &Client, object: &mut Value) -> Result<()> {
    let told = json!([{
        "bucket": object["bucket"], "key": object["key"], "versionId": object["versionId"],
    }]);
    for (field, direction) in [("cameFrom", Direction::Up), ("ledTo", Direction::Down)] {
        let mut tree = Walk::new(client, direction)
            .objects(told.clone(), 0)
            .await?;
        object[field] = tree[0]["executions"].take();
    }
    Ok(())
}

/// Adds `cameFrom` and `ledTo` to an execution as GraphQL gave it with `readObjects` and
/// `writtenObjects`.
pub(crate) async fn add_to_execution(client: &Client, execution: &mut Value) -> Result<()> {
    let read = execution["readObjects"].clone();
    execution["cameFrom"] = Walk::new(client, Direction::Up).objects(read, 0).await?;
    let written = execution["writtenObjects"].clone();
    execution["ledTo"] = Walk::new(client, Direction::Down)
        .objects(written, 0)
        .await?;
    Ok(())
}

/// The trees of an object in words, a line each.
pub(crate) fn tell_object(object: &Value) -> String {
    let mut told = String::new();
    tell_executions(&object["ledTo"], Direction::Down, 0, &mut told);
    tell_executions(&object["cameFrom"], Direction::Up, 0, &mut told);
    told
}

/// The trees of an execution in words, a line each.
pub(crate) fn tell_execution(execution: &Value) -> String {
    let mut told = String::new();
    tell_objects(&execution["cameFrom"], Direction::Up, 0, &mut told);
    tell_objects(&execution["ledTo"], Direction::Down, 0, &mut told);
    told
}

/// One direction of the graph, on the way.
struct Walk<'a> {
    client: &'a Client,
    direction: Direction,
    seen: HashSet<String>,
}

impl<'a> Walk<'a> {
    fn new(client: &'a Client, direction: Direction) -> Self {
        Self {
            client,
            direction,
            seen: HashSet::new(),
        }
    }

    /// Each of the object versions with the executions beyond it.
    async fn objects(&mut self, objects: Value, depth: usize) -> Result<Value> {
        let mut told = Vec::new();
        for mut object in objects.as_array().cloned().unwrap_or_default() {
            let name = json!([object["bucket"], object["key"], object["versionId"]]).to_string();
            if !self.seen.insert(name) {
                object["again"] = json!(true);
            } else if depth >= DEEPEST || self.seen.len() > MOST {
                object["cut"] = json!(true);
            } else {
                object["executions"] = Box::pin(self.executions(&object, depth)).await?;
            }
            told.push(object);
        }
        Ok(Value::from(told))
    }

    async fn executions(&mut self, object: &Value, depth: usize) -> Result<Value> {
        let query = match self.direction {
            Direction::Up => UP,
            Direction::Down => DOWN,
        };
        let variables = json!({
            "bucket": object["bucket"], "key": object["key"], "version": object["versionId"],
        });
        let answer = self.client.query(query, variables).await?;
        let mut told = Vec::new();
        for mut execution in nodes(&answer["object"]["executions"]) {
            if self.direction == Direction::Up {
                execution["writer"] = writer(&execution, object);
            }
            let objects = execution["objects"].take();
            execution["objects"] = self.objects(objects, depth + 1).await?;
            if let Some(execution) = execution.as_object_mut() {
                execution.remove("attempts");
                execution.remove("writtenObjects");
            }
            told.push(execution);
        }
        Ok(Value::from(told))
    }
}

/// The attempt of the execution that wrote the object version.
fn writer(execution: &Value, object: &Value) -> Value {
    let list = |field: &str| execution[field].as_array().cloned().unwrap_or_default();
    let same = |one: &Value, other: &Value, fields: &[&str]| {
        fields.iter().all(|field| one[*field] == other[*field])
    };
    let written = list("writtenObjects");
    let written = written
        .iter()
        .rfind(|written| same(written, object, &["bucket", "key", "versionId"]));
    let attempt = written.and_then(|written| {
        list("attempts")
            .into_iter()
            .find(|attempt| same(attempt, written, &["task", "attempt"]))
    });
    attempt.unwrap_or_default()
}

fn tell_executions(executions: &Value, direction: Direction, depth: usize, told: &mut String) {
    for execution in executions.as_array().into_iter().flatten() {
        let verb = match direction {
            Direction::Up => "written",
            Direction::Down => "read",
        };
        let _ = write!(
            told,
            "\n{:indent$}{verb} by execution {} of pipeline {}  {}",
            "",
            text(&execution["id"]),
            text(&execution["pipelineName"]),
            text(&execution["status"]),
            indent = 2 * depth,
        );
        let writer = &execution["writer"];
        if writer["status"].is_string() && writer["status"] != "SUCCEEDED" {
            let (attempt, status) = (text(&writer["attempt"]), text(&writer["status"]));
            let _ = write!(told, " (by attempt {attempt}, which is {status})");
        }
        tell_objects(&execution["objects"], direction, depth + 1, told);
    }
}

fn tell_objects(objects: &Value, direction: Direction, depth: usize, told: &mut String) {
    for object in objects.as_array().into_iter().flatten() {
        let verb = match direction {
            Direction::Up => "read",
            Direction::Down => "wrote",
        };
        let _ = write!(
            told,
            "\n{:indent$}{verb} s3://{}/{}{}",
            "",
            text(&object["bucket"]),
            plain(&text(&object["key"])),
            ranges(object),
            indent = 2 * depth,
        );
        if object["again"] == true {
            told.push_str(" (told above)");
        } else if object["cut"] == true {
            told.push_str(" (and so on; ask for this one to see more)");
        }
        tell_executions(&object["executions"], direction, depth + 1, told);
    }
}

/// The part of an object that was read, in words; nothing for the whole.
pub(crate) fn ranges(object: &Value) -> String {
    let Some(ranges) = object["ranges"].as_array() else {
        return String::new();
    };
    if ranges.is_empty() {
        return " (its metadata)".to_owned();
    }
    let ranges: Vec<String> = ranges
        .iter()
        .map(|range| format!("{}-{}", text(&range["first"]), text(&range["last"])))
        .collect();
    format!(" (bytes {})", ranges.join(", "))
}

#[cfg(test)]
mod tests;
