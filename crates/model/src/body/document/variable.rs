//! A document as templates see it: nothing is made of it that a template does not ask for.

use std::fmt;
use std::sync::Arc;

use minijinja::value::{Enumerator, Object, ObjectRepr, Value as Variable};

use super::{Document, Node, ValueRef};

/// An array or object of a document.
struct Container {
    document: Arc<Document>,
    node: Node,
}

impl Document {
    /// The whole, as templates see it.
    pub fn variable(self: &Arc<Self>) -> Variable {
        variable(self, self.root)
    }
}

fn variable(document: &Arc<Document>, node: Node) -> Variable {
    match node {
        Node::Null => Variable::from(()),
        Node::Bool(value) => Variable::from(value),
        Node::Signed(value) => Variable::from(value),
        Node::Unsigned(value) => Variable::from(value),
        Node::Float(value) => Variable::from(value),
        Node::Text(span) | Node::Digits(span) => Variable::from(document.text(span)),
        Node::Array(_) | Node::Object(..) => Variable::from_object(Container {
            document: Arc::clone(document),
            node,
        }),
    }
}

/// The array or object of a document that a variable is; `None` for any other variable.
pub fn container(variable: &Variable) -> Option<ValueRef<'_>> {
    let container = variable.downcast_object_ref::<Container>()?;
    Some(container.document.at(container.node))
}

impl Object for Container {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        match self.node {
            Node::Array(_) => ObjectRepr::Seq,
            _ => ObjectRepr::Map,
        }
    }

    fn get_value(self: &Arc<Self>, key: &Variable) -> Option<Variable> {
        match self.node {
            Node::Array(items) => {
                let node = self.document.nodes(items).get(key.as_usize()?)?;
                Some(variable(&self.document, *node))
            }
            _ => self.get_value_by_str(key.as_str()?),
        }
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Variable> {
        let Node::Object(fields, order) = self.node else {
            return None;
        };
        let (node, _) = self.document.field(fields, order, key, 0)?;
        Some(variable(&self.document, node))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        match self.node {
            Node::Array(items) => Enumerator::Seq(items.length as usize),
            _ => {
                let fields = self.document.at(self.node).fields();
                Enumerator::Values(fields.map(|(name, _)| Variable::from(name)).collect())
            }
        }
    }

    fn enumerator_len(self: &Arc<Self>) -> Option<usize> {
        match self.node {
            Node::Array(items) => Some(items.length as usize),
            Node::Object(fields, _) => Some(fields.length as usize / 2),
            _ => None,
        }
    }
}

/// How much there is, not what: a body can hold anything.
impl fmt::Debug for Container {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.document.fmt(f)
    }
}
