//! What happens after an event is stored: the behaviour that a tenant writes, and the pure decisions that carry it out.
//!
//! [`definition`] is the document as it is written and stored, [`check`] says what cannot work in it, [`compiled`] is
//! its form with every template compiled, and [`advance`] takes a run from effect to effect. The worker performs the
//! effects; a simulation or a replay can drive the same functions without any.

pub mod advance;
mod answer_template;
pub mod check;
pub mod compiled;
mod compiler;
pub mod definition;
pub mod secrets;
pub mod session;
pub mod simulate;
pub mod state;
pub mod step;
pub mod template;
pub mod variables;
