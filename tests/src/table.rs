//! One table an object: what becomes of it when a field is gone, of another type or size, or of another value. Every other
//! change of a field's bytes has one answer, whatever the field: malformed.
//!
//! Promises: the table is complete, or the check fails: every field of the object has a row, every row a field, every number
//! steps that say what each value comes to, and every map is tried with entries that this version does not know.

use crate::surgery::{Item, foreign_forms, other_types};

/// What a field comes to.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Which field.
    pub path: &'static str,
    /// When it is not there.
    pub gone: &'static str,
    /// When it is of any other type.
    pub retyped: &'static str,
    /// What it is, for the values that are tried.
    pub kind: Kind,
}

/// What a field is.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// A number: each step says what values from it on come to, ascending. Tried at each step, one below, and at both
    /// ends of what CBOR can say.
    Number(&'static [(i128, &'static str)]),
    /// A number of which only these values are said; any other comes to the second.
    Values(&'static [(i128, &'static str)], &'static str),
    /// Text or bytes: what one byte more, one less and none at all come to.
    Sized([&'static str; 3]),
    /// The same of a field that may be a number too: what numbers come to.
    SizedOrNumber([&'static str; 3], &'static str),
    /// Null.
    Null,
    /// False: what true comes to.
    False(&'static str),
    /// An array: what its first element twice comes to. A fixed array with one element more is malformed.
    Array(&'static str),
    /// The same of an array that may be null: what null comes to.
    ArrayOrNull(&'static str, &'static str),
    /// A map: what an unknown key of 0 and more, and an unknown negative key come to.
    Map([&'static str; 2]),
    /// A map by set number: what a set of these numbers comes to that is none, and what any other number does.
    Sets([&'static str; 2]),
}

/// An object, and how it is judged.
pub struct Subject<'a> {
    /// The whole, which is good.
    pub payload: Vec<u8>,
    /// The answer to such bytes, signed for real where the object is signed.
    pub judge: &'a dyn Fn(&[u8]) -> String,
    /// The answer to the whole as it is.
    pub good: &'static str,
    /// The answer to what has no meaning.
    pub malformed: &'static str,
}

impl std::fmt::Debug for Subject<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subject").field("good", &self.good).finish_non_exhaustive()
    }
}

impl Subject<'_> {
    /// Holds the table against the object.
    ///
    /// # Panics
    /// When an answer is another, or the table is not complete.
    pub fn check(&self, rows: &[Row]) {
        let tree = Item::parse(&self.payload);
        self.expect(&tree, "as it is", self.good);
        let mut fields = tree.paths();
        let mut named: Vec<&str> = rows.iter().map(|row| row.path).collect();
        fields.sort_unstable();
        named.sort_unstable();
        assert_eq!(named, fields, "each field of the object has one row");
        for row in rows {
            self.check_row(&tree, row);
            self.check_forms(&tree, row.path);
        }
        self.check_whole();
    }

    /// Every change that the tables make, for judging without a new signature.
    pub fn changes(&self) -> Vec<Vec<u8>> {
        let tree = Item::parse(&self.payload);
        let mut changes = Vec::new();
        for path in tree.paths() {
            let node = tree.at(&path);
            changes.extend(other_types(node).into_iter().map(|other| tree.with(&path, other).encode()));
            let forms = foreign_forms(node).into_iter();
            changes.extend(forms.map(|(_, raw)| tree.with(&path, Item::Raw(raw)).encode()));
            let moved = [tree.without(&path), tree.doubled(&path), tree.swapped(&path)];
            changes.extend(moved.into_iter().flatten().map(|tree| tree.encode()));
        }
        changes
    }

    fn check_row(&self, tree: &Item, row: &Row) {
        let node = tree.at(row.path);
        if let Some(tree) = tree.without(row.path) {
            self.expect(&tree, &format!("{} gone", row.path), row.gone);
        }
        for other in other_types(node) {
            let what = format!("{} is {other:?}", row.path);
            let expected = match (&other, row.kind) {
                (Item::Int(_), Kind::SizedOrNumber(_, number)) => number,
                (Item::Raw(raw), Kind::ArrayOrNull(_, null)) if *raw == [0xf6] => null,
                _ => row.retyped,
            };
            self.expect(&tree.with(row.path, other), &what, expected);
        }
        let number = |value: i128, expected: &str| {
            let what = format!("{} is {value}", row.path);
            self.expect(&tree.with(row.path, Item::Int(value)), &what, expected);
        };
        match (row.kind, node) {
            (Kind::Number(steps), Item::Int(_)) => {
                let ends = [-(1 << 64), -1, 0, (1 << 64) - 1];
                let places = steps.iter().flat_map(|(from, _)| [from - 1, *from]).chain(ends);
                for value in places.filter(|value| (-(1 << 64)..1 << 64).contains(value)) {
                    let step = steps.iter().rev().find(|(from, _)| *from <= value);
                    number(value, step.expect("steps from the least number on").1);
                }
            }
            (Kind::Values(values, others), Item::Int(_)) => {
                for (value, expected) in values {
                    number(*value, expected);
                }
                let tried = |value: &i128| values.iter().any(|(known, _)| known == value);
                let ends =
                    [-(1 << 64), -1, 0, 1, (1 << 32) - 1, 1 << 32, (1 << 63) - 1, 1 << 63, (1 << 64) - 1];
                ends.iter().filter(|value| !tried(value)).for_each(|value| number(*value, others));
            }
            (Kind::Sized(expected) | Kind::SizedOrNumber(expected, _), Item::Bytes(_) | Item::Text(_)) => {
                self.check_sizes(tree, row.path, expected);
            }
            (Kind::Array(expected) | Kind::ArrayOrNull(expected, _), Item::Array(items)) => {
                if let Some(first) = items.first() {
                    let twice = Item::Array([std::slice::from_ref(first), items].concat());
                    self.expect(
                        &tree.with(row.path, twice),
                        &format!("{} with one more", row.path),
                        expected,
                    );
                }
            }
            (Kind::Map([positive, negative]), Item::Map(_)) => {
                self.check_unknown(tree, row.path, |key| if key < 0 { negative } else { positive });
            }
            (Kind::Sets([inside, outside]), Item::Map(_)) => {
                self.check_unknown(
                    tree,
                    row.path,
                    |key| if (1..24).contains(&key) { inside } else { outside },
                );
            }
            (Kind::Null, Item::Raw(_)) => {}
            (Kind::False(truth), Item::Raw(raw)) if *raw == [0xf4] => {
                self.expect(
                    &tree.with(row.path, Item::Raw(vec![0xf5])),
                    &format!("{} is true", row.path),
                    truth,
                );
            }
            (kind, node) => panic!("{} is no {kind:?}: {node:?}", row.path),
        }
    }

    fn check_sizes(&self, tree: &Item, path: &str, [longer, shorter, none]: [&str; 3]) {
        let resize = |change: fn(&mut Vec<u8>)| {
            let mut node = tree.at(path).clone();
            if let Item::Bytes(bytes) | Item::Text(bytes) = &mut node {
                change(bytes);
            }
            tree.with(path, node)
        };
        self.expect(&resize(|bytes| bytes.push(b'0')), &format!("{path} longer"), longer);
        let shorter_tree = resize(|bytes| {
            bytes.pop();
        });
        self.expect(&shorter_tree, &format!("{path} shorter"), shorter);
        self.expect(&resize(Vec::clear), &format!("{path} empty"), none);
    }

    /// Entries of a newer version: of every type, at both ends of one byte and beyond what an `i64` can say.
    fn check_unknown<'b>(&self, tree: &Item, path: &str, expected: impl Fn(i128) -> &'b str) {
        let node = tree.at(path);
        let Item::Map(entries) = node else { return };
        let free = |key: &i128| entries.iter().all(|(found, _)| *found != Item::Int(*key));
        let keys = [
            0,
            12,
            23,
            24,
            70_000,
            (1 << 63) - 1,
            1 << 63,
            (1 << 64) - 1,
            -3,
            -24,
            -70_000,
            -(1 << 63),
            -(1 << 64),
        ];
        for key in keys.into_iter().filter(free) {
            for value in other_types(&Item::Tag(0, Box::new(Item::Int(0)))) {
                let what = format!("{path} with {key}: {value:?}");
                self.expect(&tree.with(path, node.with_entry(Item::Int(key), value)), &what, expected(key));
            }
        }
        for key in other_types(&Item::Int(0)) {
            let what = format!("{path} with a key {key:?}");
            self.expect(&tree.with(path, node.with_entry(key, Item::Int(0))), &what, self.malformed);
        }
    }

    /// What no encoder of ours writes is malformed in every place.
    fn check_forms(&self, tree: &Item, path: &str) {
        for (what, raw) in foreign_forms(tree.at(path)) {
            self.expect(&tree.with(path, Item::Raw(raw)), &format!("{path} as {what}"), self.malformed);
        }
        let in_map = path != "." && !path.ends_with(']') && !path.ends_with('#');
        if in_map {
            for (what, changed) in [("twice", tree.doubled(path)), ("out of order", tree.swapped(path))] {
                if let Some(changed) = changed {
                    self.expect(&changed, &format!("{path} {what}"), self.malformed);
                }
            }
        }
    }

    /// Cut at every byte, and longer.
    fn check_whole(&self) {
        for cut in 0..self.payload.len() {
            let found = (self.judge)(self.payload.get(..cut).unwrap_or_default());
            assert_eq!(found, self.malformed, "cut at {cut}");
        }
        assert_eq!((self.judge)(&[&self.payload[..], &[0]].concat()), self.malformed, "one byte more");
    }

    fn expect(&self, tree: &Item, what: &str, expected: &str) {
        assert_eq!((self.judge)(&tree.encode()), expected, "{what}");
    }
}
