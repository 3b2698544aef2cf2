//! Lookups against a responder of the test's own, by real multicast over the loopback interface,
//! and connections whose only candidates are names.

use tokio::net::UdpSocket;
use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;

use super::*;
use crate::rtc::{Connector, MDNS_GROUP, Path, WebRtcConnector};

const A: &str = "0b1c2d3e-0000-4000-8000-123456789abc.local";
const B: &str = "0b1c2d3e-0000-4000-8000-123456789abd.local";
const LOCAL: Reach = Reach { loopback: true, private: true };

/// How a responder answers.
#[derive(Clone, Copy)]
enum Manner {
    /// To the one who asked.
    Asker,
    /// To everybody, as Chromium does.
    Group,
    /// To the one who asked, when asked again.
    SecondTime,
}

/// Answers every question with each of `addresses`, and with rubbish before it.
struct Responder {
    group: SocketAddrV4,
    task: JoinHandle<()>,
}

impl Drop for Responder {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn responder(manner: Manner, addresses: &'static [[u8; 4]]) -> Responder {
    let mut group = SocketAddrV4::new(Ipv4Addr::new(224, 0, 0, 251), 0);
    let socket = overhear(group, &[Ipv4Addr::LOCALHOST]).unwrap();
    group.set_port(socket.local_addr().unwrap().port());
    let sender = ask_from(Ipv4Addr::LOCALHOST).unwrap();
    let task = tokio::spawn(respond(socket, sender, group, manner, addresses));
    Responder { group, task }
}

async fn respond(
    socket: UdpSocket,
    sender: UdpSocket,
    group: SocketAddrV4,
    manner: Manner,
    addresses: &[[u8; 4]],
) {
    let mut questions = 0;
    loop {
        let mut message = [0; 2000];
        let (length, asker) = socket.recv_from(&mut message).await.unwrap();
        let question = &message[..length];
        // Its own answers come back to it.
        if question[2] != 0 || !question.ends_with(&[0, 1, 0, 1]) {
            continue;
        }
        questions += 1;
        if matches!(manner, Manner::SecondTime) && questions == 1 {
            continue;
        }
        let to = match manner {
            Manner::Group => group.into(),
            Manner::Asker | Manner::SecondTime => asker,
        };
        sender.send_to(b"rubbish", to).await.unwrap();
        for address in addresses {
            let mut answer = question.to_vec();
            answer[2] = 0x84;
            answer[7] = 1;
            answer.extend([0xc0, 12, 0, 1, 0x80, 1, 0, 0, 0, 10, 0, 4]);
            answer.extend(address);
            sender.send_to(&answer, to).await.unwrap();
        }
    }
}

fn config(mdns: Option<SocketAddrV4>, tasks: &TaskTracker) -> RtcConfig {
    let bind = vec![Ipv4Addr::LOCALHOST.into()];
    RtcConfig { bind, include_loopback: true, stun: Vec::new(), mdns, tasks: tasks.clone() }
}

fn names(group: Option<SocketAddrV4>, reach: Reach, turns: usize) -> Option<Names> {
    let config = config(group, &TaskTracker::new());
    Names::new(&config, config.bind.clone(), reach, Arc::new(Semaphore::new(turns)))
}

fn set(names: &[&str]) -> BTreeSet<LocalName> {
    names.iter().map(|name| LocalName::parse(name).unwrap()).collect()
}

fn lookup(group: SocketAddrV4, reach: Reach, wanted: &[&str]) -> Lookup {
    names(Some(group), reach, 1).unwrap().lookup(set(wanted)).unwrap()
}

#[tokio::test]
async fn an_answer_is_found_whether_it_goes_to_the_asker_or_to_everybody() {
    for manner in [Manner::Asker, Manner::Group, Manner::SecondTime] {
        let responder = responder(manner, &[[192, 168, 1, 5]]);
        let mut lookup = lookup(responder.group, LOCAL, &[A]);
        let (name, ip) = lookup.next().await.unwrap();
        assert_eq!((Some(name), ip), (LocalName::parse(A), [192, 168, 1, 5].into()));
        assert_eq!(lookup.next().await, None, "there is nothing left to find");
    }
}

#[tokio::test]
async fn each_name_is_found_once() {
    let responder = responder(Manner::Asker, &[[192, 168, 1, 5], [192, 168, 1, 6]]);
    let mut lookup = lookup(responder.group, LOCAL, &[A, B]);
    let mut found = vec![lookup.next().await.unwrap(), lookup.next().await.unwrap()];
    found.sort();
    let expected = [A, B].map(|name| (LocalName::parse(name).unwrap(), [192, 168, 1, 5].into()));
    assert_eq!(found, expected);
    assert_eq!(lookup.next().await, None);
}

#[tokio::test]
async fn an_answer_that_leads_out_of_the_local_network_does_not_count() {
    let responder = responder(
        Manner::Asker,
        &[[203, 0, 113, 9], [169, 254, 169, 254], [224, 0, 0, 1], [127, 0, 0, 1], [10, 0, 0, 9]],
    );
    let no_loopback = Reach { loopback: false, private: true };
    let mut lookup = lookup(responder.group, no_loopback, &[A]);
    assert_eq!(lookup.next().await.unwrap().1, IpAddr::from([10, 0, 0, 9]));
}

#[tokio::test(start_paused = true)]
async fn a_name_that_nobody_answers_for_is_given_up() {
    // Nobody reads what is sent to it.
    let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let std::net::SocketAddr::V4(group) = silent.local_addr().unwrap() else { unreachable!() };
    let began = Instant::now();
    assert_eq!(lookup(group, LOCAL, &[A]).next().await, None);
    assert_eq!(began.elapsed().as_secs(), LOOKUP_TIMEOUT.as_secs());
}

/// As a browser writes it: a name in place of each candidate's address.
fn hidden(sdp: &str, name: &str) -> String {
    let hidden = sdp.replace(" 127.0.0.1 ", &format!(" {name} "));
    assert!(hidden.contains(name) && !hidden.contains("127.0.0.1 "), "{hidden}");
    hidden
}

#[tokio::test]
async fn two_that_know_only_each_others_names_meet() {
    let responder = responder(Manner::Group, &[[127, 0, 0, 1]]);
    let tasks = TaskTracker::new();
    let net = WebRtcConnector::new(config(Some(responder.group), &tasks));
    let offer = net.offer().await.unwrap();
    let answer = net.answer(&hidden(&offer.sdp, A)).await.unwrap();
    offer.pending.accept(&hidden(&answer.sdp, B)).await.unwrap();
    let (offerer, answerer) = tokio::join!(offer.pending.opened(), answer.pending.opened());
    for link in [offerer.unwrap(), answerer.unwrap()] {
        assert_eq!((link.path(), link.is_near()), (Path::Host, true));
    }
    drop((offer.pending, answer.pending));
    tasks.close();
    tasks.wait().await;
}

#[tokio::test]
async fn nothing_is_asked_where_that_is_not_wanted_not_local_or_too_much() {
    let group = SocketAddrV4::new(*MDNS_GROUP.ip(), 0);
    let public = Reach { loopback: false, private: false };
    assert!(names(None, LOCAL, 1).is_none());
    assert!(names(Some(group), public, 1).is_none());
    let names = names(Some(group), LOCAL, 1).unwrap();
    assert!(names.lookup(set(&[])).is_none());
    let first = names.lookup(set(&[A]));
    assert!(first.is_some() && names.lookup(set(&[B])).is_none(), "one at a time");
    drop(first);
    assert!(names.lookup(set(&[B])).is_some());
}
