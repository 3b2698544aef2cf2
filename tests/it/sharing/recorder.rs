//! A tracker that answers nothing and remembers what it hears.

use futures_util::StreamExt;
use serde_json::Value;
use std::sync::{Arc, Mutex};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::Message as Frame;

type Heard = Arc<Mutex<Vec<String>>>;

pub struct Recorder {
    url: String,
    heard: Heard,
    task: JoinHandle<()>,
}

impl Recorder {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}", listener.local_addr().unwrap());
        let heard = Heard::default();
        let into = heard.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                listen(stream, &into).await;
            }
        });
        Self { url, heard, task }
    }

    pub fn url(&self) -> String {
        self.url.clone()
    }

    /// The messages with a text in them.
    pub fn heard(&self, text: &str) -> Vec<String> {
        self.heard.lock().unwrap().iter().filter(|heard| heard.contains(text)).cloned().collect()
    }

    /// The swarms of the messages with a text in them, in order, as often as they were named.
    pub fn swarms(&self, text: &str) -> Vec<String> {
        let hash_of =
            |text: &String| serde_json::from_str::<Value>(text).unwrap()["info_hash"].clone();
        let heard = self.heard(text);
        let mut hashes: Vec<_> =
            heard.iter().map(|text| hash_of(text).as_str().unwrap().to_owned()).collect();
        hashes.sort();
        hashes
    }
}

async fn listen(stream: TcpStream, into: &Heard) {
    let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
    while let Some(Ok(frame)) = socket.next().await {
        match frame {
            Frame::Text(text) => into.lock().unwrap().push(text.to_string()),
            Frame::Close(_) => break,
            _ => {}
        }
    }
    let _closed = socket.close(None).await;
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.task.abort();
    }
}
