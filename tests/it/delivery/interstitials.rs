//! Interstitials: assets, lists of them, and what is to be loaded ahead.

use super::daemon;
use crate::ask::{self, get};
use crate::origin::TestOrigin;
use crate::resource::Resource;

#[tokio::test]
async fn the_assets_of_a_list_lead_through_the_daemon() {
    let (origin, daemon) = (TestOrigin::start().await, daemon().await);
    let (addr, here) = (daemon.local_addr(), origin.url(""));
    let list =
        format!("{{\"ASSETS\": [{{\"URI\": \"{here}ad.m3u8?t=1\", \"DURATION\": 15.0}}]}}\n");
    let text = format!(
        "#EXTM3U\n#EXT-X-TARGETDURATION:6\n\
         #EXT-X-DATERANGE:ID=\"p\",CLASS=\"com.apple.hls.preload\",START-DATE=\"2026-01-01\",\
         X-URI=\"{here}list?id=1\",X-TARGET-ID=\"a\"\n\
         #EXT-X-DATERANGE:ID=\"a\",CLASS=\"com.apple.hls.interstitial\",\
         START-DATE=\"2026-01-01\",X-ASSET-LIST=\"{here}list?id=1\"\n\
         #EXTINF:6,\na.ts\n#EXT-X-ENDLIST\n"
    );
    let ad = "#EXTM3U\n#EXT-X-TARGETDURATION:6\n#EXTINF:6,\nb.ts\n#EXT-X-ENDLIST\n";
    origin.put("/index.m3u8", Resource::playlist(&text));
    origin.put("/list", Resource::new("application/json", list.clone()));
    origin.put("/ad.m3u8", Resource::playlist(ad));
    let playlist = get(addr, &ask::path(&origin.url("/index.m3u8"))).await;
    let local = format!("http://{addr}/http/{}/", origin.addr());
    let named = format!("{local}list~.json?id=1");
    assert_eq!(playlist.text().matches(&named).count(), 2, "{}", playlist.text());
    let assets = get(addr, named.strip_prefix(&format!("http://{addr}")).unwrap()).await;
    assert_eq!(assets.text(), list.replace(here.as_str(), &local));
    assert_eq!(assets.header("content-type"), "application/json");
    let led = format!("/http/{}/ad.m3u8?t=1", origin.addr());
    assert!(get(addr, &led).await.text().contains("/b.ts"));
    // What is none is passed on.
    origin.put("/other", Resource::new("application/json", "[1, 2]"));
    let other = get(addr, &(ask::path(&origin.url("/other")) + "~.json")).await;
    assert_eq!((other.status, other.text()), (200, "[1, 2]"));
}
