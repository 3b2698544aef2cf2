//! The asset list of an interstitial (RFC 8216bis, D.2): JSON whose URIs lead to playlists, led
//! through this daemon like those of a playlist.
//!
//! Only URIs change; every other byte stays. What is no asset list is left alone: it may be
//! something that its page understands. `http/assets` drives it.

use serde::Deserialize;
use serde_json::value::RawValue;
use url::Url;

use super::proxy_url;

/// Largest asset list that is looked at.
pub const ASSET_LIST_BYTES_MAX: usize = 1 << 20;
/// Most assets in one list.
const ASSETS_MAX: usize = 10_000;

#[derive(Deserialize)]
struct AssetList<'a> {
    #[serde(rename = "ASSETS", borrow)]
    assets: Vec<Asset<'a>>,
}

#[derive(Deserialize)]
struct Asset<'a> {
    #[serde(rename = "URI", borrow)]
    uri: Option<&'a RawValue>,
}

/// The list `text`, which came from `base`, with local URLs that begin with `start`. `None` where
/// it is none, or too large.
pub fn rewrite(text: &str, base: &Url, start: &str) -> Option<String> {
    if text.len() > ASSET_LIST_BYTES_MAX {
        return None;
    }
    let list: AssetList = serde_json::from_str(text).ok()?;
    if list.assets.len() > ASSETS_MAX {
        return None;
    }
    let mut out = String::with_capacity(text.len() * 2);
    let mut copied = 0;
    for raw in list.assets.iter().filter_map(|asset| asset.uri) {
        let raw = raw.get();
        // A part of the text, so that its place in it is where it lies in memory.
        let at = (raw.as_ptr() as usize).checked_sub(text.as_ptr() as usize)?;
        let Ok(uri) = serde_json::from_str::<String>(raw) else { continue };
        let Some(url) = proxy_url::resolve(base, &uri) else { continue };
        let local = format!("{start}{}", proxy_url::local_path(&url, None));
        out.push_str(text.get(copied..at)?);
        out.push_str(&serde_json::Value::String(local).to_string());
        copied = at + raw.len();
    }
    out.push_str(text.get(copied..)?);
    Some(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rewritten(text: &str) -> Option<String> {
        let base = Url::parse("https://ads.example.com/list.json?x=1").unwrap();
        rewrite(text, &base, "http://here/s/1")
    }

    #[test]
    fn only_uris_change() {
        let text = "{ \"SKIP-CONTROL\":{\"OFFSET\":5}, \"ASSETS\" : [\n\
            {\"URI\":\"https://cdn.example.com/a.m3u8?t=1&u=2\" ,\"DURATION\":15.0,\
            \"X-Y\":\"\\u00e9\"},\n\
            {\"DURATION\": 3},{\"URI\":\"b/index.m3u8\"},{\"URI\":\"skd://no\"},{\"URI\":7}]}\n";
        let expected = text
            .replace("https://cdn", "http://here/s/1/https/cdn")
            .replace("b/index", "http://here/s/1/https/ads.example.com/b/index");
        assert_eq!(rewritten(text), Some(expected));
    }

    #[test]
    fn an_escaped_uri_is_read_as_what_it_means() {
        let text = "{\"ASSETS\":[{\"URI\":\"https:\\/\\/cdn.example.com\\/\\u0061.m3u8\"}]}";
        let expected = "{\"ASSETS\":[{\"URI\":\"http://here/s/1/https/cdn.example.com/a.m3u8\"}]}";
        assert_eq!(rewritten(text).as_deref(), Some(expected));
    }

    #[test]
    fn what_is_no_asset_list_is_left_alone() {
        let deep = "[".repeat(100_000);
        let long = format!("{{\"ASSETS\":[],\"x\":\"{}\"}}", "y".repeat(ASSET_LIST_BYTES_MAX));
        let many = format!("{{\"ASSETS\":[{}{{}}]}}", "{},".repeat(ASSETS_MAX));
        for text in ["", "{}", "[]", "null", "{\"ASSETS\":7}", "<html>", &deep, &long, &many] {
            assert_eq!(rewritten(text), None);
        }
    }

    proptest! {
        #[test]
        fn no_text_upsets_it(text in "(\\{|\\}|\\[|\\]|\"|ASSETS|URI|:|,|a|é|\\\\u00e9| ){0,9}") {
            let _ = rewritten(&text);
            let _ = rewritten(&format!("{{\"ASSETS\":[{{\"URI\":\"{text}\"}}]}}"));
        }
    }
}
