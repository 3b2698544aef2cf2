//! How an application calls the swarms of its renditions, where it does not leave that to the
//! browser engine: a text with places for what tells renditions apart.
//!
//! Pure text; what goes into the places is `membership`'s knowledge.

use std::fmt;
use std::str::FromStr;

/// Longest template.
pub const TEMPLATE_BYTES_MAX: usize = 4096;

/// What can stand in a template.
pub const PLACES: &str = "{swarm_id}, {type}, {index}, {identity} and {height}";

/// A template that tells renditions apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(String);

/// What a rendition puts into the places.
#[derive(Clone, Copy, Debug)]
pub struct Values<'a> {
    /// Of the stream.
    pub swarm_id: &'a str,
    /// `main` or `secondary`.
    pub kind: &'a str,
    /// Its place among those of its kind, from zero.
    pub index: usize,
    /// The hash of its properties.
    pub identity: &'a str,
    /// Its lines, or what stands for them.
    pub height: &'a str,
}

impl Template {
    /// The text for a rendition.
    pub fn fill(&self, values: Values<'_>) -> String {
        let index = values.index.to_string();
        let mut filled = String::new();
        for piece in self.0.split_inclusive('}') {
            let (text, place) = piece.split_once('{').unwrap_or((piece, ""));
            filled.push_str(text);
            filled.push_str(match place.trim_end_matches('}') {
                "swarm_id" => values.swarm_id,
                "type" => values.kind,
                "index" => &index,
                "identity" => values.identity,
                "height" => values.height,
                _ => "",
            });
        }
        filled
    }
}

impl FromStr for Template {
    type Err = ();

    /// Every brace belongs to a place that is known, and renditions do not get one name.
    fn from_str(text: &str) -> Result<Self, ()> {
        let places = ["{swarm_id}", "{type}", "{index}", "{identity}", "{height}"];
        let has = |place: &str| text.contains(place);
        let tells_apart =
            has("{identity}") || (has("{type}") && (has("{index}") || has("{height}")));
        let rest = places.iter().fold(text.to_owned(), |rest, place| rest.replace(place, " "));
        let is_plain = !rest.contains(['{', '}']) && text.len() <= TEMPLATE_BYTES_MAX;
        (is_plain && tells_apart).then(|| Self(text.to_owned())).ok_or(())
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALUES: Values<'_> =
        Values { swarm_id: "{type}", kind: "main", index: 2, identity: "UYnL=", height: "720" };

    #[test]
    fn every_place_is_filled_once() {
        let template: Template = "pt-v2-{swarm_id}-{type}-default-{height}".parse().unwrap();
        assert_eq!(template.fill(VALUES), "pt-v2-{type}-main-default-720");
        let template: Template = "{index}{identity}{type}!".parse().unwrap();
        assert_eq!(template.fill(VALUES), "2UYnL=main!");
    }

    #[test]
    fn what_would_name_renditions_alike_or_has_unknown_places_is_refused() {
        let long = "x".repeat(TEMPLATE_BYTES_MAX) + "{identity}";
        for text in [
            "",
            "x",
            "{swarm_id}",
            "{type}",
            "{type}{",
            "{index}",
            "{identity}}",
            "{{identity}}",
            "{identity}{codec}",
            "}{{type}{index}",
            &long,
        ] {
            assert!(text.parse::<Template>().is_err(), "{text}");
        }
    }
}
