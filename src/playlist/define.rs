//! The variables of a playlist (`EXT-X-DEFINE`): what they stand for, and texts with them filled
//! in.
//!
//! Fails nothing: a text with a variable that is not defined stays as it is, for the player to
//! judge. Where imported values come from is the caller's business. `mod`, `rewrite`, `parse` and
//! `timeline` drive it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use url::{Url, form_urlencoded};

use super::lines::{self, Form, Tag};
use super::proxy_url::URL_BYTES_MAX;

/// Most variables of one playlist; more are not defined.
pub const VARIABLES_MAX: usize = 256;

/// Most bytes of names and values of one playlist; more are not defined.
pub const DEFINITIONS_BYTES_MAX: usize = 16 << 10;

/// What begins a reference to a variable.
const OPENING: &str = "{$";

/// Variables and their values.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Definitions {
    values: BTreeMap<String, String>,
    bytes: usize,
}

/// The variables of the playlist `text`, which finally came from `base`. `imported` are those of
/// the multivariant playlist that led to it.
pub fn definitions(text: &str, base: &Url, imported: &Definitions) -> Definitions {
    let mut found = Definitions::default();
    if !text.contains("#EXT-X-DEFINE:") || lines::form(text) == Form::ChannelList {
        return found;
    }
    for tag in lines::lines(text).filter_map(lines::Line::tag) {
        if tag.name == "EXT-X-DEFINE"
            && let Some((name, value)) = found.definition(tag, base, imported)
        {
            found.insert(name, value);
        }
    }
    found
}

/// The value of a query parameter, if a variable can have it.
pub(super) fn query_value(base: &Url, name: &str) -> Option<String> {
    // A plus sign stands for itself: this is no web form.
    let query = base.query()?.replace('+', "%2B");
    let mut pairs = form_urlencoded::parse(query.as_bytes());
    let (_, value) = pairs.find(|(found, _)| found == name)?;
    let is_legal = |c: char| c != '"' && !c.is_control() && c != char::REPLACEMENT_CHARACTER;
    value.chars().all(is_legal).then(|| value.into_owned())
}

impl Definitions {
    /// Whether no variable is defined.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The text with its variables filled in; `None` when one is not defined, or when the result
    /// is longer than a URL may be.
    pub fn substitute<'t>(&self, text: &'t str) -> Option<Cow<'t, str>> {
        if !text.contains(OPENING) {
            return Some(Cow::Borrowed(text));
        }
        let (mut filled, mut rest) = (String::new(), text);
        while let Some((before, reference)) = rest.split_once(OPENING) {
            let (name, after) = reference.split_at(name_len(reference));
            // Values are not searched for references again.
            let (piece, after) = match after.strip_prefix('}').filter(|_| !name.is_empty()) {
                Some(after) => (self.values.get(name)?.as_str(), after),
                None => (OPENING, reference),
            };
            if filled.len() + before.len() + piece.len() > URL_BYTES_MAX {
                return None;
            }
            filled.push_str(before);
            filled.push_str(piece);
            rest = after;
        }
        filled.push_str(rest);
        (filled.len() <= URL_BYTES_MAX).then_some(Cow::Owned(filled))
    }

    fn definition(&self, tag: Tag<'_>, base: &Url, imported: &Self) -> Option<(String, String)> {
        if let Some(name) = tag.attribute("NAME") {
            let value = tag.attribute("VALUE").unwrap_or_default();
            return Some((name.to_owned(), self.substitute(value)?.into_owned()));
        }
        if let Some(name) = tag.attribute("IMPORT") {
            return Some((name.to_owned(), imported.values.get(name)?.clone()));
        }
        let name = tag.attribute("QUERYPARAM")?;
        Some((name.to_owned(), query_value(base, name)?))
    }

    /// The first definition of a name counts: a second one is an error.
    fn insert(&mut self, name: String, value: String) {
        let bytes = self.bytes + name.len() + value.len();
        let is_name = !name.is_empty() && name_len(&name) == name.len();
        let fits = self.values.len() < VARIABLES_MAX && bytes <= DEFINITIONS_BYTES_MAX;
        if is_name && fits && !self.values.contains_key(&name) {
            self.bytes = bytes;
            self.values.insert(name, value);
        }
    }
}

/// Without the values: they can be tokens.
impl fmt::Debug for Definitions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.values.keys()).finish()
    }
}

fn name_len(text: &str) -> usize {
    text.bytes().take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_')).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn define(text: &str) -> Definitions {
        let base = Url::parse("https://h/p.m3u8?tok=a%20b+c&bad=%22&&empty=&tok=2").unwrap();
        let parent = "#EXT-X-STREAM-INF:\n#EXT-X-DEFINE:NAME=\"up\",VALUE=\"from-parent\"\n";
        let imported = definitions(parent, &base, &Definitions::default());
        definitions(&format!("#EXT-X-TARGETDURATION:1\n{text}"), &base, &imported)
    }

    fn filled(text: &str, reference: &str) -> Option<String> {
        define(text).substitute(reference).map(Cow::into_owned)
    }

    #[test]
    fn names_imports_and_query_parameters_are_filled_in() {
        let text = "#EXT-X-DEFINE:NAME=\"a-_1\",VALUE=\"x=y\"\n#EXT-X-DEFINE:IMPORT=\"up\"\r\n\
            #EXT-X-DEFINE:QUERYPARAM=\"tok\"\n#EXT-X-DEFINE:QUERYPARAM=\"empty\"\n";
        assert_eq!(
            filled(text, "{$a-_1}/{$up}{$tok}{$empty}?{$a-_1}").as_deref(),
            Some("x=y/from-parenta b+c?x=y")
        );
    }

    #[test]
    fn what_is_not_defined_is_not_filled_in() {
        for text in [
            "#EXT-X-DEFINE:NAME=\"b\",VALUE=\"\"\n",
            "#EXT-X-DEFINE:IMPORT=\"a\"\n",
            "#EXT-X-DEFINE:QUERYPARAM=\"a\"\n",
            "#EXT-X-DEFINE:VALUE=\"a\"\n",
            "#EXT-X-DEFINE\n# EXT-X-DEFINE:NAME=\"a\",VALUE=\"\"\n",
        ] {
            assert_eq!(filled(text, "x{$a}"), None, "{text}");
        }
        assert_eq!(filled("#EXT-X-DEFINE:QUERYPARAM=\"bad\"\n", "{$bad}"), None);
        assert_eq!(filled("", "{$}{$ a}{$a").as_deref(), Some("{$}{$ a}{$a"));
    }

    #[test]
    fn values_may_use_earlier_variables_but_are_not_searched_again() {
        let text = "#EXT-X-DEFINE:NAME=\"a\",VALUE=\"1{\"\n\
            #EXT-X-DEFINE:NAME=\"b\",VALUE=\"{$a}$a}\"\n#EXT-X-DEFINE:NAME=\"a\",VALUE=\"2\"\n";
        assert_eq!(filled(text, "{$b}").as_deref(), Some("1{$a}"));
    }

    #[test]
    fn a_bomb_of_variables_stays_small() {
        let mut text = format!("#EXT-X-DEFINE:NAME=\"v0\",VALUE=\"{}\"\n", "x".repeat(1000));
        for n in 0..2 * VARIABLES_MAX {
            let line = format!("#EXT-X-DEFINE:NAME=\"v{}\",VALUE=\"{{$v{n}}}{{$v{n}}}\"\n", n + 1);
            text.push_str(&line);
        }
        let found = define(&text);
        assert!(found.bytes <= DEFINITIONS_BYTES_MAX && found.values.len() < 10);
        assert_eq!(found.substitute(&"{$v3}".repeat(100)), None);
        assert_eq!(format!("{:?}", define("#EXT-X-DEFINE:QUERYPARAM=\"tok\"\n")), "{\"tok\"}");
    }

    proptest! {
        #[test]
        fn never_panics(
            text in "(\\{\\$|\\}|a|\u{e9}|#EXT-X-DEFINE:|NAME=\"|VALUE=\"|\"|,|\n){0,40}",
        ) {
            let _ = define(&text).substitute(&text);
        }
    }
}
