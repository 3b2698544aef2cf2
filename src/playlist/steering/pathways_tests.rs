//! Tests of `pathways`: what is the same on another pathway, and what clones make of URLs.

use super::*;
use proptest::prelude::*;

const TEXT: &str = "#EXTM3U\n\
    #EXT-X-CONTENT-STEERING:SERVER-URI=\"/steer?s=1\",PATHWAY-ID=\"B\"\n\
    #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"en\",URI=\"https://a.test/en\"\n\
    #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"de\",URI=\"https://a.test/de\"\n\
    #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"b\",NAME=\"de\",URI=\"https://b.test/de\"\n\
    #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"b\",NAME=\"en\",URI=\"https://b.test/en\"\n\
    #EXT-X-STREAM-INF:BANDWIDTH=2,PATHWAY-ID=\"A\",AUDIO=\"a\"\nhttps://a.test/hi?t=1\n\
    #EXT-X-STREAM-INF:BANDWIDTH=1,PATHWAY-ID=\"A\",STABLE-VARIANT-ID=\"lo\"\nhttps://a.test/lo\n\
    #EXT-X-STREAM-INF:BANDWIDTH=9,PATHWAY-ID=\"B\",STABLE-VARIANT-ID=\"lo\"\nhttps://b.test/lo\n\
    #EXT-X-STREAM-INF:AUDIO=\"b\",PATHWAY-ID=\"B\",BANDWIDTH=2\nhttps://b.test/hi\n";

fn url(text: &str) -> Url {
    text.parse().unwrap()
}

fn read(text: &str) -> Option<Pathways> {
    Pathways::read(text, &url("https://m.test/live/m.m3u8"), &Definitions::default())
}

fn same(pathways: &Pathways, of: &str, on: &str) -> String {
    pathways.same(&url(of), on).map(Url::to_string).unwrap_or_default()
}

fn made_of(base: &str, id: &str) -> PathwayClone {
    PathwayClone { base: base.to_owned(), id: id.to_owned(), ..PathwayClone::default() }
}

#[test]
fn the_same_is_found_by_stable_id_or_by_attributes() {
    let pathways = read(TEXT).unwrap();
    assert_eq!(pathways.names(), ["A", "B"]);
    assert_eq!(pathways.first.as_deref(), Some("B"));
    assert!(pathways.server == Server::At(url("https://m.test/steer?s=1")));
    for name in ["hi", "lo", "en", "de"] {
        let query = if name == "hi" { "?t=1" } else { "" };
        let a = format!("https://a.test/{name}{query}");
        assert_eq!(same(&pathways, &a, "B"), format!("https://b.test/{name}"));
        assert_eq!(same(&pathways, &format!("https://b.test/{name}"), "A"), a);
        assert_eq!(same(&pathways, &a, "A"), a);
    }
    assert_eq!(same(&pathways, "https://a.test/x", "B"), "");
    assert_eq!(same(&pathways, "https://a.test/lo", "C"), "");
}

#[test]
fn equal_variants_are_told_apart_by_their_order() {
    let text = "#EXT-X-CONTENT-STEERING:SERVER-URI=\"data:,x\"\n#EXT-X-STREAM-INF:BANDWIDTH=1\n1\n\
        #EXT-X-STREAM-INF:BANDWIDTH=1\n2\n#EXT-X-STREAM-INF:BANDWIDTH=1,PATHWAY-ID=\"B\"\nb1\n\
        #EXT-X-STREAM-INF:BANDWIDTH=1,PATHWAY-ID=\"B\"\nb2\n";
    let pathways = read(text).unwrap();
    assert!(pathways.server == Server::Inline(b"x".to_vec()));
    assert_eq!(pathways.names(), [".", "B"]);
    assert_eq!(same(&pathways, "https://m.test/live/b2", "."), "https://m.test/live/2");
}

#[test]
fn without_the_tag_there_is_nothing_to_steer() {
    assert!(read("#EXTM3U\n#EXT-X-STREAM-INF:PATHWAY-ID=\"A\"\na\n").is_none());
    let nowhere = read("#EXT-X-CONTENT-STEERING:SERVER-URI=\"ftp://a/\"\n").unwrap();
    assert!(nowhere.server == Server::Nowhere && nowhere.names().is_empty());
}

#[test]
fn a_clone_has_other_hosts_and_parameters() {
    let clone = PathwayClone {
        host: Some("c.test:8443".to_owned()),
        params: [("t", "2&"), ("a", "b")].map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
        variants: [("lo".to_owned(), "https://v.test/x?u=1".to_owned())].into(),
        ..made_of("A", "C")
    };
    let pathways = read(TEXT).unwrap().with(&[clone]);
    assert_eq!(pathways.names(), ["A", "B", "C"]);
    assert_eq!((pathways.written("C"), pathways.written("B")), ("A", "B"));
    for (of, wanted) in [
        ("https://b.test/hi", "https://c.test:8443/hi?a=b&t=2%26"),
        ("https://b.test/lo", "https://v.test/x?u=1&a=b&t=2%26"),
        ("https://b.test/de", "https://c.test:8443/de?a=b&t=2%26"),
    ] {
        assert_eq!(same(&pathways, of, "C"), wanted);
    }
}

#[test]
fn clones_of_clones_have_an_end_and_circles_none_begins() {
    let host = |clone: PathwayClone, host: &str| {
        let host = Some(host.to_owned());
        PathwayClone { host, ..clone }
    };
    let pathways = read(TEXT).unwrap().with(&[
        made_of("Y", "X"),
        made_of("X", "Y"),
        made_of("Z", "Z"),
        host(made_of("A", "B"), "taken.test"),
        host(made_of("A", "C"), "c.test"),
        host(made_of("C", "D"), "d.test"),
    ]);
    assert_eq!(pathways.names(), ["A", "B", "C", "D"]);
    assert_eq!(same(&pathways, "https://a.test/lo", "B"), "https://b.test/lo");
    assert_eq!(same(&pathways, "https://a.test/lo", "D"), "https://d.test/lo");
    assert_eq!(pathways.written("D"), "A");
}

#[test]
fn a_host_that_is_none_makes_no_playlist() {
    for host in ["a/b", "user@h", "h?q", "h#f", "a b", "[", ":80"] {
        let clone = PathwayClone { host: Some(host.to_owned()), ..made_of("A", "C") };
        let pathways = read(TEXT).unwrap().with(&[clone]);
        assert_eq!(same(&pathways, "https://a.test/lo", "C"), "", "{host}");
    }
}

#[test]
fn pathways_and_playlists_have_a_limit() {
    let mut text = "#EXT-X-CONTENT-STEERING:SERVER-URI=\"/\"\n".to_owned();
    for n in 0..2 * PLAYLISTS_MAX {
        text += &format!("#EXT-X-STREAM-INF:PATHWAY-ID=\"{}\"\n{n}\n", n % 100);
    }
    let pathways = read(&text).unwrap();
    assert_eq!(pathways.names.len(), PATHWAYS_MAX);
    assert!(pathways.entries.len() <= PLAYLISTS_MAX);
    let clones: Vec<_> = (0..100).map(|n| made_of("1", &format!("c{n}"))).collect();
    let grown = pathways.with(&clones);
    assert!(grown.names.len() <= PATHWAYS_MAX && grown.entries.len() <= PLAYLISTS_MAX);
}

proptest! {
    #[test]
    fn never_panics(
        text in "(#EXT-X-CONTENT-STEERING:|#EXT-X-STREAM-INF:|#EXT-X-MEDIA:|PATHWAY-ID=\"A\",|\
            SERVER-URI=\"data:|TYPE=AUDIO,|GROUP-ID=\"a\",|AUDIO=\"a\",|URI=\"u\"|\n|é|,|\"){0,40}",
        host in "[a-z\\[\\]:/@?#%0-9. ]{0,8}",
    ) {
        let clone = PathwayClone { host: Some(host), ..made_of("A", "B") };
        if let Some(pathways) = read(&text) {
            let all = pathways.with(&[clone]);
            let _ = same(&all, "https://m.test/live/u", "B");
        }
    }
}
