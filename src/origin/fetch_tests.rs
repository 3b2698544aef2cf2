//! Tests of `fetch` that need CA certificates of their own choice; the others are in `tests/it`.

use super::*;
use bytes::Bytes;
use rustls::pki_types::PrivateKeyDer;
use std::net::SocketAddr;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

async fn answer(mut socket: impl AsyncRead + AsyncWrite + Unpin) {
    let mut request = [0; 1024];
    let _ = socket.read(&mut request).await.unwrap();
    socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").await.unwrap();
}

fn get(url: &str) -> FetchRequest {
    FetchRequest::get(url.parse().unwrap(), HeaderMap::new())
}

/// The TLS settings of an origin for `localhost`, and the only root that vouches for it.
fn localhost() -> (rustls::ServerConfig, RootCertStore) {
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let certificate = certified.cert.der().clone();
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let key = PrivateKeyDer::try_from(certified.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    (config, roots)
}

/// An https origin for `localhost`, and the only root that vouches for it.
async fn https_origin() -> (SocketAddr, RootCertStore, JoinHandle<()>) {
    let (config, roots) = localhost();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            if let Ok(secure) = acceptor.accept(socket).await {
                answer(secure).await;
            }
        }
    });
    (addr, roots, server)
}

#[tokio::test]
async fn a_machine_without_ca_certificates_still_plays_http() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let server = tokio::spawn(async move { answer(listener.accept().await.unwrap().0).await });
    let origin = Origin::with_roots(&OriginConfig::default(), RootCertStore::empty()).unwrap();
    let mut plain = origin.open(&get(&format!("http://{addr}/"))).await.unwrap();
    assert_eq!(plain.collect(10).await.unwrap(), "hi");
    server.await.unwrap();

    let error = origin.open(&get(&format!("https://{addr}/?token=x"))).await.unwrap_err();
    assert!(error.to_string().contains("no CA certificates"), "{error}");
    assert!(!error.to_string().contains("token"), "{error}");
    assert!(!error.is_retryable());
}

#[tokio::test]
async fn https_works_with_a_known_authority_and_only_for_the_right_name() {
    let (addr, roots, server) = https_origin().await;
    let origin = Origin::with_roots(&OriginConfig::default(), roots).unwrap();
    let mut secure =
        origin.open(&get(&format!("https://localhost:{}/", addr.port()))).await.unwrap();
    assert_eq!(secure.collect(10).await.unwrap(), "hi");
    let error = origin.open(&get(&format!("https://{addr}/"))).await.unwrap_err();
    let reason = "its certificate is for another name";
    assert_eq!(error, OriginError::TlsFailed { host: addr.to_string(), reason });
    server.abort();
}

#[tokio::test]
async fn a_certificate_nobody_vouches_for_is_refused_for_good() {
    let (addr, _, server) = https_origin().await;
    let (_, other_roots, other_server) = https_origin().await;
    let origin = Origin::with_roots(&OriginConfig::default(), other_roots).unwrap();
    let url = format!("https://localhost:{}/", addr.port());
    let error = origin.open_patiently(&get(&url), 0, None).await.unwrap_err();
    assert!(matches!(error, OriginError::TlsFailed { .. }), "{error:?}");
    assert!(error.to_string().contains("certificate"), "{error}");
    server.abort();
    other_server.abort();
}

#[tokio::test]
async fn an_origin_that_speaks_http2_is_asked_for_everything_over_one_connection() {
    let (mut config, roots) = localhost();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}/a.ts", listener.local_addr().unwrap().port());
    // It takes one connection only.
    let server = tokio::spawn(async move {
        let socket = acceptor.accept(listener.accept().await.unwrap().0).await.unwrap();
        let service = hyper::service::service_fn(|request: http::Request<_>| async move {
            let _: &hyper::body::Incoming = request.body();
            assert_eq!(request.version(), http::Version::HTTP_2);
            let body = http_body_util::Full::new(Bytes::from(request.uri().path().to_owned()));
            Ok::<_, std::convert::Infallible>(http::Response::new(body))
        });
        let io = hyper_util::rt::TokioIo::new(socket);
        let executor = hyper_util::rt::TokioExecutor::new();
        let _ =
            hyper::server::conn::http2::Builder::new(executor).serve_connection(io, service).await;
    });
    let origin = Origin::with_roots(&OriginConfig::default(), roots).unwrap();
    let request = get(&url);
    let mut first = origin.open(&request).await.unwrap();
    assert_eq!(first.collect(100).await.unwrap(), "/a.ts");
    let (second, third) = tokio::join!(origin.open(&request), origin.open(&request));
    for mut answer in [second.unwrap(), third.unwrap()] {
        assert_eq!((answer.total, answer.collect(100).await.unwrap()), (Some(5), "/a.ts".into()));
    }
    server.abort();
}
