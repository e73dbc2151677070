//! `/graphql/ws`: the protocol `graphql-transport-ws`.

use std::time::Duration;

use async_graphql::http::{WebSocket as Protocol, WebSocketProtocols, WsMessage};
use axum::extract::State;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use futures::{SinkExt, StreamExt};

use super::Web;
use crate::config::MAX_WS_MESSAGE_BYTES;

const PROTOCOL: &str = "graphql-transport-ws";
/// A client that says nothing for so long, not even a ping, is gone or of no use.
const SILENCE: Duration = Duration::from_secs(30 * 60);
/// How long a message may wait for a client to take it.
const SEND_TIMEOUT: Duration = Duration::from_secs(30);

/// Opens the socket.
pub(super) async fn upgrade(State(web): State<Web>, socket: WebSocketUpgrade) -> Response {
    let socket = socket
        .protocols([PROTOCOL])
        .max_message_size(MAX_WS_MESSAGE_BYTES);
    if socket.selected_protocol().is_none() {
        let message = format!("this socket speaks the subprotocol {PROTOCOL}");
        return (StatusCode::BAD_REQUEST, message).into_response();
    }
    socket.on_upgrade(move |socket| serve(web, socket))
}

async fn serve(web: Web, socket: WebSocket) {
    let (mut sink, stream) = socket.split();
    let texts = stream
        .take_while(|message| std::future::ready(message.is_ok()))
        .filter_map(|message| {
            std::future::ready(match message {
                Ok(Message::Text(text)) => Some(text.as_str().as_bytes().to_vec()),
                Ok(Message::Binary(bytes)) => Some(bytes.to_vec()),
                _ => None,
            })
        });
    let mut answers = Protocol::new(web.schema, Box::pin(texts), WebSocketProtocols::GraphQLWS)
        .keepalive_timeout(SILENCE);
    while let Some(answer) = answers.next().await {
        let message = match answer {
            WsMessage::Text(text) => Message::Text(text.into()),
            WsMessage::Close(code, reason) => Message::Close(Some(CloseFrame {
                code,
                reason: reason.into(),
            })),
        };
        let sent = tokio::time::timeout(SEND_TIMEOUT, sink.send(message)).await;
        if !matches!(sent, Ok(Ok(()))) {
            return;
        }
    }
    // It has been closed by either side, so nobody is left to tell.
    let _ = sink.close().await;
}
