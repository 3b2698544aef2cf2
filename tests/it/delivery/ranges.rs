//! Parts of segments, asked for in every form, whether the segment is cold, arriving or held.

use super::{daemon, uris};
use crate::ask::{self, Answer, get, request};
use crate::origin::TestOrigin;
use crate::resource::{Gate, Resource, pattern};
use hlswarm::daemon::Daemon;

const LEN: usize = 100_000;
const LIST: &str = "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\na.ts\n#EXT-X-ENDLIST\n";
const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

/// A range, and the bytes it means of [`LEN`]: `None` for all of them with status 200, an empty
/// slice for 416.
const FORMS: [(&str, Option<(usize, usize)>); 14] = [
    ("bytes=0-", Some((0, LEN))),
    ("bytes=0-0", Some((0, 1))),
    ("bytes=500-999", Some((500, 1000))),
    ("bytes=99000-", Some((99_000, LEN))),
    ("bytes=-100", Some((LEN - 100, LEN))),
    ("bytes=-200000", Some((0, LEN))),
    ("bytes=99999-200000", Some((LEN - 1, LEN))),
    ("bytes=100000-", Some((0, 0))),
    ("bytes=-0", Some((0, 0))),
    ("bytes=5-3", None),
    ("bytes=a-b", None),
    ("lines=0-5", None),
    ("bytes=0-1,5-6", None),
    ("bytes=0-1, -1", None),
];

/// A daemon that has read the playlist, and the path of its only segment.
async fn cold(segment: Resource) -> (TestOrigin, Daemon, String) {
    let (origin, daemon) = (TestOrigin::start().await, daemon().await);
    origin.put("/l.m3u8", Resource::playlist(LIST));
    origin.put("/a.ts", segment);
    let list = get(daemon.local_addr(), &ask::path(&origin.url("/l.m3u8"))).await;
    let path = uris(list.text())[0].to_owned();
    (origin, daemon, path)
}

async fn part(daemon: &Daemon, path: &str, headers: &[(&str, &str)]) -> Answer {
    request(daemon.local_addr(), "GET", path, headers).await
}

fn check(answer: &Answer, form: &str, meant: Option<(usize, usize)>) {
    let (whole, told) = (pattern(LEN, 1), answer.header("content-range"));
    match meant {
        None => assert_eq!((answer.status, told), (200, ""), "{form}"),
        Some((0, 0)) => {
            assert_eq!((answer.status, told), (416, "bytes */100000"), "{form}");
            assert_eq!(answer.body, b"", "{form}");
            return;
        }
        Some((start, end)) => {
            let range = format!("bytes {start}-{}/{LEN}", end - 1);
            assert_eq!((answer.status, told), (206, range.as_str()), "{form}");
        }
    }
    let (start, end) = meant.unwrap_or((0, LEN));
    assert!(answer.body == whole[start..end], "{form}: wrong bytes");
    assert_eq!(answer.header("content-length"), (end - start).to_string(), "{form}");
    assert_eq!(answer.header("accept-ranges"), "bytes", "{form}");
}

#[tokio::test]
async fn every_form_of_range_is_answered_cold_and_held() {
    for (form, meant) in FORMS {
        let (origin, daemon, path) = cold(Resource::ts(LEN, 1)).await;
        let first = part(&daemon, &path, &[("Range", form)]).await;
        assert_eq!(first.header("cache-status"), "hlswarm; fwd=miss; detail=origin", "{form}");
        check(&first, form, meant);
        ask::until_held(daemon.local_addr(), 1).await;
        let second = part(&daemon, &path, &[("Range", form)]).await;
        assert_eq!(second.header("cache-status"), "hlswarm; hit", "{form}");
        check(&second, form, meant);
        let seen = origin.requests_for("/a.ts");
        assert_eq!((seen.len(), seen[0].header("range")), (1, ""), "{form}: all of it, once");
    }
}

#[tokio::test]
async fn every_form_of_range_is_answered_while_the_segment_arrives() {
    let gate = Gate::closed();
    let (origin, daemon, path) = cold(Resource::ts(LEN, 1).hold_body(LEN / 2, &gate)).await;
    let (addr, whole) = (daemon.local_addr(), path.clone());
    let reading = tokio::spawn(async move { get(addr, &whole).await });
    origin.wait_for_requests("/a.ts", 1).await;
    check(&part(&daemon, &path, &[("Range", "bytes=500-999")]).await, "early", Some((500, 1000)));
    let waiting: Vec<_> = FORMS
        .map(|(form, meant)| {
            let path = path.clone();
            let asked = async move { request(addr, "GET", &path, &[("Range", form)]).await };
            (tokio::spawn(asked), form, meant)
        })
        .into();
    gate.open();
    for (asked, form, meant) in waiting {
        check(&asked.await.unwrap(), form, meant);
    }
    assert_eq!(reading.await.unwrap().body, pattern(LEN, 1));
    assert_eq!(origin.requests_for("/a.ts").len(), 1);
}

#[tokio::test]
async fn every_form_of_range_is_answered_for_what_is_passed_through() {
    let (origin, daemon) = (TestOrigin::start().await, daemon().await);
    origin.put(
        "/film.mp4",
        Resource::new("video/mp4", pattern(LEN, 1)).header("accept-ranges", "bytes"),
    );
    let path = ask::path(&origin.url("/film.mp4"));
    for (form, meant) in FORMS {
        let answer = part(&daemon, &path, &[("Range", form)]).await;
        assert_eq!(answer.header("cache-status"), "hlswarm; fwd=bypass", "{form}");
        match meant {
            // The origin's own words.
            Some((0, 0)) => assert_eq!(answer.status, 416, "{form}"),
            _ => check(&answer, form, meant),
        }
    }
}

#[tokio::test]
async fn a_range_counts_only_for_the_version_it_was_meant_for() {
    let tagged = || Resource::ts(LEN, 1).header("etag", "\"v1\"").header("last-modified", DATE);
    let (part_of, whole) = (Some((500, 1000)), None);
    for (condition, meant) in [
        ("\"v1\"", part_of),
        ("\"v2\"", whole),
        ("W/\"v1\"", whole),
        (DATE, part_of),
        ("Mon, 07 Nov 1994 08:49:37 GMT", whole),
    ] {
        let (origin, daemon, path) = cold(tagged()).await;
        let headers = [("Range", "bytes=500-999"), ("If-Range", condition)];
        for _ in 0..2 {
            check(&part(&daemon, &path, &headers).await, condition, meant);
            ask::until_held(daemon.local_addr(), 1).await;
        }
        let seen = origin.requests_for("/a.ts");
        assert_eq!((seen.len(), seen[0].header("if-range")), (1, ""));
        if !condition.starts_with('"') {
            continue;
        }
        origin.put("/film.mp4", tagged().header("accept-ranges", "bytes"));
        let passed = part(&daemon, &ask::path(&origin.url("/film.mp4")), &headers).await;
        check(&passed, condition, meant);
        assert_eq!(origin.requests_for("/film.mp4")[0].header("if-range"), condition);
    }
}

#[tokio::test]
async fn the_end_of_a_large_segment_is_not_waited_for() {
    const LARGE: u64 = 50 << 20;
    let gate = Gate::closed();
    let (origin, daemon, path) = cold(Resource::generated(LARGE).hold_body(1 << 16, &gate)).await;
    for (form, start, size) in
        [("bytes=-1000", LARGE - 1000, 1000), ("bytes=40000000-40000999", 40_000_000, 1000)]
    {
        // All of it would come only after the gate has opened.
        let answer = part(&daemon, &path, &[("Range", form)]).await;
        let told = format!("bytes {start}-{}/{LARGE}", start + size - 1);
        assert_eq!((answer.status, answer.header("content-range")), (206, told.as_str()));
        let expected = (start..start + size).map(|at| (at % 251) as u8);
        assert!(answer.body.iter().copied().eq(expected), "{form}: wrong bytes");
        let asked = origin.requests_for("/a.ts");
        assert_eq!(asked.last().unwrap().header("range"), form);
    }
    assert!(origin.sent("/a.ts") < 1 << 20, "and what comes before is not fetched for nothing");
}

#[tokio::test]
async fn of_a_single_file_exactly_the_segments_are_asked_for() {
    for (name, kind) in [("all.ts", "video/mp2t"), ("all.mp4", "video/mp4")] {
        let (origin, daemon) = (TestOrigin::start().await, daemon().await);
        let list = format!(
            "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-MAP:URI=\"{name}\",BYTERANGE=\"1000@0\"\n\
             #EXTINF:4,\n#EXT-X-BYTERANGE:40000@1000\n{name}\n\
             #EXTINF:4,\n#EXT-X-BYTERANGE:59000\n{name}\n#EXT-X-ENDLIST\n"
        );
        origin.put("/l.m3u8", Resource::playlist(&list));
        let file = format!("/{name}");
        origin.put(&file, Resource::new(kind, pattern(LEN, 1)));
        let list = get(daemon.local_addr(), &ask::path(&origin.url("/l.m3u8"))).await;
        let path = uris(list.text())[0].to_owned();
        for (form, start, end, source) in [
            ("bytes=0-999", 0, 1000, "hlswarm; fwd=bypass"),
            ("bytes=1000-40999", 1000, 41_000, "hlswarm; fwd=miss; detail=origin"),
            ("bytes=1000-40999", 1000, 41_000, "hlswarm; hit"),
            ("bytes=41000-99999", 41_000, LEN, "hlswarm; fwd=miss; detail=origin"),
            ("bytes=50000-50099", 50_000, 50_100, "hlswarm; hit"),
        ] {
            let answer = part(&daemon, &path, &[("Range", form)]).await;
            assert_eq!(answer.header("cache-status"), source, "{form}");
            assert_eq!(answer.status, 206, "{form}");
            let told = format!("bytes {start}-{}/{LEN}", end - 1);
            assert_eq!(answer.header("content-range"), told, "{form}");
            assert!(answer.body == pattern(LEN, 1)[start..end], "{form}: wrong bytes");
            if source.contains("miss") {
                let held = if start == 1000 { 1 } else { 2 };
                ask::until_held(daemon.local_addr(), held).await;
            }
        }
        let seen = origin.requests_for(&file);
        let asked: Vec<_> = seen.iter().map(|seen| seen.header("range")).collect();
        assert_eq!(asked, ["bytes=0-999", "bytes=1000-40999", "bytes=41000-99999"]);
        let open = part(&daemon, &path, &[("Range", "bytes=0-")]).await;
        check_open(&open);
    }
}

/// All of a file as a range, from the origin: it is not one segment.
fn check_open(answer: &Answer) {
    assert_eq!((answer.status, answer.header("cache-status")), (206, "hlswarm; fwd=bypass"));
    assert!(answer.body == pattern(LEN, 1));
}
