//! The seat of somebody inside the daemon: reads playlists and opens segments as a player would,
//! without HTTP between them.
//!
//! What is read is taught to the registry on the way, as for any player. It decides nothing about
//! when or what to fetch: the seeder drives it.

use std::collections::BTreeSet;
use std::sync::Arc;

use http::StatusCode;
use url::Url;

use super::answer::Front;
use super::held::{Content, Fetched};
use super::proxy::Asked;
use super::user_info::UserInfo;
use super::{detour, directives, reload, segment, steering};
use crate::ids::PlayerId;
use crate::origin::{OriginError, Wanted};
use crate::playlist::steering as steered;
use crate::playlist::{self, NotAPlaylist, Playlist, Segment, Timeline};
use crate::redact;
use crate::stream::{Opening, StreamHandle};

/// Statuses of the 4xx that say nothing about the next time.
const PASSING: [StatusCode; 4] = [
    StatusCode::REQUEST_TIMEOUT,
    StatusCode::TOO_EARLY,
    StatusCode::TOO_MANY_REQUESTS,
    StatusCode::LOCKED,
];

/// Somebody who asks for one playlist and what it lists.
#[derive(Clone)]
pub struct Seat {
    asked: Asked,
}

/// What a playlist was found to be.
pub enum Found {
    /// A choice of media playlists.
    Choice(Vec<Seat>),
    /// A media playlist, and its stream.
    Media(Timeline, StreamHandle),
}

/// Why a playlist could not be read.
#[derive(Debug, thiserror::Error)]
pub enum Unread {
    /// The origin could not be asked.
    #[error("{0}")]
    Origin(#[from] OriginError),
    /// It answered something else.
    #[error("the origin answers {}", .0.as_u16())]
    Status(StatusCode),
    /// Audio or video.
    #[error("this is audio or video, not a playlist")]
    Media,
    /// What came cannot be used.
    #[error("{0}")]
    Unusable(String),
    /// What came is no playlist that can be shared.
    #[error("{0}")]
    NoPlaylist(#[from] NotAPlaylist),
    /// It lists no segments so far.
    #[error("the playlist is empty so far")]
    Empty,
}

impl Unread {
    /// Whether another attempt may go better.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Origin(error) => error.is_retryable(),
            Self::Status(status) => !status.is_client_error() || PASSING.contains(status),
            Self::Empty => true,
            Self::Media | Self::Unusable(_) | Self::NoPlaylist(_) => false,
        }
    }
}

impl Seat {
    /// A seat in front of a URL that has no user name and password.
    pub fn new(url: Url) -> Self {
        Self { asked: Asked::of_ours(url, None) }
    }

    /// The URL, as it may be shown.
    pub fn shown(&self) -> String {
        redact::url(&self.asked.url)
    }

    /// Reads the playlist: from the origin, unless it is held and as good as new.
    ///
    /// # Errors
    /// [`Unread`] when there is none.
    pub async fn read(&mut self, front: &Arc<Front>) -> Result<Found, Unread> {
        let fetched = reload::bring(front, &self.asked).await?.fetched;
        if let Some(adopted) = &fetched.adopted {
            self.asked.enter(adopted);
        }
        match &fetched.content {
            Content::Text(Ok(Playlist::Media(timeline))) => {
                let stream = self.stream(front, timeline).ok_or(Unread::Empty)?;
                Ok(Found::Media(timeline.clone(), stream))
            }
            Content::Text(Ok(Playlist::Multivariant(_))) => self.choice(front, &fetched),
            Content::Text(Err(error)) => Err((*error).into()),
            Content::Unusable(why) => Err(Unread::Unusable(why.clone())),
            Content::Other if fetched.answer.media.is_some() => Err(Unread::Media),
            Content::Other if fetched.answer.status.is_success() => {
                Err(Unread::Unusable("the playlist cannot be decompressed".to_owned()))
            }
            Content::Other => Err(Unread::Status(fetched.answer.status)),
        }
    }

    /// The stream of what was read, started again if it had ended.
    pub fn stream(&self, front: &Front, timeline: &Timeline) -> Option<StreamHandle> {
        let plain = directives::split(&self.asked.url).0;
        let segment = &timeline.segments.last()?.url;
        front.registry.resume(self.asked.credentials, &plain, segment)
    }

    /// Opens a segment of the stream.
    pub async fn open(
        &self,
        front: &Arc<Front>,
        stream: &StreamHandle,
        segment: &Segment,
    ) -> Opening {
        let asked = Asked::of_ours(segment.url.clone(), Some(&self.asked));
        let request = segment::request(&asked, segment.range.map_or(Wanted::Whole, Wanted::Slice));
        let detour = detour::of(front, &asked, &directives::split(&self.asked.url).0);
        stream.open(segment.id, PlayerId::SEEDER, request, detour).await
    }

    /// The media playlists that players are given to choose from; what is for trick play alone has
    /// no viewers to share with.
    fn choice(&self, front: &Front, fetched: &Fetched) -> Result<Found, Unread> {
        let text = playlist::check(&fetched.answer.body)?;
        let pathway = steering::join(front, &self.asked, fetched);
        let text = pathway.map_or(text.clone(), |only| steered::only(&text, &only).into());
        let text = front.quality.narrow(&text);
        let mut base = fetched.answer.final_url.clone();
        let _ = UserInfo::take(&mut base);
        let Playlist::Multivariant(narrowed) = playlist::read(&text, &base, &fetched.imported)?
        else {
            return Err(Unread::Empty);
        };
        let mut seen = BTreeSet::new();
        let urls = narrowed.playlists().filter(|url| !narrowed.i_frame_playlists.contains(url));
        let seats = urls.filter(|url| seen.insert((*url).clone())).map(|url| {
            let mut url = url.clone();
            // With a name and password it would not be shared.
            let _ = UserInfo::take(&mut url);
            Self { asked: Asked::of_ours(url, Some(&self.asked)) }
        });
        Ok(Found::Choice(seats.collect()))
    }
}
