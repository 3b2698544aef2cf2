//! Swarms and segment numbers against what the browser engine registered.

use super::*;
use crate::playlist::rules::Generations;
use crate::playlist::{Definitions, Playlist, read};
use serde_json::Value;
use std::collections::BTreeMap;

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/");

fn vectors() -> Value {
    let text = std::fs::read_to_string(format!("{DATA}p2p-media-loader.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn kind(case: &Value) -> StreamKind {
    if case["type"] == "main" { StreamKind::Main } else { StreamKind::Secondary }
}

fn list(text: &str, url: &Url) -> Multivariant {
    match read(text, url, &Definitions::default()).unwrap() {
        Playlist::Multivariant(list) => list,
        Playlist::Media(_) => panic!("not a multivariant playlist"),
    }
}

fn timeline(text: &str) -> Timeline {
    let url = Url::parse("https://h/v.m3u8").unwrap();
    match read(text, &url, &Definitions::default()).unwrap() {
        Playlist::Media(timeline) => timeline,
        Playlist::Multivariant(_) => panic!("not a media playlist"),
    }
}

fn swarms(list: &Multivariant, requested: &Url, final_url: &Url) -> BTreeMap<Url, Vec<Swarm>> {
    let all = renditions(list, requested, final_url, &StreamRule::default()).into_iter();
    all.map(|found| (found.identity.url, found.swarms)).collect()
}

fn swarms_direct(requested: &Url, final_url: &Url) -> Vec<Swarm> {
    direct(requested, final_url, &StreamRule::default()).swarms
}

#[test]
fn g1_hashes_equal_the_browser_engines() {
    let hashes = &vectors()["infoHash"];
    let swarm = text(&hashes["swarmId"]);
    let cases = hashes["1.0.3-2.2.2 (numeric index, MD5)"].as_array().unwrap();
    assert_eq!(cases.len(), 4);
    for case in cases {
        let position = usize::try_from(case["index"].as_u64().unwrap()).unwrap();
        let hash = g1_info_hash(swarm, kind(case), position);
        assert_eq!(hash.to_string(), text(&case["infoHash"]));
    }
    let of_instances = hashes["peertube"].as_object().unwrap();
    let oldest = of_instances.iter().find(|(name, _)| name.contains("MD5")).unwrap().1;
    for case in oldest.as_array().unwrap() {
        let (rest, position) = text(&case["streamSwarmId"]).rsplit_once('-').unwrap();
        let (swarm, of_kind) = rest.strip_prefix("v2-").unwrap().rsplit_once('-').unwrap();
        let kind = if of_kind == "main" { StreamKind::Main } else { StreamKind::Secondary };
        let hash = g1_info_hash(swarm, kind, position.parse().unwrap());
        assert_eq!(hash.to_string(), text(&case["infoHash"]));
    }
}

#[test]
fn g3_hashes_equal_the_browser_engines() {
    let hashes = &vectors()["infoHash"];
    let cases = hashes["byProperties"].as_array().unwrap();
    assert!(cases.len() >= 6);
    for case in cases {
        let given = &case["properties"];
        let owned = |key: &str| text(&given[key]).to_owned();
        let properties = Properties {
            bitrate: given["bitrate"].as_u64().unwrap_or(0),
            codecs: owned("codecs"),
            size: given["width"].as_u64().zip(given["height"].as_u64()),
            language: owned("language"),
            channels: owned("channels"),
            name: owned("name"),
            frame_rate: owned("frameRate"),
            video_range: owned("videoRange"),
        };
        let hash = identity_info_hash("v3", text(&hashes["swarmId"]), kind(case), &properties);
        assert_eq!(hash.to_string(), text(&case["5.x"]["infoHash"]), "{}", case["name"]);
    }
}

#[test]
fn the_streams_of_both_engines_that_ran_are_found() {
    for run in vectors()["playlists"].as_array().unwrap() {
        let generation = if run["package"] == "2.2.2" { Generation::G1 } else { Generation::G2 };
        let asked = Url::parse(text(&run["requested"])).unwrap();
        let url = Url::parse(text(&run["manifestResponseUrl"])).unwrap();
        let name = url.path().rsplit('/').next().unwrap();
        let file = std::fs::read_to_string(format!("{DATA}p2p-media-loader/{name}")).unwrap();
        let swarms = match read(&file, &url, &Definitions::default()).unwrap() {
            Playlist::Multivariant(list) => swarms(&list, &asked, &url),
            Playlist::Media(_) => [(url.clone(), swarms_direct(&asked, &url))].into(),
        };
        let of_run = |swarm: &&Swarm| swarm.generation == generation;
        let found: BTreeMap<_, _> = swarms
            .iter()
            .filter_map(|(url, all)| Some((url.as_str(), all.iter().find(of_run)?)))
            .map(|(url, swarm)| (url, swarm.info_hash.to_string()))
            .collect();
        // A track that hls.js makes up for embedded audio has no playlist, so nothing to share.
        let streams = run["streams"].as_array().unwrap().iter();
        let wanted: BTreeMap<_, _> = streams
            .filter(|stream| stream["runtimeId"] != "")
            .map(|stream| (text(&stream["runtimeId"]), text(&stream["infoHash"]).to_owned()))
            .collect();
        assert_eq!(found, wanted, "{asked}");
    }
}

#[test]
fn segments_have_the_numbers_that_the_engines_that_ran_gave_them() {
    let file = std::fs::read_to_string(format!("{DATA}p2p-media-loader/vod-ms10.m3u8")).unwrap();
    let timeline = timeline(&file);
    let mut compared = 0;
    for run in vectors()["playlists"].as_array().unwrap() {
        let generation = if run["package"] == "2.2.2" { Generation::G1 } else { Generation::G2 };
        let registered = run["streams"][0]["segments"].as_array().unwrap();
        for (given, ours) in registered.iter().zip(&timeline.segments) {
            let wire = WireIds::new(generation, SegmentIds::HlsJs, &timeline);
            assert_eq!(wire.to_wire(ours.id), given["externalId"].as_u64());
            compared += 1;
        }
    }
    assert!(compared >= 6);
}

#[test]
fn numbers_lead_back_to_their_segments_in_every_generation() {
    let live = "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:10\n#EXTINF:4,\na.ts\n";
    for text in [live.to_owned(), format!("{live}#EXT-X-ENDLIST\n")] {
        let timeline = timeline(&text);
        for generation in [Generation::G1, Generation::G2, Generation::G3] {
            let wire = WireIds::new(generation, SegmentIds::HlsJs, &timeline);
            for id in [10, 11, 1 << 40, u64::MAX].map(SegmentId) {
                assert_eq!(wire.from_wire(wire.to_wire(id).unwrap()), Some(id));
            }
        }
    }
    let vod = timeline(&format!("{live}#EXT-X-ENDLIST\n"));
    let counted = WireIds::new(Generation::G2, SegmentIds::HlsJs, &vod);
    assert_eq!((counted.to_wire(SegmentId(9)), counted.from_wire(u64::MAX)), (None, None));
    assert_eq!(
        WireIds::new(Generation::G3, SegmentIds::HlsJs, &vod).to_wire(SegmentId(10)),
        Some(10)
    );
}

#[test]
fn g3_counts_the_bitrate_only_where_nothing_else_differs() {
    let url = Url::parse("https://example.com/hls/master.m3u8").unwrap();
    let level = |bandwidth: u64, size: &str, name: &str| {
        format!(
            "#EXT-X-STREAM-INF:BANDWIDTH={bandwidth},CODECS=\"avc1.64002a\",\
            RESOLUTION={size},FRAME-RATE=29.970,VIDEO-RANGE=SDR\n{name}.m3u8\n"
        )
    };
    let (low, high) = (level(2_500_000, "1280x720", "a"), level(5_000_000, "1920x1080", "b"));
    let hash_of = |text: &str, name: &str| {
        let all = swarms(&list(text, &url), &url, &url);
        all[&url.join(name).unwrap()][2].info_hash.to_string()
    };
    // The browser engine's own vector for the larger one without a bitrate.
    let ladder = format!("#EXTM3U\n{low}{high}");
    assert_eq!(hash_of(&ladder, "b.m3u8"), "CS1X23XIwC3hMelxmX8z");
    let clash = format!("{ladder}{}", level(8_000_000, "1920x1080", "c"));
    assert_eq!(hash_of(&clash, "a.m3u8"), hash_of(&ladder, "a.m3u8"));
    let (b, c) = (hash_of(&clash, "b.m3u8"), hash_of(&clash, "c.m3u8"));
    assert!(b != c && b != hash_of(&ladder, "b.m3u8"));
}

#[test]
fn g3_is_named_by_what_the_player_asked_for_and_the_others_by_what_was_found() {
    let asked = Url::parse("https://a.example/m.m3u8?token=1").unwrap();
    let found = Url::parse("https://b.example/n.m3u8").unwrap();
    let generations = |url: &Url, others: &[Swarm]| {
        let same = swarms_direct(url, url);
        others.iter().filter(|swarm| same.contains(swarm)).map(|s| s.generation).collect::<Vec<_>>()
    };
    let redirected = swarms_direct(&asked, &found);
    assert_eq!(generations(&asked, &redirected), [Generation::G3]);
    assert_eq!(generations(&found, &redirected), [Generation::G1, Generation::G2]);
}

#[test]
fn alternative_video_of_a_variant_is_a_stream_of_g3_alone() {
    let url = Url::parse("https://example.com/hls/master.m3u8").unwrap();
    let list = list(
        "#EXTM3U\n\
         #EXT-X-MEDIA:TYPE=VIDEO,GROUP-ID=\"v\",NAME=\"Main\",LANGUAGE=\"en\",DEFAULT=YES\n\
         #EXT-X-MEDIA:TYPE=VIDEO,GROUP-ID=\"v\",NAME=\"Wide\",LANGUAGE=\"en\",URI=\"wide.m3u8\"\n\
         #EXT-X-MEDIA:TYPE=VIDEO,GROUP-ID=\"w\",NAME=\"Lost\",URI=\"lost.m3u8\"\n\
         #EXT-X-STREAM-INF:BANDWIDTH=5,CODECS=\"avc1.64002a\",RESOLUTION=1920x1080,FRAME-RATE=30,\
         VIDEO=\"v\"\nmain.m3u8\n",
        &url,
    );
    let all = swarms(&list, &url, &url);
    assert_eq!(all.len(), 2, "{all:?}");
    let [wide] = &all[&url.join("wide.m3u8").unwrap()][..] else { panic!("{all:?}") };
    // The browser engine's own vector.
    let hash = wide.info_hash.to_string();
    assert_eq!((wide.generation, hash.as_str()), (Generation::G3, "joEux5p8lWAcP8C0ak25"));
    assert_eq!(all[&url.join("main.m3u8").unwrap()].len(), 3);
}

#[test]
fn a_rule_narrows_the_generations_and_names_the_stream() {
    let (asked, found) = ("https://a.example/m.m3u8?token=1", "https://b.example/n.m3u8");
    let [asked, found] = [asked, found].map(|url| Url::parse(url).unwrap());
    let hashes = &vectors()["infoHash"];
    let swarm_id = text(&hashes["swarmId"]).to_owned();
    let named_there = swarms_direct(&Url::parse(&swarm_id).unwrap(), &swarm_id.parse().unwrap());
    let mut rule = StreamRule { swarm_id: Some(swarm_id), ..StreamRule::default() };
    assert_eq!(direct(&asked, &found, &rule).swarms, named_there);
    for generation in Generation::ALL {
        rule.generations = Some(Generations::of(&[generation]));
        let [swarm] = direct(&asked, &found, &rule).swarms[..] else { panic!("one") };
        assert!(named_there.contains(&swarm) && swarm.generation == generation);
    }
    rule.generations = Some(Generations::of(&[]));
    let nowhere = direct(&asked, &found, &rule);
    assert_eq!(nowhere.swarms, []);
    assert_eq!(
        nowhere.identity,
        direct(&asked, &found, &StreamRule { generations: None, ..rule }).identity
    );
}

#[test]
fn a_template_names_renditions_as_an_instance_does() {
    let hashes = vectors()["infoHash"]["peertube"].clone();
    let newest = hashes.as_object().unwrap().iter().find(|(name, _)| !name.contains("MD5"));
    let url = Url::parse("https://tube.test/m.m3u8").unwrap();
    let list = list(
        "#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"A\",URI=\"a.m3u8\"\n\
         #EXT-X-STREAM-INF:BANDWIDTH=5,RESOLUTION=1280x720,AUDIO=\"a\"\nv720.m3u8\n\
         #EXT-X-STREAM-INF:BANDWIDTH=4,RESOLUTION=853x480,AUDIO=\"a\"\nv480.m3u8\n",
        &url,
    );
    let cases = newest.unwrap().1.as_array().unwrap();
    let mut compared = 0;
    for case in cases {
        let (before, of_kind) = text(&case["streamSwarmId"]).split_once("-default-").unwrap();
        let (before, kind) = before.rsplit_once('-').unwrap();
        let uuid = before.strip_prefix("pt-v2-").unwrap();
        let rule = StreamRule {
            swarm_id: Some(uuid.to_owned()),
            swarm_template: "pt-v2-{swarm_id}-{type}-default-{height}".parse().ok(),
            ..StreamRule::default()
        };
        let name = if kind == "main" { format!("v{of_kind}.m3u8") } else { "a.m3u8".to_owned() };
        let all = renditions(&list, &url, &url, &rule);
        let Some(found) = all.iter().find(|known| known.identity.url.path()[1..] == name) else {
            continue;
        };
        let [swarm] = found.swarms[..] else { panic!("{found:?}") };
        assert_eq!(swarm.info_hash.to_string(), text(&case["infoHash"]), "{case}");
        assert_eq!(swarm.generation, Generation::G2);
        compared += 1;
    }
    assert!(compared >= 2, "{cases:?}");
}

#[test]
fn shaka_numbers_are_media_sequence_numbers_everywhere() {
    let vod = timeline(
        "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:5\n#EXTINF:4,\na.ts\n\
         #EXT-X-ENDLIST\n",
    );
    for generation in Generation::ALL {
        let wire = WireIds::new(generation, SegmentIds::Shaka, &vod);
        assert_eq!(wire.to_wire(SegmentId(5)), Some(5));
    }
}
