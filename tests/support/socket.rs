//! The client's side of `/graphql/ws`.

use futures::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use super::{PATIENCE, Server};

/// A socket that speaks graphql-transport-ws.
pub(crate) struct Socket(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Socket {
    /// Opens one as a page of `origin` would; nothing if that is refused.
    pub(crate) async fn open(server: &Server, origin: Option<&str>) -> Option<Self> {
        let url = format!("{}/graphql/ws", server.api.replace("http://", "ws://"));
        let mut request = url.into_client_request().expect("a request");
        let headers = request.headers_mut();
        let protocol = "graphql-transport-ws".parse().expect("a header");
        headers.insert("sec-websocket-protocol", protocol);
        if let Some(origin) = origin {
            headers.insert("origin", origin.parse().expect("a header"));
        }
        let (socket, _) = tokio_tungstenite::connect_async(request).await.ok()?;
        Some(Self(socket))
    }

    /// Sends a message.
    pub(crate) async fn send(&mut self, message: Value) {
        let message = Message::text(message.to_string());
        self.0.send(message).await.expect("the server listens");
    }

    /// The next message.
    pub(crate) async fn next(&mut self) -> Value {
        loop {
            let message = tokio::time::timeout(PATIENCE, self.0.next()).await;
            let message = message.expect("a message in time");
            match message.expect("the socket is open").expect("a message") {
                Message::Text(text) => return serde_json::from_str(&text).expect("JSON"),
                Message::Close(why) => panic!("closed: {why:?}"),
                _ => {}
            }
        }
    }
}
