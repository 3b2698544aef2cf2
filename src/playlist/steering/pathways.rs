//! The pathways of one multivariant playlist, and what of each is the same.
//!
//! Two media playlists on different pathways are the same by their `STABLE-VARIANT-ID` or
//! `STABLE-RENDITION-ID`, else by the same attributes (names of groups and the pathway not
//! counting), in the same order. Clones have all that their base has, under other URLs.

use std::collections::BTreeMap;

use url::{Url, form_urlencoded};

use super::manifest::{PathwayClone, inline};
use super::{GROUPS, PATHWAYS_MAX, TAG, group_of, groups_of, pathway_of};
use crate::playlist::define::Definitions;
use crate::playlist::lines::{self, Line, Tag};
use crate::playlist::{parse, proxy_url};

/// Most media playlists of one multivariant playlist, clones included.
pub const PLAYLISTS_MAX: usize = 4096;
/// Attributes that differ between pathways, or are no property of what is to be seen.
const NOT_COMPARED: [&str; 3] = ["PATHWAY-ID", "GROUP-ID", "URI"];

/// Where the manifest is.
#[derive(Clone, PartialEq, Eq)]
pub enum Server {
    /// There.
    At(Url),
    /// In the playlist itself.
    Inline(Vec<u8>),
    /// Nowhere that can be asked: pathways are only changed when one fails.
    Nowhere,
}

/// The pathways of a playlist that asks to be steered.
#[derive(Clone)]
pub struct Pathways {
    /// Where the manifest is.
    pub server: Server,
    /// The pathway to begin with.
    pub first: Option<String>,
    /// In the order of the playlist, clones behind.
    names: Vec<String>,
    /// Names of clones, and what they were made of.
    bases: BTreeMap<String, String>,
    entries: Vec<Entry>,
}

/// A media playlist on a pathway.
#[derive(Clone)]
struct Entry {
    pathway: String,
    /// Equal where two pathways have the same.
    role: String,
    stable_id: Option<String>,
    is_rendition: bool,
    url: Url,
}

impl Pathways {
    /// Those of the multivariant playlist `text` that finally came from `base`; `None` when it has
    /// no steering tag.
    pub fn read(text: &str, base: &Url, definitions: &Definitions) -> Option<Self> {
        let steering = lines::lines(text).filter_map(Line::tag).find(|tag| tag.name == TAG)?;
        let mut read = Reader::new(base, definitions);
        let mut variant = None;
        for line in lines::lines(text) {
            match line.tag() {
                Some(tag) if tag.name == "EXT-X-STREAM-INF" => variant = Some(tag),
                Some(tag) if tag.name == "EXT-X-I-FRAME-STREAM-INF" => {
                    read.variant(tag, tag.attribute("URI").unwrap_or_default());
                }
                _ if line.is_uri() => {
                    if let Some(tag) = variant.take() {
                        read.variant(tag, line.text);
                    }
                }
                _ => {}
            }
        }
        let tags = || lines::lines(text).filter_map(Line::tag);
        tags().filter(|tag| tag.name == "EXT-X-MEDIA").for_each(|tag| read.rendition(tag));
        Some(Self {
            server: server(steering, base, definitions),
            first: steering.attribute("PATHWAY-ID").map(str::to_owned),
            names: read.names,
            bases: BTreeMap::new(),
            entries: read.entries,
        })
    }

    /// Every pathway.
    pub fn names(&self) -> Vec<&str> {
        self.names.iter().map(String::as_str).collect()
    }

    /// The pathway by which the text of the playlist has what this one has: a clone's base.
    pub fn written<'a>(&'a self, pathway: &'a str) -> &'a str {
        self.bases.get(pathway).map_or(pathway, String::as_str)
    }

    /// These and clones of them. A clone of what is not there, or with a name that is taken, is
    /// left out, and so is what it has beyond [`PLAYLISTS_MAX`].
    pub fn with(&self, clones: &[PathwayClone]) -> Self {
        let mut all = self.clone();
        for clone in clones {
            let is_new = !all.names.contains(&clone.id) && all.names.contains(&clone.base);
            if !is_new || all.names.len() >= PATHWAYS_MAX {
                continue;
            }
            let of_base = all.entries.iter().filter(|entry| entry.pathway == clone.base);
            let room = PLAYLISTS_MAX.saturating_sub(all.entries.len());
            let made: Vec<_> =
                of_base.filter_map(|entry| cloned(entry, clone)).take(room).collect();
            let base = all.written(&clone.base).to_owned();
            all.bases.insert(clone.id.clone(), base);
            all.names.push(clone.id.clone());
            all.entries.extend(made);
        }
        all
    }

    /// What is on that pathway the same as the media playlist at `url`.
    pub fn same(&self, url: &Url, pathway: &str) -> Option<&Url> {
        let role = &self.entries.iter().find(|entry| entry.url == *url)?.role;
        let is_it = |entry: &&Entry| entry.pathway == pathway && entry.role == *role;
        self.entries.iter().find(is_it).map(|entry| &entry.url)
    }

    /// Whether a URL is one of a media playlist of these.
    pub fn has(&self, url: &Url) -> bool {
        self.entries.iter().any(|entry| entry.url == *url)
    }
}

struct Reader<'a> {
    base: &'a Url,
    definitions: &'a Definitions,
    names: Vec<String>,
    entries: Vec<Entry>,
    /// How many have the same properties on the same pathway.
    counts: BTreeMap<(String, String), usize>,
    /// Pathways whose variants refer to a group.
    users: BTreeMap<(String, String), Vec<String>>,
}

impl<'a> Reader<'a> {
    fn new(base: &'a Url, definitions: &'a Definitions) -> Self {
        Self {
            base,
            definitions,
            names: Vec::new(),
            entries: Vec::new(),
            counts: BTreeMap::new(),
            users: BTreeMap::new(),
        }
    }

    fn variant(&mut self, tag: Tag<'_>, uri: &str) {
        let pathway = pathway_of(tag).to_owned();
        if !self.names.contains(&pathway) {
            if self.names.len() >= PATHWAYS_MAX {
                return;
            }
            self.names.push(pathway.clone());
        }
        for (kind, group) in groups_of(tag) {
            let users = self.users.entry((kind.to_owned(), group.to_owned())).or_default();
            if !users.contains(&pathway) {
                users.push(pathway.clone());
            }
        }
        self.add(tag, uri, pathway, "STABLE-VARIANT-ID");
    }

    fn rendition(&mut self, tag: Tag<'_>) {
        let (Some(uri), Some((kind, group))) = (tag.attribute("URI"), group_of(tag)) else {
            return;
        };
        let users = self.users.get(&(kind.to_owned(), group.to_owned())).cloned();
        for pathway in users.unwrap_or_default() {
            self.add(tag, uri, pathway, "STABLE-RENDITION-ID");
        }
    }

    fn add(&mut self, tag: Tag<'_>, uri: &str, pathway: String, id: &str) {
        let Some(url) = parse::resolve(self.base, uri, self.definitions) else { return };
        if self.entries.len() >= PLAYLISTS_MAX {
            return;
        }
        let is_rendition = tag.name == "EXT-X-MEDIA";
        let stable_id = tag.attribute(id).map(str::to_owned);
        let properties = match &stable_id {
            Some(stable_id) => format!("{}\n{stable_id}", tag.name),
            None => properties(tag),
        };
        let count = self.counts.entry((pathway.clone(), properties.clone())).or_default();
        *count += 1;
        let role = format!("{count}\n{properties}");
        self.entries.push(Entry { pathway, role, stable_id, is_rendition, url });
    }
}

/// What a media playlist is, whatever the pathway.
fn properties(tag: Tag<'_>) -> String {
    let mut pairs: Vec<_> = lines::attributes(tag.value)
        .filter(|a| !NOT_COMPARED.contains(&a.name) && !GROUPS.contains(&a.name))
        .map(|a| format!("{}={}", a.name, a.value))
        .collect();
    pairs.sort_unstable();
    pairs.insert(0, tag.name.to_owned());
    pairs.join("\n")
}

fn server(tag: Tag<'_>, base: &Url, definitions: &Definitions) -> Server {
    let uri = tag.attribute("SERVER-URI").unwrap_or_default();
    if let Some(manifest) = definitions.substitute(uri).and_then(|uri| inline(&uri)) {
        return Server::Inline(manifest);
    }
    parse::resolve(base, uri, definitions).map_or(Server::Nowhere, Server::At)
}

/// What a clone has in place of one of its base's playlists; `None` when its URL makes no sense.
fn cloned(entry: &Entry, clone: &PathwayClone) -> Option<Entry> {
    let stated = if entry.is_rendition { &clone.renditions } else { &clone.variants };
    let stated = entry.stable_id.as_ref().and_then(|id| stated.get(id));
    let mut url = match stated {
        Some(stated) => proxy_url::resolve(&entry.url, stated)?,
        None => {
            let mut url = entry.url.clone();
            if let Some(host) = clone.host.as_deref().filter(|host| !host.is_empty()) {
                set_host(&mut url, host)?;
            }
            url
        }
    };
    set_params(&mut url, &clone.params);
    let (pathway, role) = (clone.id.clone(), entry.role.clone());
    Some(Entry { pathway, role, url, ..entry.clone() })
}

/// Puts a host, and its port where one is named, in place of the URL's.
fn set_host(url: &mut Url, host: &str) -> Option<()> {
    let named: Url = format!("{}://{host}/", url.scheme()).parse().ok()?;
    let is_bare = named.path() == "/" && named.query().is_none() && named.fragment().is_none();
    if !is_bare || !named.username().is_empty() || named.password().is_some() {
        return None;
    }
    // What was for one host goes to no other.
    url.set_username("").ok()?;
    url.set_password(None).ok()?;
    url.set_host(named.host_str()).ok()?;
    if host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok()) {
        url.set_port(named.port()).ok()?;
    }
    Some(())
}

/// Sets parameters, leaving the others of the query as they are written.
fn set_params(url: &mut Url, params: &BTreeMap<String, String>) {
    if params.is_empty() {
        return;
    }
    let is_kept = |pair: &&str| {
        let name = form_urlencoded::parse(pair.as_bytes()).next().map(|(name, _)| name);
        !pair.is_empty() && name.is_none_or(|name| !params.contains_key(&*name))
    };
    let mut query: Vec<String> =
        url.query().unwrap_or_default().split('&').filter(is_kept).map(str::to_owned).collect();
    query.extend(params.iter().map(|(name, value)| {
        form_urlencoded::Serializer::new(String::new()).append_pair(name, value).finish()
    }));
    url.set_query(Some(&query.join("&")));
}

#[cfg(test)]
#[path = "pathways_tests.rs"]
mod tests;
