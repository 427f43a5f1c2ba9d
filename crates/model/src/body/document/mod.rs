//! What a body says: values like those of JSON, whichever form they came in.
//!
//! All values are in one table of 16 bytes each and all text is in one string, so that a body costs a small multiple of
//! its length whatever it holds, and reading it takes two allocations instead of one for every value. What a template
//! asks for becomes a value of its own only then ([`Document::variable`]).
//!
//! The children of an array or object stand next to each other: an index is one step. The names of an object are unique;
//! those of a large one are also kept sorted, so that finding one takes a few comparisons, whoever chose the names.

mod builder;
mod variable;

use std::fmt;

use serde::{Serialize, Serializer};
use serde_json::{Map, Number, Value};

pub use builder::{Builder, Repeated};
pub use variable::container;

/// How deep values may be nested: far deeper than any sender does, and far from the end of a thread's stack.
pub const MAX_DEPTH: usize = 64;
/// The most values that a body may hold, names of fields included.
pub const MAX_VALUES: usize = 1_000_000;

/// The values of a body.
pub struct Document {
    nodes: Vec<Node>,
    text: String,
    sorted: Vec<u32>,
    root: Node,
    repeated: Option<String>,
}

/// One value. Names of fields are texts that stand before their values.
#[derive(Debug, Clone, Copy)]
enum Node {
    Null,
    Bool(bool),
    Signed(i64),
    Unsigned(u64),
    Float(f64),
    Text(Span),
    /// An integer that 64 bits do not hold, as it was written.
    Digits(Span),
    Array(Span),
    /// Its fields; and where the order of a large one's names begins.
    Object(Span, u32),
}

/// A stretch of the text, or of the nodes.
#[derive(Debug, Clone, Copy)]
struct Span {
    start: u32,
    length: u32,
}

impl Span {
    const fn range(self) -> std::ops::Range<usize> {
        let start = self.start as usize;
        start..start + self.length as usize
    }
}

/// Objects of more fields than this have their names sorted.
const SCANNED: u32 = 128;

/// A value in a document.
#[derive(Clone, Copy)]
pub struct ValueRef<'a> {
    document: &'a Document,
    node: Node,
}

impl Document {
    /// The whole.
    pub fn root(&self) -> ValueRef<'_> {
        self.at(self.root)
    }

    /// The first name that an object had twice; the last of its values counts.
    pub fn repeated_name(&self) -> Option<&str> {
        self.repeated.as_deref()
    }

    fn at(&self, node: Node) -> ValueRef<'_> {
        ValueRef { document: self, node }
    }

    fn text(&self, span: Span) -> &str {
        self.text.get(span.range()).unwrap_or_default()
    }

    fn nodes(&self, span: Span) -> &[Node] {
        self.nodes.get(span.range()).unwrap_or_default()
    }

    fn name(&self, node: Node) -> &str {
        match node {
            Node::Text(span) => self.text(span),
            _ => "",
        }
    }

    /// The value of an object's field, and its place among the fields, which is guessed first.
    fn field(&self, fields: Span, order: u32, name: &str, guess: usize) -> Option<(Node, usize)> {
        let pairs = self.nodes(fields).as_chunks::<2>().0;
        let has_name = |[candidate, _]: &[Node; 2]| self.name(*candidate) == name;
        let place = if pairs.get(guess).is_some_and(has_name) {
            guess
        } else if fields.length / 2 <= SCANNED {
            pairs.iter().position(has_name)?
        } else {
            let order = self.sorted.get(order as usize..)?.get(..pairs.len())?;
            let place = order.binary_search_by(|&place| {
                let candidate = pairs
                    .get(place as usize)
                    .map(|[candidate, _]| self.name(*candidate));
                candidate.unwrap_or_default().cmp(name)
            });
            *order.get(place.ok()?)? as usize
        };
        let [_, value] = pairs.get(place)?;
        Some((*value, place))
    }
}

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueKind {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool,
    /// A whole number.
    Integer,
    /// Another number.
    Number,
    /// Text.
    Text,
    /// A list.
    Array,
    /// Fields with names.
    Object,
}

impl<'a> ValueRef<'a> {
    /// What it is.
    pub const fn kind(self) -> ValueKind {
        match self.node {
            Node::Null => ValueKind::Null,
            Node::Bool(_) => ValueKind::Bool,
            Node::Signed(_) | Node::Unsigned(_) | Node::Digits(_) => ValueKind::Integer,
            Node::Float(_) => ValueKind::Number,
            Node::Text(_) => ValueKind::Text,
            Node::Array(_) => ValueKind::Array,
            Node::Object(..) => ValueKind::Object,
        }
    }

    /// The text of a text.
    pub fn as_str(self) -> Option<&'a str> {
        match self.node {
            Node::Text(span) => Some(self.document.text(span)),
            _ => None,
        }
    }

    /// A field of an object.
    pub fn get(self, name: &str) -> Option<Self> {
        self.get_near(name, 0).map(|(value, _)| value)
    }

    /// A field of an object, which may be at this place among the fields; and the place at which it is. Requests of one sender
    /// have their fields in the same order mostly, so a good guess saves the search.
    pub fn get_near(self, name: &str, guess: usize) -> Option<(Self, usize)> {
        let Node::Object(fields, order) = self.node else {
            return None;
        };
        let (node, place) = self.document.field(fields, order, name, guess)?;
        Some((self.document.at(node), place))
    }

    /// An item of an array.
    pub fn item(self, index: usize) -> Option<Self> {
        let Node::Array(items) = self.node else {
            return None;
        };
        let node = self.document.nodes(items).get(index)?;
        Some(self.document.at(*node))
    }

    /// The items of an array, in their order; none of anything else.
    pub fn items(self) -> impl ExactSizeIterator<Item = Self> {
        let items = match self.node {
            Node::Array(items) => self.document.nodes(items),
            _ => &[],
        };
        items.iter().map(move |node| self.document.at(*node))
    }

    /// The fields of an object, in their order; none of anything else.
    pub fn fields(self) -> impl ExactSizeIterator<Item = (&'a str, Self)> {
        let fields = match self.node {
            Node::Object(fields, _) => self.document.nodes(fields),
            _ => &[],
        };
        let (pairs, _) = fields.as_chunks::<2>();
        pairs
            .iter()
            .map(move |[name, value]| (self.document.name(*name), self.document.at(*value)))
    }

    /// The value at a JSON Pointer (RFC 6901). The empty pointer is the value itself.
    pub fn pointer(self, pointer: &str) -> Option<Self> {
        if pointer.is_empty() {
            return Some(self);
        }
        pointer
            .strip_prefix('/')?
            .split('/')
            .try_fold(self, |value, token| match value.node {
                Node::Object(..) if !token.contains('~') => value.get(token),
                Node::Object(..) => value.get(&token.replace("~1", "/").replace("~0", "~")),
                Node::Array(_) => {
                    let is_index = token == "0" || !token.starts_with(['0', '+']);
                    value.item(token.parse().ok().filter(|_| is_index)?)
                }
                _ => None,
            })
    }

    /// As JSON. An integer that 64 bits do not hold becomes the text of its digits: as a number it would be rounded.
    pub fn to_json(self) -> Value {
        self.to_json_within(&mut usize::MAX.clone()).unwrap_or_default()
    }

    /// As JSON, unless that takes more than about so many bytes, which are taken off.
    pub fn to_json_within(self, left: &mut usize) -> Option<Value> {
        let text = |span| self.document.text(span);
        let bytes = match self.node {
            Node::Text(span) | Node::Digits(span) => text(span).len() + 3,
            _ => 8,
        };
        *left = left.checked_sub(bytes)?;
        Some(match self.node {
            Node::Null => Value::Null,
            Node::Bool(value) => Value::Bool(value),
            Node::Signed(value) => value.into(),
            Node::Unsigned(value) => value.into(),
            Node::Float(value) => Number::from_f64(value).map_or(Value::Null, Value::Number),
            Node::Text(span) | Node::Digits(span) => Value::String(text(span).to_owned()),
            Node::Array(_) => {
                let items = self.items().map(|item| item.to_json_within(left));
                Value::Array(items.collect::<Option<_>>()?)
            }
            Node::Object(..) => {
                let fields = self.fields().map(|(name, value)| {
                    *left = left.checked_sub(name.len() + 4)?;
                    Some((name.to_owned(), value.to_json_within(left)?))
                });
                Value::Object(fields.collect::<Option<Map<_, _>>>()?)
            }
        })
    }
}

/// A scalar as text: a text as it is, a number or a boolean as JSON writes it; nothing for anything else.
impl fmt::Display for ValueRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.node {
            Node::Bool(value) => value.fmt(f),
            Node::Signed(value) => value.fmt(f),
            Node::Unsigned(value) => value.fmt(f),
            Node::Float(value) => Number::from_f64(value).map_or(Ok(()), |number| number.fmt(f)),
            Node::Text(span) | Node::Digits(span) => f.write_str(self.document.text(span)),
            Node::Null | Node::Array(_) | Node::Object(..) => Ok(()),
        }
    }
}

/// As JSON, like [`ValueRef::to_json`].
impl Serialize for ValueRef<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.node {
            Node::Null => serializer.serialize_unit(),
            Node::Bool(value) => serializer.serialize_bool(value),
            Node::Signed(value) => serializer.serialize_i64(value),
            Node::Unsigned(value) => serializer.serialize_u64(value),
            Node::Float(value) => serializer.serialize_f64(value),
            Node::Text(span) | Node::Digits(span) => serializer.serialize_str(self.document.text(span)),
            Node::Array(_) => serializer.collect_seq(self.items()),
            Node::Object(..) => serializer.collect_map(self.fields()),
        }
    }
}

/// How much there is, not what: a body can hold anything.
impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Document")
            .field("values", &(self.nodes.len() + 1))
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
