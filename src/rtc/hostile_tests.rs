//! A peer that does not follow the protocol, played with the bare WebRTC crate over loopback.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use tokio::sync::mpsc;
use tokio_util::task::TaskTracker;
use webrtc::data_channel::{DataChannel, DataChannelEvent};
use webrtc::peer_connection::{
    PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler, RTCIceGatheringState,
    RTCSessionDescription, SettingEngineBuilder,
};

use super::{Connector, Link, MESSAGE_BYTES_MAX, RtcConfig, WebRtcConnector};

struct Gathered(mpsc::Sender<()>);

#[async_trait]
impl PeerConnectionEventHandler for Gathered {
    async fn on_ice_gathering_state_change(&self, state: RTCIceGatheringState) {
        if state == RTCIceGatheringState::Complete {
            self.0.try_send(()).unwrap();
        }
    }
}

struct Stranger {
    peer: Box<dyn PeerConnection>,
    channel: Arc<dyn DataChannel>,
    link: Arc<dyn Link>,
}

/// A stranger's offer, answered by our connector, and both ends open.
async fn meet() -> Stranger {
    let ours = WebRtcConnector::new(RtcConfig {
        bind: vec![IpAddr::V4(Ipv4Addr::LOCALHOST)],
        include_loopback: true,
        stun: Vec::new(),
        mdns: None,
        tasks: TaskTracker::new(),
    });
    let (gathered_tx, mut gathered) = mpsc::channel(1);
    let settings = SettingEngineBuilder::new()
        .with_multicast_dns_mode(rtc::ice::mdns::MulticastDnsMode::Disabled)
        .build();
    let peer = PeerConnectionBuilder::new()
        .with_setting_engine(settings)
        .with_handler(Arc::new(Gathered(gathered_tx)))
        .with_udp_addrs(vec!["127.0.0.1:0"])
        .build()
        .await
        .unwrap();
    let channel = peer.create_data_channel("", None).await.unwrap();
    let offer = peer.create_offer(None).await.unwrap();
    peer.set_local_description(offer).await.unwrap();
    gathered.recv().await.unwrap();
    let offer = peer.local_description().await.unwrap().sdp;
    let answer = ours.answer(&offer).await.unwrap();
    let sdp = RTCSessionDescription::answer(answer.sdp).unwrap();
    peer.set_remote_description(sdp).await.unwrap();
    while !matches!(channel.poll().await.unwrap(), DataChannelEvent::OnOpen) {}
    Stranger { peer: Box::new(peer), channel, link: answer.pending.opened().await.unwrap() }
}

#[tokio::test]
async fn text_is_dropped_and_a_message_beyond_the_limit_ends_the_connection() {
    let stranger = meet().await;
    stranger.channel.send_text("hello").await.unwrap();
    stranger.channel.send(BytesMut::from(&b"bytes"[..])).await.unwrap();
    assert_eq!(stranger.link.receive().await, Some(Bytes::from_static(b"bytes")));
    stranger.channel.send(BytesMut::zeroed(MESSAGE_BYTES_MAX + 1)).await.unwrap();
    assert_eq!(stranger.link.receive().await, None);
    assert!(stranger.link.send(Bytes::from_static(b"x")).await.is_err());
    stranger.peer.close().await.unwrap();
}

#[tokio::test]
async fn a_second_data_channel_ends_the_connection() {
    let stranger = meet().await;
    stranger.peer.create_data_channel("second", None).await.unwrap();
    assert_eq!(stranger.link.receive().await, None);
    stranger.peer.close().await.unwrap();
}
