//! Which variants of a multivariant playlist players get, so that viewers gather in one swarm.
//!
//! Lines are left out and none is changed; who computes swarms does so from the whole playlist.
//! The HTTP front drives it.

use std::borrow::Cow;
use std::str::FromStr;

use super::lines::Tag;
use super::steering;

/// Largest height that can be asked for.
const HEIGHT_MAX: u64 = 100_000;

/// What players get to choose from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Quality {
    /// All there is.
    #[default]
    Automatic,
    /// The best.
    Best,
    /// The least.
    Least,
    /// The best of at most that many lines, else the least.
    Height(u64),
}

/// What variants are compared by: height, then bits per second.
type Rank = (u64, u64);

impl Quality {
    /// The playlist with the variants of that quality and the renditions that they name, or that
    /// nobody does. Equals in all but their codecs stay together, players choose by what they can
    /// decode. Without a height, bits per second decide.
    pub fn narrow<'a>(self, text: &'a str) -> Cow<'a, str> {
        let ranks: Vec<Rank> = steering::variants(text).map(rank).collect();
        let least = ranks.iter().min().copied();
        let best = ranks.iter().max().copied();
        let best_within = |height| ranks.iter().filter(|r| r.0 > 0 && r.0 <= height).max().copied();
        let chosen = match self {
            Self::Automatic => None,
            Self::Best => best,
            Self::Least => least,
            Self::Height(height) => best_within(height).or(least),
        };
        let Some(chosen) = chosen else { return Cow::Borrowed(text) };
        // Doubles for other codecs have other bitrates.
        let is_kept = |tag: Tag<'_>| {
            let rank = rank(tag);
            if chosen.0 > 0 { rank.0 == chosen.0 } else { rank == chosen }
        };
        Cow::Owned(steering::keep(text, is_kept))
    }
}

fn rank(tag: Tag<'_>) -> Rank {
    let height = tag.attribute("RESOLUTION").and_then(|size| size.split_once(['x', 'X']));
    let number = |text: &str| text.trim().parse().unwrap_or(0);
    (height.map_or(0, |(_, height)| number(height)), tag.attribute("BANDWIDTH").map_or(0, number))
}

impl FromStr for Quality {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "auto" => Ok(Self::Automatic),
            "max" => Ok(Self::Best),
            "min" => Ok(Self::Least),
            _ => {
                let height = text.parse().ok().filter(|h| (1..=HEIGHT_MAX).contains(h));
                height.map(Self::Height).ok_or(())
            }
        }
    }
}

impl std::fmt::Display for Quality {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Automatic => f.write_str("auto"),
            Self::Best => f.write_str("max"),
            Self::Least => f.write_str("min"),
            Self::Height(height) => height.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LADDER: &str = "#EXTM3U\r\n\
        #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"lo\",NAME=\"x\",URI=\"lo\"\r\n\
        #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"hi\",NAME=\"x\",URI=\"hi\"\r\n\
        #EXT-X-STREAM-INF:BANDWIDTH=5,CODECS=\"avc1.1\",RESOLUTION=1920x1080,AUDIO=\"hi\"\r\n\
        1080\r\n\
        #EXT-X-STREAM-INF:BANDWIDTH=3,CODECS=\"hvc1.1\",RESOLUTION=1920x1080,AUDIO=\"hi\"\r\n\
        1080h\r\n\
        #EXT-X-STREAM-INF:BANDWIDTH=2,RESOLUTION=640x360,AUDIO=\"lo\"\r\n360\r\n\
        #EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=1,RESOLUTION=640x360,URI=\"i\"\r\n";

    fn uris(quality: Quality, text: &str) -> Vec<String> {
        let narrowed = quality.narrow(text);
        narrowed.lines().filter(|l| !l.starts_with('#')).map(str::to_owned).collect()
    }

    #[test]
    fn automatic_leaves_every_byte() {
        assert_eq!(Quality::Automatic.narrow(LADDER), LADDER);
    }

    #[test]
    fn the_least_stays_with_its_renditions_and_trick_play() {
        assert_eq!(
            Quality::Least.narrow(LADDER),
            "#EXTM3U\r\n\
            #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"lo\",NAME=\"x\",URI=\"lo\"\r\n\
            #EXT-X-STREAM-INF:BANDWIDTH=2,RESOLUTION=640x360,AUDIO=\"lo\"\r\n360\r\n\
            #EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=1,RESOLUTION=640x360,URI=\"i\"\r\n"
        );
    }

    #[test]
    fn doubles_for_other_codecs_stay_together() {
        assert_eq!(uris(Quality::Best, LADDER), ["1080", "1080h"]);
    }

    #[test]
    fn a_height_is_the_best_within_it_or_else_the_least() {
        assert_eq!(uris(Quality::Height(720), LADDER), ["360"]);
        assert_eq!(uris(Quality::Height(1080), LADDER), ["1080", "1080h"]);
        assert_eq!(uris(Quality::Height(240), LADDER), ["360"]);
    }

    #[test]
    fn without_resolutions_bits_per_second_decide() {
        let text = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=2\nb\n#EXT-X-STREAM-INF:BANDWIDTH=1\na\n";
        assert_eq!(uris(Quality::Best, text), ["b"]);
        assert_eq!(uris(Quality::Least, text), ["a"]);
        assert_eq!(uris(Quality::Height(720), text), ["a"]);
    }

    #[test]
    fn a_media_playlist_is_left_alone() {
        let text = "#EXTM3U\n#EXTINF:4,\na.ts\n";
        assert_eq!(Quality::Least.narrow(text), text);
    }

    #[test]
    fn what_is_no_quality_is_refused() {
        for text in ["auto", "max", "min", "720"] {
            assert_eq!(text.parse::<Quality>().unwrap().to_string(), text);
        }
        for text in ["", "0", "-1", "720p", "best", "100001"] {
            assert_eq!(text.parse::<Quality>(), Err(()));
        }
    }
}
