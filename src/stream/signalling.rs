//! Meeting the peers of one swarm through one tracker: makes offers, answers those of others, and
//! hands over each connection that opens.
//!
//! One task for each swarm of a stream at each of its trackers. It decides nothing about segments;
//! whether a connection is kept when two members met twice is [`Roster`]'s rule, the same on both
//! sides.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::reports::Source;
use super::roster::{ANSWERS_MAX, Answering, Meeting, Roster};
use crate::ids::PeerId;
use crate::playlist::membership::WireIds;
use crate::rtc::{Connector, Link, Pending};
use crate::tracker::message::{Offer, OfferId};
use crate::tracker::session::{Membership, TrackerEvent};

/// Offers in one announce: what p2p-media-loader sends, and every tracker passes on.
pub(super) const OFFERS_PER_ANNOUNCE: usize = 5;
/// An offer that nobody answered is withdrawn after this long.
const OFFER_LIFETIME: Duration = Duration::from_secs(50);

/// A connection whose data channel has opened.
pub struct Opened {
    /// The other member.
    pub peer: PeerId,
    /// The connection.
    pub link: Arc<dyn Link>,
    /// Which meeting it came from: who offered, and the offer.
    pub meeting: Meeting,
    /// What segments are called in the swarm that they met in.
    pub wire: WireIds,
}

/// What a tracker said of the swarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Report {
    /// So many members, this one included.
    Members(u32),
    /// It cannot be reached, or refuses us.
    Unreachable,
}

/// What the signalling of one stream works with, in one swarm at one tracker.
#[derive(Clone)]
pub struct Context {
    /// Our own id.
    pub me: PeerId,
    /// Which of the stream's swarms, at which tracker.
    pub source: Source,
    /// What segments are called there.
    pub wire: WireIds,
    /// Makes connections.
    pub connector: Arc<dyn Connector>,
    /// Who is connected.
    pub roster: Arc<Roster>,
    /// Where opened connections go. Bounded by the number of connections being opened.
    pub opened: mpsc::Sender<Opened>,
    /// Where reports go. When it is full a report waits.
    pub reports: mpsc::Sender<(Source, Report)>,
    /// Spawns tasks that shutdown waits for.
    pub tasks: TaskTracker,
    /// Ends everything of the stream.
    pub cancel: CancellationToken,
}

/// The signalling in one swarm at one tracker, until the stream ends.
pub async fn run(mut membership: Membership, context: Context) {
    // Bounded: offers and answers wait here until the loop below passes them on.
    let (made, mut ready) = mpsc::channel::<Made>(ANSWERS_MAX);
    let mut offers = BTreeMap::<OfferId, oneshot::Sender<(PeerId, String)>>::new();
    loop {
        tokio::select! {
            () = context.cancel.cancelled() => return,
            Some(made) = ready.recv() => match made {
                Made::Offers(new) => {
                    offers.retain(|_, waiting| !waiting.is_closed());
                    let mut announced = Vec::new();
                    for (offer, waiting) in new {
                        offers.insert(offer.offer_id, waiting);
                        announced.push(offer);
                    }
                    membership.announce(announced);
                }
                Made::Answer { peer, offer, sdp } => membership.answer(peer, offer, sdp),
            },
            event = membership.recv() => {
                let report = match event {
                    None => return,
                    Some(TrackerEvent::OffersWanted { if_lacking }) => {
                        if !if_lacking || context.roster.is_seeking() {
                            context.tasks.spawn(make_offers(context.clone(), made.clone()));
                        }
                        continue;
                    }
                    Some(TrackerEvent::Offer { peer, offer_id, sdp }) => {
                        if peer != context.me
                            && let Some(turn) = context.roster.begin_answer(peer)
                        {
                            let (context, made) = (context.clone(), made.clone());
                            context.tasks.clone().spawn(answer(context, made, turn, offer_id, sdp));
                        }
                        continue;
                    }
                    Some(TrackerEvent::Answer { peer, offer_id, sdp }) => {
                        if let Some(waiting) = offers.remove(&offer_id) {
                            // The offer may have run out a moment ago.
                            let _ = waiting.send((peer, sdp));
                        }
                        continue;
                    }
                    Some(TrackerEvent::Announced { complete, incomplete }) => {
                        Report::Members(complete.saturating_add(incomplete))
                    }
                    Some(TrackerEvent::Failed { .. }) => Report::Unreachable,
                };
                if context.reports.send((context.source, report)).await.is_err() {
                    return;
                }
            }
        }
    }
}

enum Made {
    Offers(Vec<(Offer, oneshot::Sender<(PeerId, String)>)>),
    Answer { peer: PeerId, offer: OfferId, sdp: String },
}

/// Makes the offers of one announce; each then waits for its answer in a task of its own.
async fn make_offers(context: Context, made: mpsc::Sender<Made>) {
    let wanted = OFFERS_PER_ANNOUNCE.min(context.roster.room());
    let connector = context.connector.clone();
    let offers = futures_util::future::join_all((0..wanted).map(|_| connector.offer())).await;
    let mut announced = Vec::new();
    for offer in offers {
        let mut id = OfferId([0; 20]);
        let offer = match (offer, crate::ids::fill_random(&mut id.0)) {
            (Ok(offer), Ok(())) => offer,
            (Err(error), _) => {
                tracing::warn!(%error, "no offer could be made");
                continue;
            }
            (_, Err(_)) => continue,
        };
        id.0 = id.0.map(|byte| b'a' + byte % 26);
        let (waiting, answered) = oneshot::channel();
        announced.push((Offer { offer_id: id, sdp: offer.sdp }, waiting));
        context.tasks.spawn(await_answer(context.clone(), id, offer.pending, answered));
    }
    // The signalling may have ended meanwhile; then the offers end with it.
    let _ = made.send(Made::Offers(announced)).await;
}

async fn await_answer(
    context: Context,
    offer: OfferId,
    pending: Box<dyn Pending>,
    answered: oneshot::Receiver<(PeerId, String)>,
) {
    let outcome = context
        .cancel
        .run_until_cancelled(async {
            let (peer, sdp) = tokio::time::timeout(OFFER_LIFETIME, answered).await.ok()?.ok()?;
            if context.roster.has(peer) {
                return None;
            }
            pending.accept(&sdp).await.ok()?;
            Some((peer, pending.opened().await.ok()?))
        })
        .await
        .flatten();
    let meeting = Meeting { offerer: context.me, offer };
    hand_over(&context, outcome, meeting, &*pending).await;
}

async fn answer(
    context: Context,
    made: mpsc::Sender<Made>,
    turn: Answering,
    offer: OfferId,
    sdp: String,
) {
    let peer = turn.peer;
    let Some(answer) = context.cancel.run_until_cancelled(context.connector.answer(&sdp)).await
    else {
        return;
    };
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => {
            tracing::debug!(%error, "an offer could not be answered");
            return;
        }
    };
    let pending = answer.pending;
    let outcome = context
        .cancel
        .run_until_cancelled(async {
            made.send(Made::Answer { peer, offer, sdp: answer.sdp }).await.ok()?;
            Some((peer, pending.opened().await.ok()?))
        })
        .await
        .flatten();
    hand_over(&context, outcome, Meeting { offerer: peer, offer }, &*pending).await;
}

async fn hand_over(
    context: &Context,
    outcome: Option<(PeerId, Arc<dyn Link>)>,
    meeting: Meeting,
    pending: &dyn Pending,
) {
    match outcome {
        Some((peer, link)) => {
            let opened = Opened { peer, link: link.clone(), meeting, wire: context.wire };
            if context.opened.send(opened).await.is_err() {
                link.close().await;
            }
        }
        None => pending.close().await,
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{Instant, advance};

    use super::*;
    use crate::rtc::memory::MemoryNet;

    fn context(net: &MemoryNet, peers_max: usize) -> Context {
        Context {
            me: PeerId([1; 20]),
            source: Source { swarm: 0, tracker: 0 },
            wire: WireIds::default(),
            connector: Arc::new(net.clone()),
            roster: Arc::new(Roster::new(peers_max, Arc::default())),
            opened: mpsc::channel(8).0,
            reports: mpsc::channel(8).0,
            tasks: TaskTracker::new(),
            cancel: CancellationToken::new(),
        }
    }

    async fn offers(context: &Context) -> Vec<(Offer, oneshot::Sender<(PeerId, String)>)> {
        let (made, mut ready) = mpsc::channel(1);
        make_offers(context.clone(), made).await;
        match ready.recv().await {
            Some(Made::Offers(offers)) => offers,
            _ => panic!("no offers"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn five_offers_are_made_and_withdrawn_after_fifty_seconds_without_an_answer() {
        let net = MemoryNet::new();
        let context = context(&net, 20);
        let offers = offers(&context).await;
        assert_eq!((offers.len(), net.pending()), (5, 5));
        let began = Instant::now();
        // Lets each offer begin to wait.
        tokio::task::yield_now().await;
        advance(Duration::from_secs(49)).await;
        assert_eq!(net.pending(), 5);
        context.tasks.close();
        context.tasks.wait().await;
        assert_eq!((net.pending(), began.elapsed().as_secs()), (0, 50));
        assert!(offers.iter().all(|(_, waiting)| waiting.is_closed()));
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_offers_are_made_than_there_is_room_and_the_end_withdraws_them() {
        let net = MemoryNet::new();
        let context = context(&net, 2);
        let _offers = offers(&context).await;
        assert_eq!(net.pending(), 2);
        let began = Instant::now();
        context.cancel.cancel();
        context.tasks.close();
        context.tasks.wait().await;
        assert_eq!((net.pending(), began.elapsed().as_secs()), (0, 0));
    }
}
