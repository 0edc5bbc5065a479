//! Deterministic CBOR taken apart into a tree, so that one field of an object can be wrong while the rest is right.
//!
//! Promises: a tree that nobody touched encodes to the bytes that it was read from; every node has a path, so that a table
//! can be held against all of them. Knows nothing of what the fields mean. Paths: `-65537.9` is entry 9 of the map at
//! entry −65537, `4[0]` the first element of the array at 4, and `.` the whole.

use std::fmt::Write as _;

/// One item of CBOR.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// Major type 0 or 1.
    Int(i128),
    /// Major type 2.
    Bytes(Vec<u8>),
    /// Major type 3.
    Text(Vec<u8>),
    /// Major type 4.
    Array(Vec<Self>),
    /// Major type 5, entries as they stand.
    Map(Vec<(Self, Self)>),
    /// Major type 6.
    Tag(u64, Box<Self>),
    /// Anything else, and whatever a test puts in: bytes as they are.
    Raw(Vec<u8>),
}

impl Item {
    /// The tree of exactly these bytes.
    ///
    /// # Panics
    /// When they are not one deterministic item: fixtures are.
    pub fn parse(bytes: &[u8]) -> Self {
        let (item, rest) = read(bytes);
        assert!(rest.is_empty() && item.encode() == bytes, "a deterministic fixture");
        item
    }

    /// The bytes.
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Int(value) if *value < 0 => head(1, (-1 - value) as u64),
            Self::Int(value) => head(0, *value as u64),
            Self::Bytes(bytes) => [head(2, bytes.len() as u64), bytes.clone()].concat(),
            Self::Text(bytes) => [head(3, bytes.len() as u64), bytes.clone()].concat(),
            Self::Array(items) => {
                [head(4, items.len() as u64), items.iter().flat_map(Self::encode).collect()].concat()
            }
            Self::Map(entries) => {
                let entry = |(key, value): &(Self, Self)| [key.encode(), value.encode()].concat();
                [head(5, entries.len() as u64), entries.iter().flat_map(entry).collect()].concat()
            }
            Self::Tag(tag, item) => [head(6, *tag), item.encode()].concat(),
            Self::Raw(bytes) => bytes.clone(),
        }
    }

    /// The paths of all nodes, the whole first.
    pub fn paths(&self) -> Vec<String> {
        let mut paths = Vec::new();
        self.note_paths(String::new(), &mut paths);
        paths
    }

    /// The node at a path.
    pub fn at(&self, path: &str) -> &Self {
        steps(path).fold(self, |item, step| match (item, step) {
            (Self::Array(items), Step::Element(at)) => items.get(at).expect("an element"),
            (Self::Map(entries), Step::Entry(key)) => {
                let found = entries.iter().find(|(found, _)| *found == Self::Int(key));
                found.map(|(_, value)| value).expect("an entry")
            }
            (Self::Tag(_, item), Step::Tagged) => item,
            _ => panic!("no {path}"),
        })
    }

    /// This tree with another node at a path.
    #[must_use]
    pub fn with(&self, path: &str, node: Self) -> Self {
        let mut tree = self.clone();
        *tree.at_mut(path) = node;
        tree
    }

    /// This tree without the node at a path: an entry goes with its key. `None` for the whole and for what a tag stands on.
    pub fn without(&self, path: &str) -> Option<Self> {
        self.edit_siblings(path, |siblings, at| {
            siblings.remove(at);
        })
    }

    /// This tree with the node at a path standing there twice.
    pub fn doubled(&self, path: &str) -> Option<Self> {
        self.edit_siblings(path, |siblings, at| {
            siblings.insert(at, siblings.get(at).cloned().expect("it is there"))
        })
    }

    /// This tree with the node at a path behind the one that follows; `None` when none does.
    pub fn swapped(&self, path: &str) -> Option<Self> {
        let mut possible = false;
        let tree = self.edit_siblings(path, |siblings, at| {
            possible = at + 1 < siblings.len();
            if possible {
                siblings.swap(at, at + 1);
            }
        });
        tree.filter(|_| possible)
    }

    /// This map with one more entry, in its place.
    ///
    /// # Panics
    /// When this is no map.
    #[must_use]
    pub fn with_entry(&self, key: Self, value: Self) -> Self {
        let Self::Map(entries) = self else { panic!("not a map") };
        let mut entries = entries.clone();
        let at = entries.iter().position(|(found, _)| found.encode() > key.encode()).unwrap_or(entries.len());
        entries.insert(at, (key, value));
        Self::Map(entries)
    }

    fn at_mut(&mut self, path: &str) -> &mut Self {
        steps(path).fold(self, |item, step| match (item, step) {
            (Self::Array(items), Step::Element(at)) => items.get_mut(at).expect("an element"),
            (Self::Map(entries), Step::Entry(key)) => {
                let found = entries.iter_mut().find(|(found, _)| *found == Self::Int(key));
                found.map(|(_, value)| value).expect("an entry")
            }
            (Self::Tag(_, item), Step::Tagged) => item,
            _ => panic!("no {path}"),
        })
    }

    /// Elements and entries alike: an element is its own value, an entry goes with its key.
    fn edit_siblings(
        &self,
        path: &str,
        edit: impl FnOnce(&mut Vec<(Option<Self>, Self)>, usize),
    ) -> Option<Self> {
        let all: Vec<Step> = steps(path).collect();
        let last = *all.last()?;
        let parent_path = parent(path)?;
        let mut tree = self.clone();
        let node = tree.at_mut(&parent_path);
        let (mut siblings, at): (Vec<(Option<Self>, Self)>, usize) = match (&*node, last) {
            (Self::Array(items), Step::Element(at)) => {
                (items.iter().map(|item| (None, item.clone())).collect(), at)
            }
            (Self::Map(entries), Step::Entry(key)) => {
                let at = entries.iter().position(|(found, _)| *found == Self::Int(key))?;
                (entries.iter().map(|(key, value)| (Some(key.clone()), value.clone())).collect(), at)
            }
            _ => return None,
        };
        edit(&mut siblings, at);
        *node = match last {
            Step::Element(_) => Self::Array(siblings.into_iter().map(|(_, item)| item).collect()),
            _ => Self::Map(siblings.into_iter().filter_map(|(key, value)| Some((key?, value))).collect()),
        };
        Some(tree)
    }

    fn note_paths(&self, here: String, paths: &mut Vec<String>) {
        paths.push(if here.is_empty() { ".".to_owned() } else { here.clone() });
        match self {
            Self::Array(items) => {
                for (at, item) in items.iter().enumerate() {
                    item.note_paths(format!("{here}[{at}]"), paths);
                }
            }
            Self::Map(entries) => {
                for (key, value) in entries {
                    let Self::Int(key) = key else { panic!("a fixture with integer keys") };
                    let mut path = here.clone();
                    let dot = if here.is_empty() { "" } else { "." };
                    write!(path, "{dot}{key}").expect("a String");
                    value.note_paths(path, paths);
                }
            }
            Self::Tag(_, item) => item.note_paths(format!("{here}#"), paths),
            Self::Int(_) | Self::Bytes(_) | Self::Text(_) | Self::Raw(_) => {}
        }
    }
}

/// Bytes that stand where `item` stood and that no encoder of ours writes: longer heads, no end, forms that have no place,
/// and lengths that nothing follows.
pub fn foreign_forms(item: &Item) -> Vec<(String, Vec<u8>)> {
    let bytes = item.encode();
    let mut forms = Vec::new();
    if let Some((major, argument, content)) = split_head(&bytes) {
        let widths = [(24, 1), (25, 2), (26, 4), (27, 8)];
        for (info, width) in widths.into_iter().filter(|(info, _)| *info > shortest(argument)) {
            let argument = argument.to_be_bytes();
            let longer =
                [&[major << 5 | info], argument.get(8 - width..).expect("at most 8"), content].concat();
            forms.push((format!("head of {width}"), longer));
        }
        if (2..=5).contains(&major) {
            let open = match major {
                2 | 3 => [&[major << 5 | 31], &bytes[..], &[0xff]].concat(),
                _ => [&[major << 5 | 31], content, &[0xff]].concat(),
            };
            forms.push(("without length".to_owned(), open));
            for length in [1 << 20, u64::from(u32::MAX), u64::MAX] {
                forms.push((format!("length {length}"), [head(major, length), content.to_vec()].concat()));
            }
        }
    }
    forms.push(("tagged".to_owned(), [&[0xc1], &bytes[..]].concat()));
    forms.push(("nine deep".to_owned(), [&[0x81; 9], &bytes[..]].concat()));
    for (what, raw) in [
        ("half", &[0xf9, 0x3c, 0][..]),
        ("float", &[0xfa, 0x3f, 0x80, 0, 0]),
        ("double", &[0xfb, 0x3f, 0xf0, 0, 0, 0, 0, 0, 0]),
        ("not a number", &[0xf9, 0x7e, 0]),
        ("undefined", &[0xf7]),
        ("simple 16", &[0xf0]),
        ("simple 32", &[0xf8, 32]),
        ("true in two bytes", &[0xf8, 21]),
        ("reserved", &[0x1c]),
        ("break", &[0xff]),
        ("text of other bytes", &[0x62, 0xff, 0xfe]),
        ("nothing", &[]),
    ] {
        forms.push((what.to_owned(), raw.to_vec()));
    }
    forms
}

/// An item of each type but that of `item`, simple as it can be.
pub fn other_types(item: &Item) -> Vec<Item> {
    let all = [
        Item::Int(0),
        Item::Int(-1),
        Item::Bytes(Vec::new()),
        Item::Text(Vec::new()),
        Item::Array(Vec::new()),
        Item::Map(Vec::new()),
        Item::Raw(vec![0xf4]),
        Item::Raw(vec![0xf6]),
    ];
    let same_type = |other: &Item| std::mem::discriminant(other) == std::mem::discriminant(item);
    all.into_iter()
        .filter(|other| !same_type(other) || matches!((item, other), (Item::Raw(a), Item::Raw(b)) if a != b))
        .collect()
}

#[derive(Clone, Copy)]
enum Step {
    Entry(i128),
    Element(usize),
    Tagged,
}

fn steps(path: &str) -> impl Iterator<Item = Step> + '_ {
    let path = if path == "." { "" } else { path };
    path.split_inclusive(['.', ']', '#']).flat_map(|part| part.split_inclusive(']')).flat_map(|part| {
        let part = part.strip_suffix('.').unwrap_or(part);
        let (entry, element) = part.split_once('[').map_or((part, None), |(entry, rest)| (entry, Some(rest)));
        let entry = match entry {
            "" => None,
            "#" => Some(Step::Tagged),
            key => Some(Step::Entry(key.parse().expect("a key"))),
        };
        let element = element.map(|rest| Step::Element(rest.trim_end_matches(']').parse().expect("a place")));
        entry.into_iter().chain(element)
    })
}

fn parent(path: &str) -> Option<String> {
    if path == "." || path.ends_with('#') {
        return None;
    }
    let cut = path.rfind(['.', '[', '#']);
    let kept =
        cut.map_or("", |at| path.get(..at + usize::from(path.get(at..=at) == Some("#"))).unwrap_or_default());
    Some(if kept.is_empty() { ".".to_owned() } else { kept.to_owned() })
}

fn read(bytes: &[u8]) -> (Item, &[u8]) {
    let (major, argument, mut rest) = split_head(bytes).expect("a whole item");
    let length = usize::try_from(argument).unwrap_or(usize::MAX);
    let mut next = || {
        let (item, after) = read(rest);
        rest = after;
        item
    };
    let item = match major {
        0 => Item::Int(i128::from(argument)),
        1 => Item::Int(-1 - i128::from(argument)),
        2 | 3 => {
            let (content, after) = rest.split_at(length);
            rest = after;
            if major == 2 { Item::Bytes(content.to_vec()) } else { Item::Text(content.to_vec()) }
        }
        4 => Item::Array((0..length).map(|_| next()).collect()),
        5 => Item::Map((0..length).map(|_| (next(), next())).collect()),
        6 => Item::Tag(argument, Box::new(next())),
        _ => Item::Raw(bytes.get(..bytes.len() - rest.len()).expect("the head").to_vec()),
    };
    (item, rest)
}

fn split_head(bytes: &[u8]) -> Option<(u8, u64, &[u8])> {
    let (&first, rest) = bytes.split_first()?;
    let (major, info) = (first >> 5, first & 31);
    let width = match info {
        0..=23 => return Some((major, u64::from(info), rest)),
        24..=27 => 1 << (info - 24),
        _ => return None,
    };
    let (argument, rest) = rest.split_at_checked(width)?;
    Some((major, argument.iter().fold(0, |value, byte| value << 8 | u64::from(*byte)), rest))
}

/// The additional information of the shortest head.
fn shortest(argument: u64) -> u8 {
    match argument {
        0..=23 => argument as u8,
        24..=0xff => 24,
        0x100..=0xffff => 25,
        0x1_0000..=0xffff_ffff => 26,
        _ => 27,
    }
}

/// The shortest head.
fn head(major: u8, argument: u64) -> Vec<u8> {
    let info = shortest(argument);
    let width = if info < 24 { 0 } else { 1 << (info - 24) };
    let bytes = argument.to_be_bytes();
    [&[major << 5 | info], bytes.get(8 - width..).expect("at most 8")].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_is_its_bytes_and_every_path_leads_to_its_node() {
        // 18([h'01', {-65537: {9: [1, [2, "x"]]}, 3: null}])
        let map = Item::Map(vec![
            (Item::Int(3), Item::Raw(vec![0xf6])),
            (
                Item::Int(-65_537),
                Item::Map(vec![(
                    Item::Int(9),
                    Item::Array(vec![
                        Item::Int(1),
                        Item::Array(vec![Item::Int(2), Item::Text(b"x".to_vec())]),
                    ]),
                )]),
            ),
        ]);
        let tree = Item::Tag(18, Box::new(Item::Array(vec![Item::Bytes(vec![1]), map])));
        assert_eq!(Item::parse(&tree.encode()), tree);
        let paths = tree.paths();
        assert_eq!(
            paths,
            [
                ".",
                "#",
                "#[0]",
                "#[1]",
                "#[1].3",
                "#[1].-65537",
                "#[1].-65537.9",
                "#[1].-65537.9[0]",
                "#[1].-65537.9[1]",
                "#[1].-65537.9[1][0]",
                "#[1].-65537.9[1][1]"
            ]
        );
        assert_eq!(tree.at("#[1].-65537.9[1][1]"), &Item::Text(b"x".to_vec()));
        assert_eq!(tree.without("#[1].-65537.9[1][0]").unwrap().paths().len(), paths.len() - 1);
        assert_eq!(tree.without("#[1].3").unwrap().paths().len(), paths.len() - 1);
        assert!(tree.without("#").is_none() && tree.without(".").is_none());
        assert_eq!(tree.doubled("#[0]").unwrap().encode().len(), tree.encode().len() + 2);
        assert_ne!(tree.swapped("#[1].3").unwrap().encode(), tree.encode());
        assert!(tree.swapped("#[1].-65537").is_none());
    }
}
