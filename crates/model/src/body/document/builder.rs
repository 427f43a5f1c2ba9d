//! Puts a document together, from the inside out, within its bounds.

use super::{Document, MAX_DEPTH, MAX_VALUES, Node, SCANNED, Span};
use crate::body::BodyError;

/// How much of a name is told.
const TOLD_CHARACTERS: usize = 100;

/// A document in the making. Values are pushed in their order; an array or object is opened, filled and closed.
#[derive(Default)]
pub struct Builder {
    nodes: Vec<Node>,
    text: String,
    sorted: Vec<u32>,
    /// The values whose array or object is still open.
    stack: Vec<Node>,
    /// Where the open arrays and objects begin in `stack`.
    open: Vec<usize>,
    repeated: Option<String>,
}

/// What becomes of a name that an object has several times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeated {
    /// The last value counts, and the document says so: JSON.
    LastCounts,
    /// Its values become an array: forms, elements of XML.
    Gathered,
}

impl Builder {
    /// A document of a text of so many bytes.
    pub fn for_bytes(bytes: usize) -> Self {
        Self {
            text: String::with_capacity(bytes),
            nodes: Vec::with_capacity((bytes / 16).min(MAX_VALUES)),
            ..Self::default()
        }
    }

    fn push(&mut self, node: Node) -> Result<(), BodyError> {
        if self.nodes.len() + self.stack.len() >= MAX_VALUES {
            return Err(BodyError::TooManyValues);
        }
        self.stack.push(node);
        Ok(())
    }

    /// Pushes `null`.
    pub fn null(&mut self) -> Result<(), BodyError> {
        self.push(Node::Null)
    }

    /// Pushes `true` or `false`.
    pub fn boolean(&mut self, value: bool) -> Result<(), BodyError> {
        self.push(Node::Bool(value))
    }

    /// Pushes a whole number.
    pub fn signed(&mut self, value: i64) -> Result<(), BodyError> {
        self.push(Node::Signed(value))
    }

    /// Pushes a whole number.
    pub fn unsigned(&mut self, value: u64) -> Result<(), BodyError> {
        self.push(Node::Unsigned(value))
    }

    /// Pushes a number.
    pub fn float(&mut self, value: f64) -> Result<(), BodyError> {
        self.push(Node::Float(value))
    }

    /// Pushes an integer that 64 bits do not hold.
    pub fn digits(&mut self, text: &str) -> Result<(), BodyError> {
        let span = self.keep(text)?;
        self.push(Node::Digits(span))
    }

    /// Pushes a text, or the name of the field whose value is pushed next.
    pub fn text(&mut self, text: &str) -> Result<(), BodyError> {
        let span = self.keep(text)?;
        self.push(Node::Text(span))
    }

    fn keep(&mut self, text: &str) -> Result<Span, BodyError> {
        let too_long = |_| BodyError::TooManyValues;
        let span = Span {
            start: u32::try_from(self.text.len()).map_err(too_long)?,
            length: u32::try_from(text.len()).map_err(too_long)?,
        };
        self.text.push_str(text);
        Ok(span)
    }

    /// Opens an array or an object.
    pub fn open(&mut self) -> Result<(), BodyError> {
        if self.open.len() >= MAX_DEPTH {
            return Err(BodyError::TooDeep);
        }
        self.open.push(self.stack.len());
        Ok(())
    }

    /// Closes what was opened last, as an array.
    pub fn close_array(&mut self) -> Result<(), BodyError> {
        let start = self.open.pop().unwrap_or_default();
        let items = self.settle(start);
        self.push(Node::Array(items))
    }

    /// Closes what was opened last, empty, as a text after all.
    pub fn close_text(&mut self, text: &str) -> Result<(), BodyError> {
        let start = self.open.pop().unwrap_or_default();
        self.stack.truncate(start);
        self.text(text)
    }

    /// Closes what was opened last, as an object of the names and values pushed meanwhile.
    pub fn close_object(&mut self, repeated: Repeated) -> Result<(), BodyError> {
        let start = self.open.pop().unwrap_or_default();
        let mut order = self.order_of_names(start);
        if let Some(name) = self.first_repeated(start, &order) {
            if repeated == Repeated::LastCounts && self.repeated.is_none() {
                self.repeated = Some(name.chars().take(TOLD_CHARACTERS).collect());
            }
            self.merge(start, repeated);
            order = self.order_of_names(start);
        }
        let begin = u32::try_from(self.sorted.len()).map_err(|_| BodyError::TooManyValues)?;
        self.sorted.extend(order);
        let fields = self.settle(start);
        self.push(Node::Object(fields, begin))
    }

    /// Moves the children of what is closed to their final place.
    fn settle(&mut self, start: usize) -> Span {
        // Fewer than MAX_VALUES, so this cannot be cut.
        let span = Span {
            start: u32::try_from(self.nodes.len()).unwrap_or(u32::MAX),
            length: u32::try_from(self.stack.len() - start).unwrap_or(0),
        };
        self.nodes
            .extend_from_slice(self.stack.get(start..).unwrap_or_default());
        self.stack.truncate(start);
        span
    }

    fn pairs(&self, start: usize) -> &[[Node; 2]] {
        self.stack.get(start..).unwrap_or_default().as_chunks().0
    }

    fn name(&self, node: Node) -> &[u8] {
        match node {
            Node::Text(span) => self.text.as_bytes().get(span.range()).unwrap_or_default(),
            _ => &[],
        }
    }

    /// The places of a large object's fields, sorted by name, then by place; empty for a small one.
    fn order_of_names(&self, start: usize) -> Vec<u32> {
        let pairs = self.pairs(start);
        let count = u32::try_from(pairs.len()).unwrap_or(0);
        if count <= SCANNED {
            return Vec::new();
        }
        let mut order: Vec<u32> = (0..count).collect();
        order.sort_by_key(|&place| self.name(pairs[place as usize][0]));
        order
    }

    /// A name that is there twice.
    fn first_repeated(&self, start: usize, order: &[u32]) -> Option<String> {
        let pairs = self.pairs(start);
        let told = |name: &[u8]| String::from_utf8_lossy(name).into_owned();
        if !order.is_empty() {
            let name = |place: u32| self.name(pairs[place as usize][0]);
            let twice = order.windows(2).find(|two| name(two[0]) == name(two[1]))?;
            return Some(told(name(twice[0])));
        }
        // Names that share no fingerprint differ; only the others are compared.
        let mut seen = [0_u64; 16];
        for (place, [name, _]) in pairs.iter().enumerate() {
            let name = self.name(*name);
            let print = fingerprint(name);
            let (word, bit) = (usize::from(print >> 6), 1 << (print & 63));
            let is_new = seen[word] & bit == 0;
            seen[word] |= bit;
            if !is_new && pairs[..place].iter().any(|[other, _]| self.name(*other) == name) {
                return Some(told(name));
            }
        }
        None
    }

    /// Leaves each name once, at its first place.
    fn merge(&mut self, start: usize, repeated: Repeated) {
        let pairs = self.pairs(start).to_vec();
        let mut order: Vec<usize> = (0..pairs.len()).collect();
        order.sort_by_key(|&place| self.name(pairs[place][0]));
        let groups: Vec<&[usize]> = order
            .chunk_by(|a, b| self.name(pairs[*a][0]) == self.name(pairs[*b][0]))
            .collect();
        let mut merged: Vec<(usize, [Node; 2])> = Vec::with_capacity(groups.len());
        for group in groups {
            // A group is never empty, and sorting kept the order of its members.
            let (first, last) = (group[0], group[group.len() - 1]);
            let value = if first == last || repeated == Repeated::LastCounts {
                pairs[last][1]
            } else {
                let values = Span {
                    start: u32::try_from(self.nodes.len()).unwrap_or(u32::MAX),
                    length: u32::try_from(group.len()).unwrap_or(0),
                };
                self.nodes.extend(group.iter().map(|&place| pairs[place][1]));
                Node::Array(values)
            };
            merged.push((first, [pairs[first][0], value]));
        }
        merged.sort_unstable_by_key(|(first, _)| *first);
        self.stack.truncate(start);
        self.stack.extend(merged.into_iter().flat_map(|(_, pair)| pair));
    }

    /// The document, of the one value that was pushed.
    pub fn finish(mut self) -> Document {
        Document {
            root: self.stack.pop().unwrap_or(Node::Null),
            nodes: self.nodes,
            text: self.text,
            sorted: self.sorted,
            repeated: self.repeated,
        }
    }
}

/// Ten bits that differ for most names.
fn fingerprint(name: &[u8]) -> u16 {
    // Odd numbers without a pattern: the golden ratio's digits, and those of the square root of two.
    const FIRST: u64 = 0x9e37_79b9_7f4a_7c15;
    const LAST: u64 = 0x6a09_e667_f3bc_c909;
    let word = |bytes: Option<&[u8; 8]>| bytes.map_or(0, |bytes| u64::from_le_bytes(*bytes));
    let (first, last) = if name.len() < 8 {
        let mut padded = [0; 8];
        for (to, from) in padded.iter_mut().zip(name) {
            *to = *from;
        }
        (u64::from_le_bytes(padded), 0)
    } else {
        (word(name.first_chunk()), word(name.last_chunk()))
    };
    let mixed = (first ^ name.len() as u64).wrapping_mul(FIRST) ^ last.wrapping_mul(LAST).rotate_left(32);
    (mixed.wrapping_mul(FIRST) >> 54) as u16
}
