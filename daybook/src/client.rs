//! The client of a running server: GraphQL questions and `/v1` commands.

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::actor;

/// A client of one server.
pub(crate) struct Client {
    server: String,
    http: reqwest::Client,
}

impl Client {
    pub(crate) fn new(server: &str) -> Self {
        Self {
            server: server.trim_end_matches('/').to_owned(),
            http: reqwest::Client::new(),
        }
    }

    /// Asks; the answer is the `data` of the response. Errors of the query are errors here.
    pub(crate) async fn query(&self, query: &str, variables: Value) -> Result<Value> {
        let body = json!({ "query": query, "variables": variables });
        let response = self
            .http
            .post(format!("{}/graphql", self.server))
            .header(
                "accept",
                "application/graphql-response+json, application/json",
            )
            .json(&body)
            .send()
            .await
            .with_context(|| self.unreachable())?;
        // Refused queries have a status of their own and still say why as GraphQL does; what is
        // not JSON comes from before GraphQL, and its text says why.
        let (status, json) = (response.status(), is_json(&response));
        let text = response.text().await.context("the answer broke off")?;
        let mut answer: Value = match serde_json::from_str(&text) {
            Ok(answer) if json => answer,
            _ => bail!("the server answered {status}: {}", text.trim()),
        };
        if let Some(errors) = answer["errors"]
            .as_array()
            .filter(|errors| !errors.is_empty())
        {
            let messages: Vec<_> = errors
                .iter()
                .filter_map(|error| error["message"].as_str())
                .collect();
            bail!("{}", messages.join("; "));
        }
        match answer["data"].take() {
            Value::Null => bail!("the server answered {status}: {}", text.trim()),
            data => Ok(data),
        }
    }

    /// Sends a command.
    pub(crate) async fn post(&self, path: &str, body: Value) -> Result<Value> {
        let response = self
            .http
            .post(format!("{}{path}", self.server))
            .header("daybook-actor", actor::name())
            .json(&body)
            .send()
            .await
            .with_context(|| self.unreachable())?;
        Self::answer(response).await
    }

    /// Fetches a document.
    pub(crate) async fn get(&self, path: &str) -> Result<Value> {
        Self::answer(self.stream(path).await?).await
    }

    /// Fetches a body that may be long; its status is checked.
    pub(crate) async fn stream(&self, path: &str) -> Result<reqwest::Response> {
        let response = self
            .http
            .get(format!("{}{path}", self.server))
            .send()
            .await
            .with_context(|| self.unreachable())?;
        if response.status().is_success() {
            return Ok(response);
        }
        Self::answer(response).await?;
        bail!("{path} was refused")
    }

    async fn answer(response: reqwest::Response) -> Result<Value> {
        let status = response.status();
        let text = response.text().await.context("the answer broke off")?;
        let body: Value = serde_json::from_str(&text).unwrap_or(Value::Null);
        if status.is_success() {
            return Ok(body);
        }
        match body["detail"].as_str().or(body["error"].as_str()) {
            Some(detail) => bail!("{detail}"),
            None => bail!("the server answered {status}: {}", text.trim()),
        }
    }

    fn unreachable(&self) -> String {
        format!(
            "no daybook server answers at {}; start one with `daybook serve`, or name another \
             with --server or DAYBOOK_SERVER",
            self.server
        )
    }
}

/// Whether the answer says that it is JSON, also in a special form (`application/problem+json`).
fn is_json(response: &reqwest::Response) -> bool {
    let header = response.headers().get(reqwest::header::CONTENT_TYPE);
    let named = header.and_then(|name| name.to_str().ok()).unwrap_or("");
    let kind = named.split(';').next().unwrap_or("").trim();
    kind.ends_with("/json") || kind.ends_with("+json")
}
