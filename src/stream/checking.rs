//! The actor's side of the proofs: what is checked when, and what follows from a verdict.
//!
//! Until a verdict nobody is given what a peer sent: it is neither read, nor held, nor passed on.

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::Parts;
use super::actor::{Actor, EVENTS_MAX};
use super::failure::Failure;
use super::verifier::{self, By, Evidence, Outcome, READ_PAUSE, Rhythm, Verdict, Verifier};
use crate::ids::SegmentId;
use crate::metrics::Meter;
use crate::swarm::Input;
use crate::verify::hash_list::ListPlace;

/// The checks of a stream, and where their verdicts come from.
pub(super) fn verifier(
    parts: &Parts,
    playlist: Url,
    (list, hash_list): (Option<Url>, Option<Url>),
    meter: &Meter,
    cancel: &CancellationToken,
) -> (Verifier, mpsc::Receiver<Verdict>) {
    let (events, verdicts) = mpsc::channel(EVENTS_MAX);
    let mut config = parts.verify.clone();
    config.lists.extend(hash_list.map(|list| ListPlace::new(playlist.clone(), list)));
    let context = verifier::Context {
        config,
        playlist,
        list,
        origin: parts.origin.counting(meter.clone()),
        meter: meter.clone(),
        events,
        tasks: parts.tasks.clone(),
        cancel: cancel.clone(),
    };
    (Verifier::new(context), verdicts)
}

impl Actor {
    /// Begins to look for hash lists and digests once there are peers, and a player has shown how
    /// the origin is asked.
    pub(super) fn look_for_proof(&mut self) {
        if self.peers.is_empty() || !self.manners.are_known() {
            return;
        }
        let list = self.manners.request(self.verifier.list_url());
        let mut arriving = self.timeline.segments.iter().rev();
        let Some(segment) = arriving.find_map(|segment| self.request(segment.id)) else { return };
        self.verifier.look(list, segment, self.rhythm());
    }

    /// Tells the core whether to ask peers for anything.
    pub(super) fn decide_to_take(&mut self) {
        if let Some(takes) = self.verifier.takes() {
            tracing::debug!(takes, "whether segments are taken from peers");
            self.feed(Input::Taking(takes));
        }
    }

    /// Begins to check what peers sent of a segment: all of it, or what the origin continues.
    pub(super) fn check(&mut self, segment: SegmentId, is_whole: bool) {
        let Some(request) = self.request(segment) else {
            self.give_up_on_peers(segment);
            return;
        };
        let evidence = Evidence {
            segment,
            buffer: self.arriving.buffer(segment),
            is_whole,
            shares: self.arriving.shares(segment).to_vec(),
            request,
            list: self.manners.request(self.verifier.list_url()),
            rhythm: self.rhythm(),
            detour: self.arriving.detour(),
            agreed: self.claims.agreed(segment),
        };
        let check = self.verifier.begin(evidence);
        self.arriving.set_check(segment, check);
        if is_whole {
            self.arriving.mark_whole(segment);
        }
    }

    pub(super) fn on_verdict(&mut self, verdict: Verdict) {
        let Verdict { of, outcome } = verdict;
        if let Some((segment, serial)) = of
            && self.arriving.end_check(segment, serial)
        {
            self.act_on(segment, outcome);
        }
        if of.is_none() {
            // Now it is known what there is to prove segments with.
            self.arriving.unproved().into_iter().for_each(|segment| self.pass_on(segment));
        }
        self.decide_to_take();
    }

    fn act_on(&mut self, segment: SegmentId, outcome: Outcome) {
        match outcome {
            Outcome::Proved(len, by) => {
                self.arriving.prove(segment, &(0..len));
                let senders = self.arriving.take_senders(segment);
                for peer in senders.iter().filter(|peer| self.peers.contains_key(peer)) {
                    self.verifier.trust.agreed(*peer);
                }
                self.count(by);
                if self.profile.is_sealed {
                    // Only all of a segment is ever checked there.
                    self.keep(segment);
                } else {
                    self.resume(segment);
                }
            }
            Outcome::Later => self.resume(segment),
            Outcome::Wrong(_) if self.is_the_origins(segment) => self.refute(segment),
            Outcome::Wrong(culprit) => self.reject(segment, culprit),
            // Nobody but the origin has a part in it, and its list does not speak against it.
            Outcome::Unproven if self.is_the_origins(segment) => self.keep(segment),
            Outcome::Unproven => self.give_up_on_peers(segment),
        }
    }

    /// Whether it was checked although no peer has sent any of it.
    fn is_the_origins(&self, segment: SegmentId) -> bool {
        self.profile.is_sealed && self.arriving.shares(segment).is_empty()
    }

    /// Goes on after a check of everything, or of the beginning while the rest came.
    fn resume(&mut self, segment: SegmentId) {
        if self.arriving.take_whole(segment) {
            self.verify(segment);
        } else {
            self.stop_waiting_for_all(segment);
        }
    }

    /// A segment that is too large to be held can never be proved as a whole.
    pub(super) fn stop_waiting_for_all(&mut self, segment: SegmentId) {
        if self.profile.is_sealed && self.arriving.is_relayed(segment) {
            self.arriving.stop_fetch(segment);
            let failure = Failure::Unproved("too large to be compared with its hash");
            self.arriving.set_failure(segment, failure);
            self.feed(Input::FetchFailed { segment });
            return;
        }
        let is_waiting =
            !self.arriving.shares(segment).is_empty() && !self.arriving.is_checking(segment);
        if is_waiting && self.arriving.is_relayed(segment) {
            self.give_up_on_peers(segment);
        }
    }

    pub(super) fn count(&self, by: By) {
        self.meter.add(
            |c| match by {
                By::List => &c.proved_by_list,
                By::Digest => &c.proved_by_digest,
                By::Agreement => &c.proved_by_agreement,
                By::Slices => &c.proved_by_slices,
            },
            1,
        );
    }

    fn rhythm(&self) -> Rhythm {
        let is_live = !self.timeline.is_ended;
        let is_eager = is_live && self.profile.is_sealed;
        let target = if is_eager { READ_PAUSE } else { self.timeline.target_duration };
        Rhythm { is_live, target }
    }
}
