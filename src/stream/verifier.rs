//! Carries out the proofs that what peers sent is the origin's, beside the actor.
//!
//! Which proof counts and what is compared is decided in [`crate::verify`]; the actor holds back
//! what is not proved and acts on the verdict. Each check is a task: it hashes, or asks the origin
//! again for a little, and never holds anybody up for long.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use url::Url;

use super::buffer::SegmentBuffer;
use super::detour::Detour;
use crate::ids::{PeerKey, SegmentId};
use crate::metrics::Meter;
use crate::origin::{FetchRequest, Origin, Wanted};
use crate::verify::Sha256;
use crate::verify::hash_list::ListPlace;
use crate::verify::ladder::Mode;
use crate::verify::trust::{Share, Trust};

mod glimpse;
mod lists;
pub mod means;
mod proof;
mod sealed;

pub use glimpse::Answer;
use lists::Lists;
use means::Means;
pub use means::Rhythm;
use proof::Proving;
pub use sealed::READ_PAUSE;

/// How peers' bytes are proved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VerifyConfig {
    /// How far down the ladder.
    pub mode: Mode,
    /// Hash lists that are not where they are looked for.
    pub lists: Vec<ListPlace>,
}

/// What one stream's proofs are made with.
pub struct Context {
    /// How.
    pub config: VerifyConfig,
    /// The media playlist, as the player asked for it.
    pub playlist: Url,
    /// The list that has to have every segment, whoever sends it.
    pub list: Option<Url>,
    /// The upstream client; it counts its requests.
    pub origin: Origin,
    /// Counts bytes.
    pub meter: Meter,
    /// Where verdicts go. Bounded: a check waits for a busy actor.
    pub events: mpsc::Sender<Verdict>,
    /// Spawns tasks that shutdown waits for.
    pub tasks: TaskTracker,
    /// Ends every check.
    pub cancel: CancellationToken,
}

/// What is to be proved.
pub struct Evidence {
    /// The segment.
    pub segment: SegmentId,
    /// Where its bytes wait.
    pub buffer: Arc<SegmentBuffer>,
    /// Whether they are all there, or the origin is sending what follows.
    pub is_whole: bool,
    /// Which of them are whose, and not proved yet.
    pub shares: Vec<Share>,
    /// How the origin is asked for the segment.
    pub request: FetchRequest,
    /// How it is asked for the hash list.
    pub list: FetchRequest,
    /// How often that may change.
    pub rhythm: Rhythm,
    /// Where else to ask.
    pub detour: Option<Arc<dyn Detour>>,
    /// The hash that members agree on.
    pub agreed: Option<Sha256>,
}

/// What came of a check; `serial` tells the checks of one segment apart.
#[derive(Debug)]
pub struct Verdict {
    /// The segment; `None` when only the means of proof were looked for.
    pub of: Option<(SegmentId, u64)>,
    /// What came of it.
    pub outcome: Outcome,
}

/// What came of a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// So many first bytes of the segment are the origin's.
    Proved(u64, By),
    /// Only the whole segment can be proved.
    Later,
    /// They are not the origin's; who sent them, where that is certain.
    Wrong(Option<PeerKey>),
    /// It could not be found out, or not in time.
    Unproven,
}

/// What proved a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// A hash list of the publisher.
    List,
    /// A digest that the origin stated.
    Digest,
    /// A hash that members agree on.
    Agreement,
    /// Slices, or all of it, compared with the origin's.
    Slices,
}

/// The checks of one stream.
pub struct Verifier {
    context: Context,
    lists: Arc<Lists>,
    means: Arc<Means>,
    /// What peers have shown.
    pub trust: Trust,
    serials: u64,
    has_looked: bool,
    /// What the core was told last of whether to ask peers.
    takes: bool,
}

impl Verifier {
    /// Nothing is asked for until there is something to prove.
    pub fn new(context: Context) -> Self {
        let lists = Lists::new(&context);
        let means = Arc::new(Means::new(context.config.mode, context.origin.clone()));
        let trust = Trust::default();
        Self { context, lists, means, trust, serials: 0, has_looked: false, takes: true }
    }

    /// Where the hash list is, if there is one.
    pub fn list_url(&self) -> &Url {
        self.lists.place()
    }

    /// Whether the origin sends ranges, as far as is known.
    pub fn has_ranges(&self) -> bool {
        self.means.has_ranges()
    }

    /// Looks for means of proof, the first time that there are peers and that it is known how
    /// players ask; `segment` is how the origin is asked for one.
    pub fn look(&mut self, list: FetchRequest, segment: FetchRequest, rhythm: Rhythm) {
        if std::mem::replace(&mut self.has_looked, true) {
            return;
        }
        let (lists, means) = (self.lists.clone(), self.means.clone());
        let events = self.context.events.clone();
        self.spawn(CancellationToken::new(), async move {
            if lists.current(&list, rhythm).await.is_none()
                && matches!(segment.wanted, Wanted::Whole)
            {
                means.digest(&segment).await;
            }
            // Without an actor there is nobody left to tell.
            let _ = events.send(Verdict { of: None, outcome: Outcome::Later }).await;
        });
    }

    /// Begins a check; its number, and what ends it.
    pub fn begin(&mut self, evidence: Evidence) -> (u64, CancellationToken) {
        self.serials += 1;
        let (serial, of) = (self.serials, Some((evidence.segment, self.serials)));
        let cancel = self.context.cancel.child_token();
        let proving = Proving::new(
            evidence,
            &self.trust,
            self.lists.clone(),
            self.means.clone(),
            self.context.meter.clone(),
        );
        let events = self.context.events.clone();
        self.spawn(cancel.clone(), async move {
            let outcome = proving.run().await;
            let _ = events.send(Verdict { of, outcome }).await;
        });
        (serial, cancel)
    }

    /// Whether peers are to be asked, where that has changed: not where nothing could prove what
    /// they would send without fetching all of it.
    pub fn takes(&mut self) -> Option<bool> {
        let takes = self.lists.has_list() || self.means.suffice();
        (std::mem::replace(&mut self.takes, takes) != takes).then_some(takes)
    }

    fn spawn(&self, cancel: CancellationToken, task: impl Future<Output = ()> + Send + 'static) {
        let stream = self.context.cancel.clone();
        self.context.tasks.spawn(async move {
            stream.run_until_cancelled(cancel.run_until_cancelled(task)).await;
        });
    }
}
