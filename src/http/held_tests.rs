//! Tests of `held`: what may be given out again, and what must not.

use super::*;
use crate::playlist::{self};
use bytes::Bytes;
use http::HeaderValue;
use url::Url;

const TARGET: Duration = Duration::from_secs(6);

fn key() -> Key {
    (0, "https://a.test/live.m3u8".to_owned())
}

fn directives(query: &str) -> Directives {
    let url: Url = format!("https://a.test/live.m3u8?{query}").parse().unwrap();
    super::super::directives::split(&url).1
}

fn none() -> Directives {
    Directives::default()
}

/// A live playlist of segments up to `last`, as it came at `now`.
fn live(last: u64, now: Instant) -> Fetched {
    let first = last.saturating_sub(4);
    let mut text = format!("#EXTM3U\n#EXT-X-TARGETDURATION:6\n#EXT-X-MEDIA-SEQUENCE:{first}\n");
    for n in first..=last {
        text += &format!("#EXTINF:6,\n{n}.ts\n");
    }
    fetched(&text, now)
}

fn fetched(text: &str, now: Instant) -> Fetched {
    let final_url: Url = "https://a.test/live.m3u8".parse().unwrap();
    let content = playlist::read(text, &final_url, &Definitions::default());
    let (edge, target) = match &content {
        Ok(Playlist::Media(t)) => (Some(Edge::of(t, text)), (!t.is_ended).then_some(TARGET)),
        _ => (None, None),
    };
    let answer = PlaylistAnswer {
        final_url,
        status: StatusCode::OK,
        headers: HeaderMap::new(),
        body: Bytes::from(text.to_owned()),
        media: None,
    };
    let content = Content::Text(content);
    let (began, came, imported) = (now, now, Arc::default());
    let (is_delta, variant, adopted) = (false, 1, None);
    let source = answer.final_url.clone();
    Fetched {
        answer,
        source,
        content,
        imported,
        edge,
        target,
        is_delta,
        began,
        came,
        variant,
        adopted,
    }
}

fn with(mut fetched: Fetched, name: &'static str, value: &'static str) -> Fetched {
    fetched.answer.headers.insert(name, HeaderValue::from_static(value));
    fetched
}

fn put(held: &mut Held, fetched: Fetched, now: Instant) -> u64 {
    held.put(key(), Arc::new(fetched), now).edge.map_or(0, |edge| edge.msn)
}

#[test]
fn a_live_playlist_is_given_out_again_for_half_a_target_duration() {
    let (mut held, t) = (Held::default(), Instant::now());
    assert!(held.fresh(&key(), &none(), 1, t).is_none() && !held.is_known(&key()));
    put(&mut held, live(9, t), t);
    let just = t + TARGET / 2 - Duration::from_millis(1);
    assert_eq!(held.fresh(&key(), &none(), 2, just).unwrap().age(just).as_secs(), 2);
    assert!(held.fresh(&key(), &none(), 1, t + TARGET / 2).is_none());
    assert!(held.is_known(&key()) && held.latest(&key(), 1).is_some());
    assert!(held.fresh(&(7, key().1), &none(), 1, t).is_none(), "other credentials");
}

#[test]
fn nobody_is_given_less_than_somebody_was_given() {
    let (mut held, t) = (Held::default(), Instant::now());
    assert_eq!(put(&mut held, live(9, t), t), 10);
    let later = t + TARGET;
    assert_eq!(put(&mut held, live(8, later), later), 10, "from a server that lags");
    let much_later = t + TARGET * 2;
    assert_eq!(put(&mut held, live(8, much_later), much_later), 9, "nothing better is left");
    assert!(held.fresh(&key(), &none(), 1, much_later).is_none(), "and it is not given again");
    assert_eq!(put(&mut held, live(11, much_later), much_later), 12);
    assert_eq!(put(&mut held, live(2, much_later), much_later), 3, "it has begun anew");
    assert!(held.fresh(&key(), &none(), 1, much_later).is_some());
}

#[test]
fn other_files_at_the_same_positions_are_another_stream() {
    let (mut held, t) = (Held::default(), Instant::now());
    put(&mut held, live(9, t), t);
    let other = String::from_utf8(live(8, t).answer.body.to_vec()).unwrap().replace(".ts", ".m4s");
    assert_eq!(put(&mut held, fetched(&other, t), t), 9);
    assert!(held.fresh(&key(), &none(), 1, t).is_some());
}

#[test]
fn a_delta_update_is_not_held_but_counts_as_given_out() {
    let (mut held, t) = (Held::default(), Instant::now());
    put(&mut held, live(9, t), t);
    assert_eq!(put(&mut held, Fetched { is_delta: true, ..live(10, t) }, t), 11);
    assert!(held.fresh(&key(), &none(), 1, t).is_none());
    assert!(held.stand_in(&key(), 1, t).is_none());
    put(&mut held, live(10, t), t);
    assert!(held.fresh(&key(), &none(), 1, t).is_some());
}

#[test]
fn what_has_the_awaited_segment_is_no_reason_to_wait() {
    let (mut held, t) = (Held::default(), Instant::now());
    put(&mut held, live(9, t), t);
    assert!(held.fresh(&key(), &directives("_HLS_msn=9"), 1, t).is_some());
    assert!(held.fresh(&key(), &directives("_HLS_msn=10"), 1, t).is_none());
    let ended = fetched("#EXTM3U\n#EXT-X-TARGETDURATION:6\n#EXT-X-ENDLIST\n", t);
    put(&mut held, with(ended, "cache-control", "max-age=60"), t);
    assert!(held.fresh(&key(), &directives("_HLS_msn=10"), 1, t).is_some(), "it has ended");
}

#[test]
fn what_is_for_one_player_is_not_given_to_another() {
    let t = Instant::now();
    assert!(live(9, t).is_for(2));
    let varying = with(live(9, t), "vary", "User-Agent");
    assert!(varying.is_for(1) && !varying.is_for(2));
    assert!(!with(live(9, t), "set-cookie", "a=1").is_for(1));
    let mut refused = live(9, t);
    refused.answer.status = StatusCode::FORBIDDEN;
    assert!(refused.is_for(1) && !refused.is_for(2));
}

#[test]
fn a_live_playlist_stands_in_for_one_target_duration_more() {
    let (mut held, t) = (Held::default(), Instant::now());
    put(&mut held, live(9, t), t);
    assert!(held.stand_in(&key(), 1, t + TARGET * 3 / 2).is_some());
    assert!(held.stand_in(&key(), 1, t + TARGET * 3 / 2 + Duration::from_millis(1)).is_none());
    let ended = fetched("#EXTM3U\n#EXT-X-TARGETDURATION:6\n#EXT-X-ENDLIST\n", t);
    put(&mut held, ended, t);
    assert!(held.stand_in(&key(), 1, t).is_none());
}

#[test]
fn a_renewed_playlist_is_young_and_has_the_new_headers() {
    let t = Instant::now();
    let old = with(with(live(9, t), "age", "5"), "etag", "\"v1\"");
    let later = t + TARGET;
    assert_eq!(old.age(later), TARGET + Duration::from_secs(5));
    let said = HeaderMap::from_iter([(http::header::DATE, HeaderValue::from_static("now"))]);
    let renewed = old.renewed(&said, later, later);
    assert_eq!(renewed.age(later), Duration::ZERO);
    assert_eq!(renewed.answer.headers["date"], "now");
    assert_eq!(renewed.answer.headers["etag"], "\"v1\"");
}

#[test]
fn memory_is_limited() {
    let (mut held, t) = (Held::default(), Instant::now());
    let text = format!("#EXTM3U\n#{}\n", "x".repeat(TEXT_BYTES_MAX - 20));
    let large = Arc::new(fetched(&text, t));
    for n in 0..100 {
        held.put((n, String::new()), large.clone(), t);
    }
    assert!(held.bytes <= BYTES_MAX && held.slots.len() == BYTES_MAX / text.len());
    let total: usize = held.slots.iter().map(|(_, slot)| slot.latest.answer.body.len()).sum();
    assert_eq!(total, held.bytes);
    held.put((0, "large".to_owned()), Arc::new(fetched(&(text + &"x".repeat(40)), t)), t);
    assert!(!held.is_known(&(0, "large".to_owned())));
    for n in 0..1000 {
        held.put((n, String::new()), Arc::new(live(n, t)), t);
    }
    assert_eq!(held.slots.len(), PLAYLISTS_MAX.get());
    held.clear();
    assert_eq!((held.bytes, held.slots.len()), (0, 0));
}
