//! Segments whose names players refuse get one that says what they are.

use super::{daemon, uris};
use crate::ask::{self, get};
use crate::origin::TestOrigin;
use crate::resource::{Gate, Resource};

fn playlist(tags: &str) -> Resource {
    let text = format!(
        "#EXTM3U\n#EXT-X-TARGETDURATION:2\n{tags}#EXTINF:2,\nseg-1?t=1\n#EXTINF:2,\nseg-2.jpg\n\
         #EXT-X-ENDLIST\n"
    );
    Resource::playlist(&text)
}

#[tokio::test]
async fn segments_are_called_what_they_are() {
    let daemon = daemon().await;
    let addr = daemon.local_addr();
    let mut ts = vec![0; 188 * 50];
    ts.iter_mut().step_by(188).for_each(|byte| *byte = 0x47);
    let tagged = [b"ID3\x04\0\0\0\0\0\x02ab", &b"\x0b\x77\0\0\0\x80"[..]].concat();
    for (body, tags, suffix, looks) in [
        (ts.clone(), "", "~.ts", 1),
        (b"\xff\xf1\x50\x80packed audio".to_vec(), "", "~.aac", 1),
        (tagged, "", "~.ec3", 1),
        (b"WEBVTT\n\n00:00.000 --> 00:01.000\nHello\n".to_vec(), "", "~.vtt", 1),
        (b"nothing known".to_vec(), "", "~.ts", 1),
        (b"\0\0\0\x08moof".to_vec(), "#EXT-X-MAP:URI=\"init\"\n", "~.m4s", 0),
        (b"ciphertext".to_vec(), "#EXT-X-KEY:METHOD=AES-128,URI=\"key\"\n", "~.ts", 0),
    ] {
        let origin = TestOrigin::start().await;
        origin.put("/index.m3u8", playlist(tags));
        origin.put("/seg-1", Resource::new("application/octet-stream", body.clone()));
        origin.put("/seg-2.jpg", Resource::new("image/jpeg", body.clone()));
        let target = ask::path(&origin.url("/index.m3u8"));
        let first = get(addr, &target).await;
        let listed: Vec<_> =
            uris(first.text()).into_iter().filter(|u| u.contains("seg-")).collect();
        let path = |uri: &str| uri.split('?').next().unwrap().to_owned();
        assert!(listed.iter().all(|uri| path(uri).ends_with(suffix)), "{suffix}: {listed:?}");
        assert_eq!(get(addr, &target).await.body, first.body, "the same the next time");
        let looked = origin.requests_for("/seg-1");
        assert_eq!(looked.len(), looks, "{suffix}: {looked:?}");
        let is_small = |range: &str| range == "bytes=0-4095";
        assert!(looked.iter().all(|seen| is_small(seen.header("range"))), "{looked:?}");
        for uri in listed {
            let segment = get(addr, uri).await;
            assert_eq!((segment.status, &segment.body), (200, &body), "{uri}");
        }
    }
}

#[tokio::test]
async fn names_that_players_accept_cost_no_look() {
    let (origin, daemon) = (TestOrigin::start().await, daemon().await);
    let text = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\na.ts\n#EXT-X-ENDLIST\n";
    origin.put("/index.m3u8", Resource::playlist(text));
    get(daemon.local_addr(), &ask::path(&origin.url("/index.m3u8"))).await;
    assert_eq!(origin.requests().len(), 1);
}

#[tokio::test]
async fn a_playlist_is_given_out_although_its_segments_cannot_be_had() {
    let (origin, daemon) = (TestOrigin::start().await, daemon().await);
    origin.put("/index.m3u8", playlist(""));
    let answer = get(daemon.local_addr(), &ask::path(&origin.url("/index.m3u8"))).await;
    assert!(answer.text().contains("seg-1~.ts?t=1"), "{}", answer.text());
}

fn live(last: usize) -> Resource {
    let text = format!(
        "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nseg\n{}",
        "#EXTINF:2,\nnext\n".repeat(last)
    );
    Resource::playlist(&text).header("cache-control", "no-cache")
}

#[tokio::test]
async fn a_live_playlist_led_elsewhere_each_time_costs_one_look() {
    let (origin, daemon) = (TestOrigin::start().await, daemon().await);
    origin.put("/seg", Resource::new("", b"\xff\xf1\x50\x80packed audio".to_vec()));
    for n in 1..4 {
        origin.put("/index.m3u8", Resource::redirect(302, &format!("/led.m3u8?token={n}")));
        origin.put("/led.m3u8", live(n));
        let answer = get(daemon.local_addr(), &ask::path(&origin.url("/index.m3u8"))).await;
        assert_eq!(answer.text().matches("~.aac").count(), n + 1, "{}", answer.text());
    }
    assert_eq!(origin.requests_for("/seg").len(), 1);
}

#[tokio::test]
async fn a_slow_segment_keeps_the_player_of_a_live_stream_waiting_once_at_most() {
    let (origin, daemon) = (TestOrigin::start().await, daemon().await);
    let gate = Gate::closed();
    origin.put("/seg", Resource::ts(1000, 1).hold_head(&gate));
    let mut looks = Vec::new();
    for n in 1..4 {
        origin.put("/index.m3u8", live(n));
        let answer = get(daemon.local_addr(), &ask::path(&origin.url("/index.m3u8"))).await;
        assert_eq!(answer.text().matches("~.ts").count(), n + 1, "{}", answer.text());
        looks.push(origin.requests_for("/seg").len());
    }
    assert_eq!(looks[1..], [looks[0]; 2]);
}
