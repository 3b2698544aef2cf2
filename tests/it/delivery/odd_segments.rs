//! What comes in place of a segment, or with reservations, is passed on but not kept.

use super::daemon;
use crate::ask::{self, get, request, until_held};
use crate::origin::TestOrigin;
use crate::resource::{Resource, pattern};
use crate::sharing::world::until;
use hlswarm::daemon::Daemon;

const FROM_ORIGIN: &str = "hlswarm; fwd=miss; detail=origin";
const HIT: &str = "hlswarm; hit";
const LEN: usize = 5_000;

/// A film of one segment, its playlist read, and the segment's path at the daemon.
async fn film(segment: Resource) -> (TestOrigin, Daemon, String) {
    let (origin, daemon) = (TestOrigin::start().await, daemon().await);
    let text = "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\n0.ts\n#EXT-X-ENDLIST\n";
    origin.put("/l.m3u8", Resource::playlist(text));
    origin.put("/0.ts", segment);
    get(daemon.local_addr(), &ask::path(&origin.url("/l.m3u8"))).await;
    let target = ask::path(&origin.url("/0.ts"));
    (origin, daemon, target)
}

#[tokio::test]
async fn a_page_or_nothing_in_place_of_a_segment_is_not_kept() {
    for odd in ["", " \r\n<!doctype html><title>busy</title>"] {
        let (origin, daemon, target) = film(Resource::new("text/html", odd)).await;
        let answer = get(daemon.local_addr(), &target).await;
        assert_eq!((answer.status, answer.text()), (200, odd));
        origin.put("/0.ts", Resource::ts(LEN, 1));
        // Who asks before its end was noticed gets the same.
        until("a segment", async || get(daemon.local_addr(), &target).await.body != odd.as_bytes())
            .await;
        let answer = get(daemon.local_addr(), &target).await;
        assert!(answer.body == pattern(LEN, 1), "{odd}");
    }
}

#[tokio::test]
async fn a_segment_that_is_only_called_a_page_is_kept() {
    let (_origin, daemon, target) = film(Resource::new("text/html", pattern(LEN, 1))).await;
    for source in [FROM_ORIGIN, HIT] {
        let answer = get(daemon.local_addr(), &target).await;
        assert_eq!(answer.header("cache-status"), source);
        assert!(answer.body == pattern(LEN, 1));
        until_held(daemon.local_addr(), 1).await;
    }
}

#[tokio::test]
async fn a_segment_meant_for_one_player_is_not_kept_for_others() {
    for (said, is_kept) in [
        ("private, max-age=60", false),
        ("max-age=60, Private=\"set-cookie\"", true),
        ("no-cache", true),
        ("public", true),
    ] {
        let segment = Resource::ts(LEN, 1).header("cache-control", said);
        let (origin, daemon, target) = film(segment).await;
        let source = async || {
            let answer = get(daemon.local_addr(), &target).await;
            assert!(answer.body == pattern(LEN, 1));
            answer.header("cache-status").to_owned()
        };
        assert_eq!(source().await, FROM_ORIGIN);
        if is_kept {
            until("held", async || source().await == HIT).await;
            assert_eq!(origin.requests_for("/0.ts").len(), 1, "{said}");
        } else {
            // Who asks before its end was noticed reads along.
            until("asked again", async || {
                assert_eq!(source().await, FROM_ORIGIN, "{said}");
                origin.requests_for("/0.ts").len() == 3
            })
            .await;
        }
    }
}

#[tokio::test]
async fn who_only_asks_for_the_head_spoils_nothing() {
    let (_origin, daemon, target) = film(Resource::ts(LEN, 1)).await;
    for _ in 0..3 {
        let head = request(daemon.local_addr(), "HEAD", &target, &[]).await;
        assert_eq!((head.status, head.header("content-length")), (200, "5000"));
        assert!(head.body.is_empty());
    }
    let part = [("Range", "bytes=100-199")];
    let head = request(daemon.local_addr(), "HEAD", &target, &part).await;
    assert_eq!((head.status, head.header("content-range")), (206, "bytes 100-199/5000"));
    let answer = get(daemon.local_addr(), &target).await;
    assert!(answer.status == 200 && answer.body == pattern(LEN, 1));
}
