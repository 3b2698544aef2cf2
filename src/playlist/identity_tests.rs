//! G2 identities against the browser engine's, and the spellings they rest on.

use super::*;
use crate::playlist::{Definitions, Playlist, read};
use serde_json::Value;

fn vectors() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/p2p-media-loader.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// The properties of a vector, by way of the playlist attributes they come from.
fn properties(vector: &Value) -> Properties {
    let given = &vector["properties"];
    let codecs = text(&given["codecs"]);
    let variant = Variant {
        url: Url::parse("https://example.com/v.m3u8").unwrap(),
        bandwidth: 1,
        average_bandwidth: 0,
        codecs: codecs.clone(),
        resolution: given["width"].as_u64().zip(given["height"].as_u64()),
        frame_rate: text(&given["frameRate"]),
        video_range: text(&given["videoRange"]),
        audio_group: "a".to_owned(),
        video_group: String::new(),
    };
    let rendition = Rendition {
        kind: RenditionKind::Audio,
        url: None,
        group: "a".to_owned(),
        name: text(&given["name"]),
        language: text(&given["language"]),
        channels: text(&given["channels"]),
    };
    let mut properties = match vector["type"].as_str() {
        Some("main") => main_properties(&variant, &Codecs::new(&codecs)),
        _ => secondary_properties(&rendition, &[(&variant, Codecs::new(&codecs))]),
    };
    properties.bitrate = given["bitrate"].as_u64().unwrap_or(0);
    properties
}

#[test]
fn g2_hashes_equal_the_browser_engines() {
    let vectors = vectors();
    let swarm = vectors["infoHash"]["swarmId"].as_str().unwrap();
    let cases = vectors["infoHash"]["byProperties"].as_array().unwrap();
    assert!(cases.len() >= 6);
    for case in cases {
        let kind = match case["type"].as_str() {
            Some("main") => StreamKind::Main,
            _ => StreamKind::Secondary,
        };
        let hash = identity_info_hash("v2", swarm, kind, &properties(case));
        assert_eq!(hash.to_string(), text(&case["2.3-4.x"]["infoHash"]), "{}", case["name"]);
    }
}

#[test]
fn g2_finds_the_streams_the_browser_engine_registered() {
    let vectors = vectors();
    let runs = vectors["playlists"].as_array().unwrap();
    let runs: Vec<_> = runs.iter().filter(|run| run["package"] == "2.3.1").collect();
    assert!(runs.len() >= 6);
    for run in runs {
        let url = Url::parse(run["manifestResponseUrl"].as_str().unwrap()).unwrap();
        let name = url.path().rsplit('/').next().unwrap();
        let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/p2p-media-loader/");
        let file = std::fs::read_to_string(format!("{dir}{name}")).unwrap();
        let found = match read(&file, &url, &Definitions::default()).unwrap() {
            Playlist::Multivariant(multivariant) => g2(&multivariant, &url),
            Playlist::Media(_) => vec![g2_direct(&url)],
        };
        let found: Vec<_> = found
            .iter()
            .map(|id| (id.kind.as_str(), id.url.as_str(), id.info_hash.to_string()))
            .collect();
        // A track that hls.js makes up for embedded audio has no playlist, so nothing to share.
        let streams = run["streams"].as_array().unwrap().iter();
        let wanted: Vec<_> = streams
            .filter(|stream| stream["runtimeId"] != "")
            .map(|stream| {
                let url = stream["runtimeId"].as_str().unwrap();
                (stream["type"].as_str().unwrap(), url, text(&stream["infoHash"]))
            })
            .collect();
        assert_eq!(found, wanted, "{url}");
    }
}

#[test]
fn labels_count_in_playlist_order() {
    let base = Url::parse("https://h/m.m3u8?token=1#f").unwrap();
    let text = "#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"in\"\n\
        #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"out\",URI=\"a.m3u8\"\n\
        #EXT-X-STREAM-INF:BANDWIDTH=1\nv.m3u8\n#EXT-X-STREAM-INF:BANDWIDTH=2\nv.m3u8\n\
        #EXT-X-STREAM-INF:BANDWIDTH=3\nw.m3u8\n";
    let Ok(Playlist::Multivariant(list)) = read(text, &base, &Definitions::default()) else {
        panic!("multivariant")
    };
    let labels: Vec<_> = g2(&list, &base).into_iter().map(|id| id.label).collect();
    assert_eq!(labels, ["main-0", "main-2", "secondary-1"]);
    assert_eq!(swarm_id(&base), "https://h/m.m3u8");
}

#[test]
fn a_variant_with_an_unknown_codec_goes_only_when_another_stays() {
    let level = |codecs: &str| Variant {
        url: Url::parse("https://h/v").unwrap(),
        bandwidth: 1,
        average_bandwidth: 0,
        codecs: codecs.to_owned(),
        resolution: None,
        frame_rate: String::new(),
        video_range: String::new(),
        audio_group: String::new(),
        video_group: String::new(),
    };
    let both = [level("avc1.4d401f,wvtt"), level("xyz1.1,mp4a.40.2")];
    assert_eq!(known_levels(&both).len(), 1);
    assert_eq!(known_levels(&both[1..]).len(), 1);
}

#[test]
fn codecs_are_spelt_one_way() {
    let spell = |list| g2_codecs(&Codecs::new(list).video);
    assert_eq!(spell("mp4a.40.2, hvc1.2.4.L93/x,AVC1.1,avc1.66.30"), "avc1.42001e,hvc1.2.4.l93");
    assert_eq!(
        g2_frame_rate("30.000") + &g2_frame_rate("29.970") + &g2_frame_rate("NaN"),
        "3029.97"
    );
    assert_eq!(g2_language("UND") + &g2_language("en-US"), "en");
}
