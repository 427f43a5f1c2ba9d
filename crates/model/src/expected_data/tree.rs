//! The fields of a body, nested as they are in it.

use std::collections::BTreeMap;

use super::{Field, FieldType, Segment};

/// A place in the body.
#[derive(Debug, Default)]
pub(super) struct Tree<'a> {
    /// The field that is expected there, if one is listed.
    pub field: Option<&'a Field>,
    pub names: BTreeMap<&'a str, Tree<'a>>,
    pub items: Option<Box<Tree<'a>>>,
}

impl<'a> Tree<'a> {
    /// Nests fields. Of a path that is listed twice the last counts.
    pub fn of(fields: &'a [Field]) -> Self {
        let mut root = Self::default();
        for field in fields {
            let mut place = &mut root;
            for segment in field.path.segments() {
                place = match segment {
                    Segment::Name(name) => place.names.entry(name).or_default(),
                    Segment::Items => place.items.get_or_insert_default(),
                };
            }
            place.field = Some(field);
        }
        root
    }

    /// Whether it must be there: as it is listed, or because something below it must.
    pub fn is_required(&self) -> bool {
        match self.field {
            Some(field) => field.required,
            None => self.names.values().any(Tree::is_required),
        }
    }

    /// Its type: as it is listed, or what lies below it. What is listed as anything stays so.
    pub fn field_type(&self) -> FieldType {
        match self.field {
            Some(field) => field.field_type,
            None if !self.names.is_empty() => FieldType::Object,
            None if self.items.is_some() => FieldType::Array,
            None => FieldType::Any,
        }
    }
}
