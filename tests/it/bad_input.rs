//! What people mistype and origins get wrong: a clear status, one line in the log, and the daemon
//! goes on.

use crate::ask;
use crate::origin::TestOrigin;
use crate::program::Program;
use crate::resource::{Resource, pattern};
use hlswarm::origin::PLAYLIST_BYTES_MAX;

fn warnings(program: &Program) -> Vec<String> {
    program.log().into_iter().filter(|line| line.contains(" WARN ")).collect()
}

/// Asks for each path in turn: the answer is a problem with that status and phrase, and the log
/// has one warning with that phrase for it, and none else.
async fn expect_problems(program: &Program, cases: &[(String, u16, &str)]) {
    for (target, status, phrase) in cases {
        let detail = ask::get(program.addr(), target).await.problem(*status);
        assert!(detail.contains(phrase), "{target}: {detail}");
        assert_eq!(ask::get(program.addr(), "/api/v1/health").await.status, 200);
    }
    ask::get(program.addr(), "/play").await.problem(400);
    program.wait_for_log("the parameter url is missing").await;
    let logged = warnings(program);
    assert_eq!(logged.len(), cases.len() + 1, "{logged:#?}");
    for ((target, status, phrase), line) in cases.iter().zip(&logged) {
        assert!(line.contains(phrase) && line.contains(&status.to_string()), "{target}: {line}");
        assert!(!line.contains("s3cret"), "{line}");
    }
}

#[tokio::test]
async fn says_what_is_wrong_with_a_url() {
    let program = Program::start(&[]).await;
    let own = program.addr();
    let long = format!("/https/a.invalid/{}", "x".repeat(17 << 10));
    let cases = [
        ("/nonsense", 404, "http://ADDRESS/https/HOST/PATH"),
        ("/ftp/a.invalid/x.m3u8?t=s3cret", 404, "http://ADDRESS/https/HOST/PATH"),
        ("/https/", 400, "not a host and path"),
        ("/https//x.m3u8?t=s3cret", 400, "not a host and path"),
        ("/http/[::1/x.m3u8?t=s3cret", 400, "not a host and path"),
        ("/http/a.invalid:99999/x.m3u8", 400, "not a host and path"),
        ("/http/me:s3cret@169.254.169.254/x.m3u8", 403, "169.254.169.254"),
        ("/play?url=file:///etc/passwd", 400, "not an http or https URL"),
        ("/play?url=s3cret", 400, "not an http or https URL"),
        ("/m3u?url=ftp%3A%2F%2Fa.invalid%2Fs3cret", 400, "not an http or https URL"),
        (&long, 400, "longer than 16384 bytes"),
        (&format!("/http/{own}/http/{own}/x.m3u8"), 400, "leads to the daemon itself"),
        (&format!("/http/localhost:{}/", own.port()), 400, "leads to the daemon itself"),
        (&format!("/http/[::1]:{}/", own.port()), 400, "leads to the daemon itself"),
        ("/http/169.254.169.254/latest/meta-data/", 403, "169.254.169.254"),
    ];
    let cases = cases.map(|(target, status, phrase)| (target.to_owned(), status, phrase));
    expect_problems(&program, &cases).await;
}

#[tokio::test]
async fn a_host_that_does_not_exist_is_told_at_once() {
    let program = Program::start(&[]).await;
    let cases = [
        ("/http/nowhere.invalid/x.m3u8?t=s3cret".to_owned(), 502, "nowhere.invalid"),
        ("/https/nowhere.invalid/x.ts?t=s3cret".to_owned(), 502, "could not be resolved"),
    ];
    // Retrying would take seconds; that it does not is seen by there being no word of it.
    expect_problems(&program, &cases).await;
}

#[tokio::test]
async fn an_origin_that_is_down_is_named() {
    let program = Program::start(&[]).await;
    let (_kept, host) = ask::nobody();
    let cases = [(format!("/http/{host}/x.m3u8?t=s3cret"), 502, "could not be reached")];
    expect_problems(&program, &cases).await;
    assert!(warnings(&program)[0].contains(&host.to_string()));
}

#[tokio::test]
async fn what_is_no_playlist_is_not_given_out_as_one() {
    let origin = TestOrigin::start().await;
    let html = "<!doctype html><title>Sign in</title>";
    origin.put("/html.m3u8", Resource::new("text/html", html));
    origin.put("/nul.m3u8", Resource::playlist("#EXTM3U\n#EXTINF:4,\nseg\x001.ts\n"));
    origin.put("/nul", Resource::playlist("#EXTM3U\n#EXTINF:4,\nseg\x001.ts\n"));
    origin.put("/empty.m3u8", Resource::playlist(""));
    origin.put("/round.m3u8", Resource::endless_redirect());
    origin.put("/file.m3u8", Resource::redirect(302, "file:///etc/passwd"));
    let program = Program::start(&[]).await;
    let at = |path: &str| ask::path(&origin.url(path)) + "?t=s3cret";
    let cases = [
        (at("/html.m3u8"), 502, "127.0.0.1"),
        (at("/nul.m3u8"), 502, "127.0.0.1"),
        (at("/nul"), 502, "127.0.0.1"),
        (at("/empty.m3u8"), 502, "127.0.0.1"),
        (at("/round.m3u8"), 502, "redirects without end"),
        (at("/file.m3u8"), 502, "not an http(s) URL"),
        (at("/own.m3u8"), 403, "an address that the settings do not allow"),
    ];
    let round = format!("http://{}/http/origin.example/own.m3u8", program.addr());
    origin.put("/own.m3u8", Resource::redirect(302, &round));
    expect_problems(&program, &cases).await;
}

#[tokio::test]
async fn the_download_of_an_endless_playlist_ends_at_the_limit() {
    let origin = TestOrigin::start().await;
    const LEN: u64 = 50 << 20;
    origin.put("/told.m3u8", Resource::generated(LEN));
    origin.put("/untold.m3u8", Resource::generated(LEN).without_length());
    let program = Program::start(&[]).await;
    let at = |path: &str| ask::path(&origin.url(path));
    let cases = [
        (at("/told.m3u8"), 502, "sent more than 10485760 bytes"),
        (at("/untold.m3u8"), 502, "sent more than 10485760 bytes"),
    ];
    expect_problems(&program, &cases).await;
    for path in ["/told.m3u8", "/untold.m3u8"] {
        let sent = origin.wait_for_end(path).await;
        assert!(sent < LEN, "{path}: {sent} bytes have left");
        assert_eq!(origin.requests_for(path).len(), 1, "it is not asked for again");
    }
    let peak = program.peak_memory();
    assert!(peak < 10 * PLAYLIST_BYTES_MAX as u64, "{peak} bytes");
}

#[tokio::test]
async fn an_answer_that_ends_early_reaches_the_player_as_cut_short() {
    let origin = TestOrigin::start().await;
    let whole = Resource::ts(300_000, 1).without_ranges();
    origin.put("/a.ts", whole.truncate_first(usize::MAX, 100_000));
    let program = Program::start(&[]).await;
    let answer = ask::get(program.addr(), &ask::path(&origin.url("/a.ts?t=s3cret"))).await;
    assert_eq!((answer.status, answer.header("content-length")), (200, "300000"));
    assert!(answer.body.len() <= 100_000 && answer.body == pattern(answer.body.len(), 1));
    program.wait_for_log("ended its answer early").await;
    assert_eq!(warnings(&program).len(), 1, "{:#?}", warnings(&program));
    assert_eq!(ask::get(program.addr(), "/api/v1/health").await.status, 200);
}
