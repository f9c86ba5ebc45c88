//! Messages go out through a provider that the resource describes.

use std::time::Duration;

use serde_json::json;
use tests::{LocalPipeline, PipelineSettings};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

const KEY: &str = "k3y-that-nobody-prints";

/// Takes what comes with the right key and refuses all else for good.
async fn answer(mut connection: TcpStream) -> std::io::Result<()> {
    let mut request = Vec::new();
    // The one header after which nothing comes is the last of a request whose body is in its URL.
    while !request.ends_with(b"\r\n\r\n") {
        if connection.read_buf(&mut request).await? == 0 {
            return Ok(());
        }
    }
    let request = String::from_utf8_lossy(&request).to_lowercase();
    let is_right = request.starts_with("put /send/%2b1555") && request.contains(&format!("x-key: {KEY}\r\n"));
    let status = if is_right { "200 OK" } else { "400 Bad Request" };
    let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    connection.write_all(answer.as_bytes()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_goes_out_over_http_with_a_secret_that_nobody_prints() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            tokio::spawn(answer(connection));
        }
    });
    let provider = json!({
        "url": format!("http://{address}/send/{{{{ recipient | urlencode }}}}?text={{{{ text | urlencode }}}}"),
        "method": "PUT",
        "headers": { "X-Key": "{{ secrets.key }}", "X-Price": "$$1" },
        "secrets": { "key": { "name": "provider", "key": "key" } },
    });
    let secrets = vec![["provider", "key", KEY].map(str::to_owned)];
    let settings = PipelineSettings { http_provider: Some(provider), secrets, ..PipelineSettings::default() };
    let mut pipeline = LocalPipeline::ready(settings).await;

    let id = pipeline.accepted(1).await;
    let message = pipeline.until_final(&id, Duration::from_secs(10)).await;

    assert_eq!(message["status"], "SENT", "{message}");
    assert_eq!(pipeline.stop(), 0);
    let output = pipeline.output();
    assert!(!output.contains(KEY) && !output.contains("+1555"), "{output}");
}
