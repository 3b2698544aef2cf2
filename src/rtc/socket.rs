//! Local addresses and UDP sockets for the WebRTC crate: large buffers, tracked tasks.
//!
//! A thin layer over the crate's tokio runtime. It opens no socket itself (the crate does) and
//! knows nothing of connections. Driven by the crate through its `Runtime` trait.

use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use rtc::shared::ifaces::ifaces;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use webrtc::runtime::{
    AsyncInterval, AsyncTcpListener, AsyncTcpStream, AsyncUdpSocket, JoinHandle, Runtime,
    TokioRuntime,
};

use super::RtcConfig;

/// Asked of the system for each direction of a socket. With the usual 208 KiB a burst from a fast
/// peer overflows the receive buffer, and every loss costs SCTP a second.
const SOCKET_BUFFER_BYTES: usize = 4 * 1024 * 1024;

/// The addresses to bind: what is configured, else every interface's; loopback where asked for or
/// where there is nothing else.
pub(super) fn local_addresses(config: &RtcConfig) -> Vec<IpAddr> {
    let mut addresses = if config.bind.iter().any(|ip| !ip.is_unspecified()) {
        config.bind.iter().copied().filter(|ip| !ip.is_unspecified()).collect()
    } else {
        interface_addresses()
    };
    let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    if addresses.is_empty() || (config.include_loopback && !addresses.contains(&loopback)) {
        addresses.push(loopback);
    }
    addresses.sort();
    addresses.dedup();
    addresses
}

/// Asked anew for each connection: a laptop changes networks.
fn interface_addresses() -> Vec<IpAddr> {
    let interfaces = ifaces().unwrap_or_default();
    let addresses = interfaces.iter().filter_map(|interface| interface.addr);
    addresses.map(|address| address.ip()).filter(|ip| is_usable(*ip)).collect()
}

fn is_usable(ip: IpAddr) -> bool {
    let is_link_local = match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.segments()[0] & 0xffc0 == 0xfe80,
    };
    !(ip.is_loopback() || ip.is_unspecified() || ip.is_multicast() || is_link_local)
}

/// Tokio for one connection, with every task in a tracker, ended by a token at the latest, and
/// every UDP socket's buffers enlarged.
#[derive(Debug)]
pub(super) struct TrackedRuntime {
    tasks: TaskTracker,
    ended: CancellationToken,
}

impl TrackedRuntime {
    pub(super) fn new(tasks: TaskTracker, ended: CancellationToken) -> Self {
        Self { tasks, ended }
    }
}

type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

impl Runtime for TrackedRuntime {
    fn spawn(&self, future: Boxed<'static, ()>) -> Box<dyn JoinHandle> {
        let ended = self.ended.clone();
        Box::new(TrackedTask(self.tasks.spawn(async move {
            ended.run_until_cancelled_owned(future).await;
        })))
    }

    fn wrap_udp_socket(&self, socket: std::net::UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        let options = socket2::SockRef::from(&socket);
        // The system may grant less; a smaller buffer is slower, not wrong.
        for granted in [
            options.set_recv_buffer_size(SOCKET_BUFFER_BYTES),
            options.set_send_buffer_size(SOCKET_BUFFER_BYTES),
        ] {
            if let Err(error) = granted {
                tracing::debug!(%error, "socket buffer not enlarged");
            }
        }
        TokioRuntime.wrap_udp_socket(socket)
    }

    fn wrap_tcp_listener(
        &self,
        listener: std::net::TcpListener,
    ) -> io::Result<Arc<dyn AsyncTcpListener>> {
        TokioRuntime.wrap_tcp_listener(listener)
    }

    fn connect_tcp<'a>(
        &'a self,
        remote: SocketAddr,
    ) -> Boxed<'a, io::Result<Arc<dyn AsyncTcpStream>>> {
        Box::pin(async move { TokioRuntime.connect_tcp(remote).await })
    }

    fn resolve_host<'a>(&'a self, host: &'a str) -> Boxed<'a, io::Result<Vec<SocketAddr>>> {
        Box::pin(async move { TokioRuntime.resolve_host(host).await })
    }

    fn sleep(&self, duration: Duration) -> Boxed<'static, ()> {
        TokioRuntime.sleep(duration)
    }

    fn interval(&self, period: Duration) -> Box<dyn AsyncInterval> {
        TokioRuntime.interval(period)
    }

    fn block_on(&self, future: Pin<Box<dyn Future<Output = ()> + '_>>) {
        TokioRuntime.block_on(future);
    }

    fn yield_now(&self) -> Boxed<'static, ()> {
        TokioRuntime.yield_now()
    }

    fn name(&self) -> &'static str {
        "tokio"
    }
}

struct TrackedTask(tokio::task::JoinHandle<()>);

impl JoinHandle for TrackedTask {
    fn detach(&self) {}

    fn abort(&self) {
        self.0.abort();
    }

    fn is_finished(&self) -> bool {
        self.0.is_finished()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(bind: &[&str], include_loopback: bool) -> RtcConfig {
        RtcConfig {
            bind: bind.iter().map(|ip| ip.parse().unwrap()).collect(),
            include_loopback,
            stun: Vec::new(),
            mdns: None,
            tasks: TaskTracker::new(),
        }
    }

    #[test]
    fn binds_what_is_configured_and_loopback_where_asked_for() {
        let loopback: IpAddr = "127.0.0.1".parse().unwrap();
        let other: IpAddr = "192.0.2.1".parse().unwrap();
        assert_eq!(local_addresses(&config(&["192.0.2.1"], false)), [other]);
        assert_eq!(local_addresses(&config(&["192.0.2.1"], true)), [loopback, other]);
        assert_eq!(local_addresses(&config(&["127.0.0.1", "127.0.0.1"], true)), [loopback]);
    }

    #[test]
    fn without_configuration_there_is_always_an_address_and_none_is_a_wildcard() {
        for include_loopback in [false, true] {
            let addresses = local_addresses(&config(&["0.0.0.0"], include_loopback));
            assert!(!addresses.is_empty());
            assert!(addresses.iter().all(|ip| !ip.is_unspecified()));
        }
    }

    #[tokio::test]
    async fn a_task_of_an_ended_connection_ends() {
        let (tasks, ended) = (TaskTracker::new(), CancellationToken::new());
        let runtime = TrackedRuntime::new(tasks.clone(), ended.clone());
        runtime.spawn(Box::pin(std::future::pending())).detach();
        ended.cancel();
        tasks.close();
        tasks.wait().await;
    }

    #[tokio::test]
    async fn a_wrapped_socket_has_a_larger_receive_buffer() {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let twin = socket.try_clone().unwrap();
        let runtime = TrackedRuntime::new(TaskTracker::new(), CancellationToken::new());
        let before = socket2::SockRef::from(&twin).recv_buffer_size().unwrap();
        runtime.wrap_udp_socket(socket).unwrap();
        assert!(socket2::SockRef::from(&twin).recv_buffer_size().unwrap() >= before);
    }
}
