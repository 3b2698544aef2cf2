//! The hash list of one stream: where it is, and what it last said.
//!
//! Read when there is something to prove, once; of a live stream again when it does not have a
//! segment yet, once in a target duration at the most. That there is none is remembered.

use std::sync::Arc;

use http::{HeaderMap, StatusCode};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use url::Url;

use super::{Context, Rhythm};
use crate::metrics::Meter;
use crate::origin::{FetchRequest, Origin, OriginError};
use crate::redact;
use crate::verify::Sha256;
use crate::verify::hash_list::{HashList, LIST_BYTES_MAX, place};

/// The list of one stream.
pub struct Lists {
    place: Url,
    /// The publisher has named it, and nothing is given out without its word.
    is_binding: bool,
    origin: Origin,
    meter: Meter,
    tasks: TaskTracker,
    cancel: CancellationToken,
    state: watch::Sender<State>,
}

#[derive(Clone, Debug, Default)]
struct State {
    list: Option<Arc<HashList>>,
    is_being_read: bool,
    /// When it was last asked for.
    asked_at: Option<Instant>,
    /// There is none, or none that is right.
    is_absent: bool,
}

impl Lists {
    /// Where the settings say, else beside the playlist.
    pub fn new(context: &Context) -> Arc<Self> {
        Arc::new(Self {
            is_binding: context.list.is_some(),
            place: match &context.list {
                Some(named) => named.clone(),
                None => place(&context.config.lists, &context.playlist),
            },
            origin: context.origin.clone(),
            meter: context.meter.clone(),
            tasks: context.tasks.clone(),
            cancel: context.cancel.clone(),
            state: watch::Sender::default(),
        })
    }

    /// Where it is.
    pub fn place(&self) -> &Url {
        &self.place
    }

    /// Whether it has the last word, even about what the origin sends.
    pub fn is_binding(&self) -> bool {
        self.is_binding
    }

    /// Whether there is one.
    pub fn has_list(&self) -> bool {
        self.state.borrow().list.is_some()
    }

    /// Whether it was looked for and not found.
    pub fn is_without(&self) -> bool {
        let state = self.state.borrow();
        state.list.is_none() && !state.is_being_read && state.asked_at.is_some()
    }

    /// What it says of a segment; `how` is how to ask for it.
    pub async fn find(
        self: &Arc<Self>,
        segment: &FetchRequest,
        how: &FetchRequest,
        rhythm: Rhythm,
    ) -> Option<Sha256> {
        let (path, range) = (segment.url.path(), segment.wanted.slice());
        if let Some(hash) = self.current(how, rhythm).await?.find(path, range) {
            return Some(hash);
        }
        self.read(how, rhythm);
        self.settled().await?.find(path, range)
    }

    /// The list, read if it was not yet.
    pub async fn current(
        self: &Arc<Self>,
        how: &FetchRequest,
        rhythm: Rhythm,
    ) -> Option<Arc<HashList>> {
        if !self.has_list() {
            self.read(how, rhythm);
        }
        self.settled().await
    }

    /// It is not the list of these segments.
    pub fn distrust(&self) {
        let list = redact::url(&self.place);
        tracing::warn!(%list, "a hash list is not of what the origin sends");
        self.state.send_modify(|state| *state = State { is_absent: true, ..State::default() });
    }

    /// The list when nobody is reading it.
    async fn settled(&self) -> Option<Arc<HashList>> {
        let mut states = self.state.subscribe();
        let settled = states.wait_for(|state| !state.is_being_read).await;
        settled.ok().and_then(|state| state.list.clone())
    }

    /// Begins to read it, if that may bring something new. A task of its own: whoever waits for it
    /// may give up.
    fn read(self: &Arc<Self>, how: &FetchRequest, rhythm: Rhythm) {
        let now = Instant::now();
        let begins = self.state.send_if_modified(|state| {
            let may = state.may_be_read(now, rhythm);
            if may {
                (state.is_being_read, state.asked_at) = (true, Some(now));
            }
            may
        });
        if !begins {
            return;
        }
        let (lists, how) = (self.clone(), how.clone());
        self.tasks.spawn(async move {
            let cancel = lists.cancel.clone();
            let read = cancel.run_until_cancelled(lists.fetch(&how)).await;
            lists.state.send_modify(|state| {
                state.is_being_read = false;
                match read {
                    Some(Ok(Some(list))) => state.list = Some(Arc::new(list)),
                    // That of a live stream may come later than its first segment.
                    Some(Ok(None)) if lists.is_binding && rhythm.is_live => {}
                    Some(Ok(None)) => state.is_absent = state.list.is_none(),
                    Some(Err(_)) | None => {}
                }
            });
        });
    }

    /// The list; `None` when the origin has none, or something else in its place.
    async fn fetch(&self, how: &FetchRequest) -> Result<Option<HashList>, OriginError> {
        let mut answer = self.origin.open_patiently(how, 0, None).await?;
        if answer.status != StatusCode::OK {
            return Ok(None);
        }
        let body = answer.collect(LIST_BYTES_MAX).await;
        let body = match body {
            Err(OriginError::TooLarge { .. }) => return Ok(None),
            body => body?,
        };
        self.meter.add(|c| &c.origin_bytes, body.len() as u64);
        let (list, headers): (_, &HeaderMap) = (HashList::parse(&body), &answer.headers);
        let is_encoded = super::super::download::is_encoded(headers);
        match list {
            Ok(list) => return Ok(Some(list)),
            Err(error) if !is_encoded => tracing::debug!(%error, "no hash list beside a playlist"),
            Err(_) => tracing::debug!("a hash list came encoded although nobody asked"),
        }
        Ok(None)
    }
}

impl State {
    fn may_be_read(&self, now: Instant, rhythm: Rhythm) -> bool {
        let is_time = self.asked_at.is_none_or(|at| now >= at + rhythm.target);
        let may_change = self.list.is_none() || rhythm.is_live;
        !self.is_absent && !self.is_being_read && is_time && may_change
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_list_is_read_again_only_while_it_grows_and_not_too_often() {
        let target = Duration::from_secs(4);
        let (live, film) = (Rhythm { is_live: true, target }, Rhythm { is_live: false, target });
        let now = Instant::now();
        let fresh = State::default();
        assert!(fresh.may_be_read(now, live) && fresh.may_be_read(now, film));
        let reading = State { is_being_read: true, asked_at: Some(now), ..State::default() };
        assert!(!reading.may_be_read(now + target, live));
        let list = Some(Arc::default());
        let read = State { list, asked_at: Some(now), ..State::default() };
        assert!(!read.may_be_read(now + target / 2, live));
        assert!(read.may_be_read(now + target, live));
        assert!(!read.may_be_read(now + target, film));
        let absent = State { is_absent: true, ..State::default() };
        assert!(!absent.may_be_read(now + target, live));
    }
}
