//! The bare data channel: what `rtc` moves when nobody looks at the bytes.
//!
//! Both ends in this process, each in a runtime of its own so that its threads can be told apart.
//! What daemon to daemon costs beyond this is the cost of our layers.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hlswarm::rtc::{Connector, Link, MESSAGE_BYTES_MAX, RtcConfig, WebRtcConnector};
use tokio::runtime::{Builder, Runtime};
use tokio_util::task::TaskTracker;

use crate::Outcome;
use crate::process::cpu_seconds_of_threads;
use crate::report::{Row, Section};

const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_secs(2);
/// What is sent over and over, in slices, as an upload does.
const SEGMENT_BYTES: usize = 4_000_000;
/// Names of the threads at each end.
const SENDER: &str = "link-sender";
const RECEIVER: &str = "link-receiver";

/// One round.
struct Sample {
    megabytes_per_s: f64,
    sender_cpu: f64,
    receiver_cpu: f64,
}

/// Measures.
///
/// # Errors
/// When the ends do not connect.
pub fn measure() -> Outcome<Section> {
    let (ours, theirs) = (runtime(SENDER)?, runtime(RECEIVER)?);
    let (tasks, segment) = (TaskTracker::new(), Bytes::from(vec![7; SEGMENT_BYTES]));
    let (sender, receiver) = connect(&ours, &theirs, &tasks)?;
    let mut samples = Vec::new();
    for _ in 0..ROUNDS {
        samples.push(round(&ours, &theirs, &sender, &receiver, &segment)?);
    }
    ours.block_on(sender.close());
    theirs.block_on(receiver.close());
    let of = |pick: fn(&Sample) -> f64| samples.iter().map(pick).collect::<Vec<_>>();
    Ok(Section {
        title: format!("The bare data channel, messages of {MESSAGE_BYTES_MAX} bytes (loopback)"),
        rows: vec![
            Row::new("sender_cpu_s_per_gb", "CPU s/GB, sender", of(|sample| sample.sender_cpu)),
            Row::new(
                "receiver_cpu_s_per_gb",
                "CPU s/GB, receiver",
                of(|sample| sample.receiver_cpu),
            ),
            Row::new("mb_per_s", "MB/s", of(|sample| sample.megabytes_per_s)),
        ],
        notes: Vec::new(),
    })
}

fn runtime(name: &str) -> std::io::Result<Runtime> {
    Builder::new_multi_thread().thread_name(name).worker_threads(2).enable_all().build()
}

fn connect(
    ours: &Runtime,
    theirs: &Runtime,
    tasks: &TaskTracker,
) -> Outcome<(Arc<dyn Link>, Arc<dyn Link>)> {
    let connector = WebRtcConnector::new(RtcConfig {
        bind: vec![IpAddr::V4(Ipv4Addr::LOCALHOST)],
        include_loopback: true,
        stun: Vec::new(),
        mdns: None,
        tasks: tasks.clone(),
    });
    let offer = ours.block_on(connector.offer())?;
    let answer = theirs.block_on(connector.answer(&offer.sdp))?;
    ours.block_on(offer.pending.accept(&answer.sdp))?;
    let answered = theirs.spawn(async move { answer.pending.opened().await });
    let sender = ours.block_on(offer.pending.opened())?;
    Ok((sender, theirs.block_on(answered)??))
}

fn round(
    ours: &Runtime,
    theirs: &Runtime,
    sender: &Arc<dyn Link>,
    receiver: &Arc<dyn Link>,
    segment: &Bytes,
) -> Outcome<Sample> {
    let before = (cpu_seconds_of_threads(SENDER)?, cpu_seconds_of_threads(RECEIVER)?);
    let began = Instant::now();
    let receiver = receiver.clone();
    let receiving = theirs.spawn(async move {
        let mut bytes = 0;
        // A message of one byte ends the round.
        while let Some(message) = receiver.receive().await.filter(|message| message.len() > 1) {
            bytes += message.len();
        }
        bytes
    });
    let (sender, segment) = (sender.clone(), segment.clone());
    let sending = ours.spawn(async move {
        while began.elapsed() < ROUND {
            let mut rest = segment.clone();
            while !rest.is_empty() {
                sender.send(rest.split_to(MESSAGE_BYTES_MAX.min(rest.len()))).await?;
            }
        }
        sender.send(Bytes::from_static(b".")).await
    });
    ours.block_on(sending)??;
    let gigabytes = theirs.block_on(receiving)? as f64 / 1e9;
    let elapsed = began.elapsed().as_secs_f64();
    let after = (cpu_seconds_of_threads(SENDER)?, cpu_seconds_of_threads(RECEIVER)?);
    Ok(Sample {
        megabytes_per_s: gigabytes * 1e3 / elapsed,
        sender_cpu: (after.0 - before.0) / gigabytes,
        receiver_cpu: (after.1 - before.1) / gigabytes,
    })
}
