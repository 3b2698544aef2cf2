//! What cannot be seeded is said; what is away for a while is waited for.

use super::{Seed, around};
use crate::ask;
use crate::origin::TestOrigin;
use crate::program::{command, run};
use crate::resource::{Resource, Switch};
use crate::sharing::world::{Film, Tracker, transport_stream};
use hlswarm::seed::Notice;
use std::process::Output;

fn errors(output: &Output) -> Vec<String> {
    let text = String::from_utf8(output.stderr.clone()).unwrap();
    text.lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn each_url_that_cannot_be_seeded_is_named_with_the_reason() {
    let (origin, tracker) = (TestOrigin::start().await, Tracker::start().await);
    origin.put("/page.m3u8", Resource::new("text/html", "<!doctype html><p>hello"));
    origin.put("/a.ts", Resource::new("video/mp2t", transport_stream(50, 1)));
    let urls = ["/nothing.m3u8?token=s3cret", "/page.m3u8", "/a.ts"].map(|path| origin.url(path));
    let mut call = command();
    call.env("HLSWARM_P2P_BIND", "127.0.0.1").args(["seed", "--listen", "127.0.0.1:0"]);
    call.args(["--tracker", &tracker.url()]).args(urls.iter().map(url::Url::as_str));
    let output = call.output().await.unwrap();
    let lines = errors(&output);
    assert_eq!(output.status.code(), Some(1), "{lines:?}");
    for (url, why) in [
        ("/nothing.m3u8?token=***", "404"),
        ("/page.m3u8", "web page"),
        ("/a.ts", "audio or video"),
    ] {
        let wanted = |line: &&String| line.contains(url) && line.contains(why);
        assert_eq!(lines.iter().filter(wanted).count(), 1, "{url}: {lines:?}");
    }
    assert_eq!(lines.last().unwrap(), "hlswarm: nothing is left to be seeded");
    assert!(!lines.concat().contains("s3cret"), "{lines:?}");
}

#[tokio::test]
async fn what_makes_no_sense_is_wrong_usage() {
    let tracker = ["--tracker", "ws://127.0.0.1:1"];
    for (arguments, why) in [
        (&["http://a.test/x.m3u8"][..], "--tracker"),
        (&[&tracker[..], &["cdn.example.com/x.m3u8"]].concat(), "http:// or https://"),
        (&[&tracker[..], &["http://me:s3cret@a.test/x.m3u8"]].concat(), "password"),
        (&[&tracker[..], &["--upload-rate", "1k", "http://a/"]].concat(), "--upload-rate"),
        (&[&tracker[..], &["--cache", "much", "http://a/"]].concat(), "--cache"),
        (&[&tracker[..], &["--variant", "best", "http://a/"]].concat(), "--variant"),
        (&tracker, "required arguments"),
    ] {
        let output = run(&[&["seed"], arguments].concat()).await;
        let text = errors(&output).join("\n");
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {text}");
        assert!(text.contains(why) && !text.contains("s3cret"), "{arguments:?}: {text}");
    }
}

#[tokio::test]
async fn an_origin_that_is_away_for_a_while_is_asked_again() {
    let (origin, tracker) = (TestOrigin::start().await, Tracker::start().await);
    let film = Film::new(3, 50);
    let url = film.put(&origin);
    let (_kept, nobody) = ask::nobody();
    let lost = format!("http://{nobody}/film/index.m3u8").parse().unwrap();
    let trouble = Switch::on();
    origin.put(&Film::path(1), film.resource(1).fail_while(&trouble, 404));
    let mut seed = Seed::start(&around(&tracker), &[&lost, &url]).await;
    let notice = seed.notice().await;
    assert!(matches!(notice, Notice::Away { .. }), "{notice:?}");
    assert!(notice.to_string().ends_with("could not be reached; trying again"), "{notice}");
    seed.holds(2).await;
    assert!(!origin.requests_for(&Film::path(1)).is_empty());
}

#[tokio::test]
async fn a_playlist_that_comes_back_is_seeded() {
    let (origin, tracker) = (TestOrigin::start().await, Tracker::start().await);
    let film = Film::new(3, 50);
    let url = film.put(&origin);
    let trouble = Switch::on();
    let text = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nseg-0.ts\n#EXT-X-ENDLIST\n";
    origin.put("/film/index.m3u8", Resource::playlist(text).fail_while(&trouble, 503));
    let mut seed = Seed::start(&around(&tracker), &[&url]).await;
    let notice = seed.notice().await;
    assert!(notice.to_string().ends_with("the origin answers 503; trying again"), "{notice}");
    trouble.turn_off();
    seed.is_whole().await;
}

#[tokio::test]
async fn what_cannot_be_kept_is_fetched_once_and_said() {
    let (origin, tracker) = (TestOrigin::start().await, Tracker::start().await);
    let film = Film::new(1, 6_000);
    let url = film.put(&origin);
    let mut settings = around(&tracker);
    origin.put(&Film::path(0), film.resource(0).header("cache-control", "private"));
    let mut seed = Seed::start(&settings, &[&url]).await;
    let notice = seed.notice().await;
    assert!(notice.to_string().contains("lets nobody keep"), "{notice}");
    assert_eq!(origin.fetches_of(&Film::path(0)).len(), 1);
    settings.cache.segment_bytes_max = 1 << 20;
    let mut seed = Seed::start(&settings, &[&url]).await;
    let notice = seed.notice().await;
    assert!(notice.to_string().contains("too large"), "{notice}");
}

#[tokio::test]
async fn the_usual_port_may_be_taken() {
    let (origin, tracker) = (TestOrigin::start().await, Tracker::start().await);
    let (kept, taken) = ask::nobody();
    let listener = std::net::TcpListener::bind(taken);
    drop(kept);
    let url = origin.url("/nothing.m3u8");
    let mut call = command();
    call.env("HLSWARM_HTTP_LISTEN", taken.to_string()).env("HLSWARM_P2P_BIND", "127.0.0.1");
    call.args(["seed", "--tracker", &tracker.url(), url.as_str()]);
    let output = call.output().await.unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with("hlswarm listens on http://127.0.0.1:"), "{text}");
    drop(listener);
}
