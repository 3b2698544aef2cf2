//! Golden playlists of many packagers' dialects, and properties of the rewriter.
//!
//! Each golden file is rewritten as if it came from the same place; what comes out is recorded
//! beside it.

use super::*;
use crate::playlist::{check, text};
use proptest::prelude::*;
use std::path::Path;

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/playlists");
const HOST: &str = "127.0.0.1:4570";

fn base(name: &str) -> Url {
    Url::parse(&format!("https://cdn.example.com/live/{name}?token=secret")).unwrap()
}

fn playlists() -> Vec<(String, Vec<u8>)> {
    let mut found: Vec<_> = std::fs::read_dir(DATA)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .map(|path| {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            (name, std::fs::read(path).unwrap())
        })
        .collect();
    found.sort();
    found
}

/// What the golden media playlists can import.
fn imported() -> Definitions {
    let bytes = std::fs::read(format!("{DATA}/define-multivariant.m3u8")).unwrap();
    let none = Definitions::default();
    define::definitions(&check(&bytes).unwrap(), &base("define-multivariant.m3u8"), &none)
}

fn ours(text: &str, base: &Url, imported: &Definitions) -> Result<String, NotAPlaylist> {
    rewrite(text, &Context { base, imported, prefix: "", host: Some(HOST), segments: None })
}

fn ours_alone(text: &str) -> String {
    ours(text, &base("p.m3u8"), &Definitions::default()).unwrap()
}

/// Writes the expected files anew when `UPDATE` is set; read the difference before committing.
#[test]
fn golden_playlists_are_rewritten_as_recorded() {
    let (playlists, imported) = (playlists(), imported());
    assert!(playlists.len() >= 40, "{}", playlists.len());
    for (name, bytes) in playlists {
        let ours = ours(&check(&bytes).unwrap(), &base(&name), &imported).unwrap();
        let ours = text::encode(ours);
        let expected = Path::new(DATA).join("rewritten").join(&name);
        if std::env::var_os("UPDATE").is_some() {
            std::fs::create_dir_all(expected.parent().unwrap()).unwrap();
            std::fs::write(&expected, &ours).unwrap();
        }
        let expected = std::fs::read(&expected).unwrap();
        assert_eq!(String::from_utf8_lossy(&ours), String::from_utf8_lossy(&expected), "{name}");
        assert_eq!(ours, expected, "{name}");
    }
}

#[test]
fn golden_playlists_come_back_when_the_mapping_is_undone() {
    for (name, bytes) in playlists() {
        let text = check(&bytes).unwrap();
        assert_eq!(undone(&text, &base(&name), &imported()), text, "{name}");
        let body = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
        assert_eq!(text::encode(text.into_owned()), body, "{name}");
    }
}

#[test]
fn nothing_fetchable_in_a_golden_playlist_goes_around_us() {
    for (name, bytes) in playlists() {
        let (base, imported) = (base(&name), imported());
        let text = check(&bytes).unwrap();
        let definitions = define::definitions(&text, &base, &imported);
        let ours = ours(&text, &base, &imported).unwrap();
        for span in lines::uris(&ours) {
            let uri = &ours[span.range];
            let is_led = local(uri).starts_with("/https/") || local(uri).starts_with("/http/");
            let is_left = target(&base, uri, span.kind, &definitions).is_none();
            assert!(is_led || is_left, "{name}: {uri}");
        }
    }
}

#[test]
fn every_form_of_reference_is_led_through_us() {
    for (written, wanted) in [
        ("a.ts", "/https/cdn.example.com/live/a.ts"),
        ("./a.ts", "/https/cdn.example.com/live/a.ts"),
        ("../../../a.ts", "/https/cdn.example.com/a.ts"),
        ("/a.ts", "/https/cdn.example.com/a.ts"),
        ("//b.example:8443/a.ts", "/https/b.example:8443/a.ts"),
        ("HTTP://B.Example:80/a.ts", "/http/b.example/a.ts"),
        ("http://[2001:DB8::1]:8080/a.ts", "/http/[2001:db8::1]:8080/a.ts"),
        (
            "https://bücher.example/ü/ä.ts?ö=1",
            "/https/xn--bcher-kva.example/%C3%BC/%C3%A4.ts?%C3%B6=1",
        ),
        ("a%2Fb%20c%7e.ts?x=%zz", "/https/cdn.example.com/live/a%2Fb%20c%7e.ts?x=%zz"),
        ("a b.ts#t=1", "/https/cdn.example.com/live/a%20b.ts"),
        ("a.ts;v=1", "/https/cdn.example.com/live/a.ts;v=1~.ts"),
        ("?n=1", "/https/cdn.example.com/live/p.m3u8~.ts?n=1"),
        ("seg", "/https/cdn.example.com/live/seg~.ts"),
        ("data:video/mp2t;base64,AA", "data:video/mp2t;base64,AA"),
        ("https://user:pw@h.example/a.ts", "/https/user:pw@h.example/a.ts"),
    ] {
        let text = |uri: &str| format!("#EXT-X-TARGETDURATION:1\r\n \t{uri} \r\n");
        assert_eq!(ours_alone(&text(written)), text(wanted), "{written}");
    }
}

#[test]
fn a_value_without_quotes_gets_them() {
    let text =
        "#EXT-X-KEY:METHOD=AES-128,URI=k,IV=0x1\n#EXT-X-MAP:URI=i.mp4 \n#EXT-X-KEY:URI=skd://k\n";
    let key = "http://127.0.0.1:4570/https/cdn.example.com/live/k";
    let wanted = format!(
        "#EXT-X-KEY:METHOD=AES-128,URI=\"{key}\",IV=0x1\n\
        #EXT-X-MAP:URI=\"/https/cdn.example.com/live/i.mp4\" \n#EXT-X-KEY:URI=skd://k\n"
    );
    assert_eq!(ours_alone(text), wanted);
}

#[test]
fn a_rendition_report_names_the_rendition_as_the_multivariant_playlist_does() {
    let variants = ours_alone("#EXT-X-STREAM-INF:BANDWIDTH=1\n/live/4m/wait.php?id=%41\n");
    let variant = variants.lines().nth(1).unwrap();
    let base = Url::parse("https://cdn.example.com/live/1m/wait.php?_HLS_msn=3").unwrap();
    let text = "#EXT-X-TARGETDURATION:1\n#EXT-X-RENDITION-REPORT:URI=\"../4m/wait.php?id=%41\"\n";
    let media = ours(text, &base, &Definitions::default()).unwrap();
    assert!(media.contains(&format!("URI=\"{variant}\"")), "{media} {variant}");
}

#[test]
fn assets_are_absolute_and_a_preload_names_its_target() {
    let text = "#EXT-X-TARGETDURATION:1\n\
        #EXT-X-DATERANGE:ID=\"a\",X-ASSET-URI=\"https://ads.example/a\"\n\
        #EXT-X-DATERANGE:CLASS=\"com.apple.hls.preload\",X-URI=\"https://ads.example/a\"\n";
    let asset = "\"http://127.0.0.1:4570/https/ads.example/a\"";
    assert_eq!(ours_alone(text).matches(asset).count(), 2);
    let base = base("p.m3u8");
    let imported = Definitions::default();
    let context =
        Context { base: &base, imported: &imported, prefix: "/s/1", host: None, segments: None };
    let without_host = rewrite(text, &context).unwrap();
    assert_eq!(without_host.matches("\"/s/1/https/ads.example/a\"").count(), 2);
}

#[test]
fn bytes_that_are_not_utf_8_stay() {
    let bytes = b"#EXTM3U\n#EXTINF:4,Caf\xe9\n#EXT-X-X:A=\"\xff\"\ncaf\xe9/\xc3\xa9.ts\n";
    let ours = ours_alone(&check(bytes).unwrap());
    let wanted = b"#EXTM3U\n#EXTINF:4,Caf\xe9\n#EXT-X-X:A=\"\xff\"\n\
        /https/cdn.example.com/live/caf%E9/%C3%A9.ts\n";
    assert_eq!(text::encode(ours), wanted);
}

#[test]
fn variables_are_filled_in_where_they_are_defined() {
    let text = "#EXT-X-TARGETDURATION:1\n#EXT-X-DEFINE:QUERYPARAM=\"token\"\n\
        #EXT-X-DEFINE:QUERYPARAM=\"none\"\n#EXT-X-DEFINE:IMPORT=\"host\"\n\
        #EXT-X-KEY:METHOD=AES-128,URI=\"{$none}/k\"\n//{$host}/a.ts?t={$token}\n";
    let wanted = "#EXT-X-TARGETDURATION:1\n#EXT-X-DEFINE:NAME=\"token\",VALUE=\"secret\"\n\
        #EXT-X-DEFINE:QUERYPARAM=\"none\"\n#EXT-X-DEFINE:IMPORT=\"host\"\n\
        #EXT-X-KEY:METHOD=AES-128,URI=\"{$none}/k\"\n/https/b.example/a.ts?t=secret\n";
    let base = base("p.m3u8");
    let parent = "#EXT-X-STREAM-INF:\n#EXT-X-DEFINE:NAME=\"host\",VALUE=\"b.example\"\n";
    let imported = define::definitions(parent, &base, &Definitions::default());
    assert_eq!(ours(text, &base, &imported).unwrap(), wanted);
}

#[test]
fn a_playlist_that_multiplies_is_refused() {
    let base = base(&"x".repeat(URL_BYTES_MAX - 100));
    let text = format!("#EXTM3U\n#EXT-X-TARGETDURATION:1\n{}", "?\n".repeat(10_000));
    let none = Definitions::default();
    assert_eq!(ours(&text, &base, &none), Err(NotAPlaylist::RewritesTooLarge));
    let base = Url::parse("http://h/").unwrap();
    let text = "#EXT-X-TARGETDURATION:1\na\n".to_owned() + &"a\n".repeat(URIS_MAX);
    assert_eq!(ours(&text, &base, &none), Err(NotAPlaylist::RewritesTooLarge));
}

#[test]
fn a_path_we_would_refuse_ourselves_is_not_handed_out() {
    let uri = format!("https://h/{}.ts\n", "x".repeat(URL_BYTES_MAX));
    assert_eq!(ours_alone(&uri), uri);
}

/// A URL of ours without the host.
fn local(uri: &str) -> &str {
    uri.strip_prefix("http://").and_then(|uri| uri.strip_prefix(HOST)).unwrap_or(uri)
}

/// Rewrites a playlist and puts the origin's URIs back, after checking that ours lead to them and
/// that nothing else has changed.
fn undone(text: &str, base: &Url, imported: &Definitions) -> String {
    let ours = ours(text, base, imported).unwrap();
    let definitions = define::definitions(text, base, imported);
    let (mut rest, mut copied, mut undone) = (ours.as_str(), 0, String::new());
    for UriSpan { range, kind, lacks_quotes } in lines::uris(text) {
        let uri = &text[range.clone()];
        undone.push_str(&text[copied..range.start]);
        rest = rest.strip_prefix(&text[copied..range.start]).expect("nothing else changes");
        rest = if let Some(target) = target(base, uri, kind, &definitions) {
            if lacks_quotes {
                rest = rest.strip_prefix('"').expect("quotes");
            }
            let is_end = |c| {
                matches!(c, '"' | '\r' | '\n' | ' ' | '\t') || c == '|' && kind == UriKind::Channel
            };
            let (found, mut after) = rest.split_at(rest.find(is_end).unwrap_or(rest.len()));
            assert_eq!(proxy_url::parse(local(found)), Ok(target), "{uri}");
            if lacks_quotes {
                after = after.strip_prefix('"').expect("quotes");
            }
            after
        } else if kind == UriKind::QueryParameter && rest.starts_with("NAME=") {
            let (_, after) = rest.split_once(",VALUE=\"").expect("a value");
            after.split_once('"').expect("quotes").1
        } else {
            rest.strip_prefix(uri).expect("left as it is")
        };
        undone.push_str(uri);
        copied = range.end;
    }
    assert_eq!(rest, &text[copied..]);
    undone + rest
}

fn any_playlist() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("#EXT-X-MAP:URI=\"i\"\n".to_owned()),
        Just("#EXT-X-STREAM-INF:BANDWIDTH=1\r\n".to_owned()),
        Just("#EXTINF:4,\r".to_owned()),
        "#EXT-X-DEFINE:NAME=\"[ab]\",VALUE=\"[a-z/:]{0,9}\"\n",
        "#EXT-X-DEFINE:(QUERYPARAM=\"(token|x)\"|IMPORT=\"a\")\n",
        "#EXT-X-DATERANGE:X-ASSET-(URI|LIST)=\"?[a-z/.{$}]{0,6}\"?\n",
        "#EXT-X-[A-Z]{1,9}:([A-Z]{1,3}=\"?[^\"\n]{0,6}\"?,?){0,3}(URI=\"?\\PC{0,9}\"?)?\n",
        "(https?://|//|/|[.]{2}/|data:|\\{\\$(a|token)\\})?[!-~é ]{0,12}[\r\n]",
        "\\PC{0,20}",
    ];
    proptest::collection::vec(piece, 0..20)
        .prop_map(|pieces| format!("#EXTM3U\n{}", pieces.concat().replace('\0', "")))
}

proptest! {
    #[test]
    fn undoing_the_mapping_restores_the_playlist(text in any_playlist()) {
        prop_assert_eq!(undone(&text, &base("p.m3u8"), &Definitions::default()), text);
    }

    #[test]
    fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let bytes = [b"#EXTM3U\n".as_slice(), &bytes].concat();
        if let Ok(text) = check(&bytes) {
            let none = Definitions::default();
            let _ = ours(&text, &base("p.m3u8"), &none);
            let _ = crate::playlist::read(&text, &base("p.m3u8"), &none);
            prop_assert_eq!(text::encode(text.into_owned()), bytes);
        }
    }
}
