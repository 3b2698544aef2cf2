//! Tracker messages against a capture of browsers and a tracker, and against nonsense.

use super::*;
use proptest::prelude::*;

const HASH: InfoHash = InfoHash(*b"cM/o68Dil8XqBF8uLIqa");
const PEER: PeerId = PeerId(*b"-PM0203-KgNQR64n1b5H");

fn offer(byte: u8, sdp: &str) -> Offer {
    Offer { offer_id: OfferId([byte; 20]), sdp: sdp.to_owned() }
}

#[test]
fn a_captured_conversation_is_understood_and_would_be_said_the_same() {
    let vectors: Value =
        serde_json::from_str(include_str!("../../../tests/data/p2p-media-loader.json")).unwrap();
    let captured = vectors["captures"]["signaling"].as_array().unwrap();
    assert!(captured.len() > 10);
    for entry in captured {
        let mut said = entry["msg"].clone();
        let text = said.to_string();
        // The capture leaves a remark in place of most offers.
        if let Some(offers) = said.get_mut("offers").and_then(Value::as_array_mut) {
            offers.retain(Value::is_object);
        }
        let heard = match entry["dir"].as_str() {
            Some("client->tracker") => ClientMessage::from_json(&text).unwrap().to_json(),
            _ => ServerMessage::from_json(&text).unwrap().to_json(),
        };
        assert_eq!(serde_json::from_str::<Value>(&heard).unwrap(), said);
    }
}

#[test]
fn every_client_message_is_understood_as_it_was_said() {
    let announce = |event, is_seed, offers: Vec<Offer>, tracker_id| ClientMessage::Announce {
        hash: HASH,
        peer: PEER,
        event,
        is_seed,
        wanted: offers.len(),
        offers,
        tracker_id,
    };
    let messages = [
        announce(Some(AnnounceEvent::Started), false, vec![offer(1, "a"), offer(255, "b")], None),
        announce(None, true, vec![], Some("again".to_owned())),
        announce(Some(AnnounceEvent::Completed), true, vec![], None),
        announce(Some(AnnounceEvent::Stopped), false, vec![], None),
        ClientMessage::Answer {
            hash: HASH,
            peer: PEER,
            to: PeerId([200; 20]),
            answer: offer(0, "v=0\r\n"),
            tracker_id: Some("x".to_owned()),
        },
        ClientMessage::Scrape { hashes: vec![HASH, InfoHash([0x80; 20])] },
    ];
    for message in messages {
        assert_eq!(ClientMessage::from_json(&message.to_json()), Ok(message));
    }
}

#[test]
fn every_server_message_is_understood_as_it_was_said() {
    let counts = Counts { complete: 1, incomplete: 7 };
    let messages = [
        ServerMessage::Announced {
            hash: HASH,
            interval_s: Some(120),
            counts,
            tracker_id: Some("id".to_owned()),
        },
        ServerMessage::Offer { hash: HASH, peer: PEER, offer: offer(9, "sdp") },
        ServerMessage::Answer { hash: HASH, peer: PEER, offer: offer(9, "sdp") },
        ServerMessage::Failure { hash: Some(HASH), reason: "no".to_owned() },
        ServerMessage::Failure { hash: None, reason: "no".to_owned() },
        ServerMessage::Warning { text: "slow down".to_owned() },
        ServerMessage::Scraped { files: vec![(HASH, counts)] },
    ];
    for message in messages {
        assert_eq!(ServerMessage::from_json(&message.to_json()), Ok(message));
    }
}

#[test]
fn an_interval_may_be_a_fraction_or_be_called_a_minimum() {
    let announced = |interval: &str| {
        let hash = HASH.to_latin1();
        let text = format!(r#"{{"action":"announce","info_hash":"{hash}",{interval}}}"#);
        match ServerMessage::from_json(&text) {
            Ok(ServerMessage::Announced { interval_s, .. }) => interval_s,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(announced(r#""interval":12.7"#), Some(12));
    assert_eq!(announced(r#""min interval":60"#), Some(60));
    assert_eq!(announced(r#""interval":1e99"#), Some(u32::MAX));
    assert_eq!(announced(r#""interval":-4,"incomplete":1"#), None);
}

#[test]
fn offers_that_are_malformed_too_long_or_too_many_are_left_out() {
    let good = |n: u8| offer_json(&offer(n, "sdp"));
    let mut offers = vec![
        json!("… more of the same"),
        json!({"offer": {"type": "offer", "sdp": 5}, "offer_id": "aaaaaaaaaaaaaaaaaaaa"}),
        json!({"offer": {"type": "answer", "sdp": "x"}, "offer_id": "aaaaaaaaaaaaaaaaaaaa"}),
        json!({"offer": {"type": "offer", "sdp": "x"}, "offer_id": "short"}),
        offer_json(&offer(77, &"x".repeat(SDP_BYTES_MAX + 1))),
    ];
    offers.extend((0..20).map(good));
    let text = json!({
        "action": "announce", "info_hash": HASH.to_latin1(), "peer_id": PEER.to_latin1(),
        "offers": offers, "numwant": 1e300,
    })
    .to_string();
    let Ok(ClientMessage::Announce { offers, .. }) = ClientMessage::from_json(&text) else {
        panic!("not understood")
    };
    assert_eq!(offers, (0..10).map(|n| offer(n, "sdp")).collect::<Vec<_>>());
}

#[test]
fn nonsense_is_refused_with_what_is_wrong_about_it() {
    let client = |text: &str| ClientMessage::from_json(text).unwrap_err();
    assert_eq!(client("hello"), MessageError::NotJson);
    assert_eq!(client("[]"), MessageError::NotJson);
    assert_eq!(client(&"[".repeat(60_000)), MessageError::NotJson);
    assert_eq!(client(&" ".repeat(MESSAGE_BYTES_MAX + 1)), MessageError::TooLong);
    assert_eq!(client("{}"), MessageError::UnknownKind);
    assert_eq!(client(r#"{"action":"dance"}"#), MessageError::UnknownKind);
    assert_eq!(client(r#"{"action":"announce"}"#), MessageError::BadField("info_hash"));
    let hash = r#"{"action":"announce","info_hash":"aaaaaaaaaaaaaaaaaaaa","#;
    assert_eq!(client(&format!(r#"{hash}"peer_id":7}}"#)), MessageError::BadField("peer_id"));
    let peer = format!(r#"{hash}"peer_id":"bbbbbbbbbbbbbbbbbbbb","#);
    assert_eq!(client(&format!(r#"{peer}"answer":{{}}}}"#)), MessageError::BadField("to_peer_id"));
    let server = |text: &str| ServerMessage::from_json(text).unwrap_err();
    assert_eq!(server("{}"), MessageError::UnknownKind);
    assert_eq!(server(r#"{"offer":{}}"#), MessageError::BadField("description"));
    assert_eq!(server(r#"{"interval":5}"#), MessageError::BadField("info_hash"));
}

#[test]
fn a_reason_is_cut_and_stripped_of_control_characters() {
    let text = json!({"failure reason": format!("a\n\u{1b}b{}", "c".repeat(5000))}).to_string();
    let Ok(ServerMessage::Failure { reason, .. }) = ServerMessage::from_json(&text) else {
        panic!("not understood")
    };
    assert!(reason.starts_with("abccc"), "{reason}");
    assert!(reason.len() <= REASON_CHARS_MAX);
}

#[test]
fn an_offer_prints_without_its_session_description() {
    assert!(!format!("{:?}", offer(1, "candidate 192.0.2.1")).contains("192.0.2.1"));
}

proptest! {
    #[test]
    fn no_text_upsets_the_reader(text in ".{0,200}", key in "[a-z_ ]{0,12}", value in ".{0,30}") {
        let object = json!({"action": "announce", key: value, "info_hash": text}).to_string();
        for text in [text, object] {
            let _ = ClientMessage::from_json(&text);
            let _ = ServerMessage::from_json(&text);
        }
    }
}
