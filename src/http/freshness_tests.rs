//! Tests of `freshness`: lifetimes, edges, conditions.

use super::*;
use crate::playlist::{self, Playlist};

fn map(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
    pairs.iter().map(|(n, v)| ((*n).parse().unwrap(), HeaderValue::from_static(v))).collect()
}

fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn a_live_playlist_is_held_for_half_a_target_duration_or_less() {
    for (headers, live, other) in [
        (map(&[]), s(3), s(0)),
        (map(&[("cache-control", "max-age=2")]), s(2), s(2)),
        (map(&[("cache-control", "public, MAX-AGE=60")]), s(3), s(60)),
        (map(&[("cache-control", "max-age=60"), ("age", "58")]), s(2), s(2)),
        (map(&[("cache-control", "max-age=60"), ("age", "99")]), s(0), s(0)),
        (map(&[("cache-control", "no-cache")]), s(0), s(0)),
        (map(&[("cache-control", "max-age=60"), ("cache-control", "no-store")]), s(0), s(0)),
        (map(&[("cache-control", "max-age=x")]), s(0), s(0)),
        (map(&[("cache-control", "max-age=99999999")]), s(3), HELD_MAX),
        (map(&[("expires", "0")]), s(0), s(0)),
        (
            map(&[
                ("date", "Sun, 06 Nov 1994 08:49:37 GMT"),
                ("expires", "Sun, 06 Nov 1994 08:50:37 GMT"),
            ]),
            s(3),
            s(60),
        ),
        (
            map(&[
                ("date", "Sun, 06 Nov 1994 08:49:37 GMT"),
                ("expires", "Thu, 01 Jan 1970 00:00:00 GMT"),
            ]),
            s(0),
            s(0),
        ),
    ] {
        assert_eq!(lifetime(&headers, Some(s(6))), live, "{headers:?}");
        assert_eq!(lifetime(&headers, None), other, "{headers:?}");
    }
}

#[test]
fn an_edge_counts_segments_and_the_parts_behind_them() {
    let base = "https://a.test/x.m3u8".parse().unwrap();
    let head = "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:7\n";
    for (rest, msn, parts) in [
        ("", 7, 0),
        ("#EXT-X-PART:DURATION=1,URI=\"p\"\n", 7, 1),
        ("#EXTINF:4,\na.ts\n", 8, 0),
        (
            "#EXT-X-PART:DURATION=1,URI=\"p\"\n#EXTINF:4,\na.ts\r\n\n\
             #EXT-X-PART:DURATION=1,URI=\"q\"\n#EXT-X-PART:DURATION=1,URI=\"r\"\n\
             #EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"s\"\n",
            8,
            2,
        ),
        ("#EXT-X-SKIP:SKIPPED-SEGMENTS=5\n#EXTINF:4,\nf.ts\n", 13, 0),
    ] {
        let text = format!("{head}{rest}");
        let read = playlist::read(&text, &base, &playlist::Definitions::default());
        let Ok(Playlist::Media(timeline)) = read else { panic!("{text}") };
        assert_eq!(Edge::of(&timeline, &text), Edge { msn, parts, is_end: false }, "{text}");
    }
}

#[test]
fn a_server_that_lags_is_told_from_a_stream_that_begins_anew() {
    let edge = |msn, parts| Edge { msn, parts, is_end: false };
    assert!(edge(9, 0).lags_behind(edge(10, 0)) && edge(7, 3).lags_behind(edge(10, 0)));
    assert!(edge(10, 1).lags_behind(edge(10, 2)));
    let end = Edge { is_end: true, ..edge(10, 2) };
    assert!(edge(10, 2).lags_behind(end) && !end.lags_behind(edge(10, 2)));
    for newer in [edge(10, 2), edge(11, 0), edge(6, 9), edge(0, 0)] {
        assert!(!newer.lags_behind(edge(10, 2)), "{newer:?}");
    }
}

#[test]
fn players_that_may_get_another_answer_are_told_apart() {
    for (vary, expected) in [
        ("Origin, Accept-Encoding", false),
        ("", false),
        ("accept-encoding,user-AGENT", true),
        ("Referer", true),
        ("*", true),
    ] {
        let headers = HeaderMap::from_iter([(VARY, HeaderValue::from_static(vary))]);
        assert_eq!(varies(&headers), expected, "{vary}");
    }
    let vlc = variant(&map(&[("user-agent", "VLC"), ("cookie", "a=1")]));
    assert_eq!(vlc, variant(&map(&[("user-agent", "VLC")])));
    assert_ne!(vlc, variant(&map(&[("user-agent", "mpv")])));
    assert_ne!(vlc, variant(&map(&[("referer", "VLC")])));
}

#[test]
fn a_player_that_has_it_already_is_told_so() {
    let answer = map(&[("etag", "\"v1\""), ("last-modified", "then")]);
    for (sent, expected) in [
        (map(&[]), false),
        (map(&[("if-none-match", "\"v1\"")]), true),
        (map(&[("if-none-match", "\"v0\", W/\"v1\"")]), true),
        (map(&[("if-none-match", "*")]), true),
        (map(&[("if-none-match", "\"v2\"")]), false),
        (map(&[("if-none-match", "\"v2\""), ("if-modified-since", "then")]), false),
        (map(&[("if-modified-since", "then")]), true),
        (map(&[("if-modified-since", "now")]), false),
    ] {
        assert_eq!(is_known(&sent, &answer), expected, "{sent:?}");
    }
    assert!(!is_known(&map(&[("if-none-match", "*")]), &map(&[])));
    let asked = map(&[("if-none-match", "\"v1\""), ("if-modified-since", "then")]);
    assert_eq!(conditions(&answer), Some(asked));
    assert_eq!(conditions(&map(&[])), None);
}
