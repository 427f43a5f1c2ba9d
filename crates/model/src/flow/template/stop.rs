//! Ends evaluations that take too long. A thread cannot be stopped from outside, so the work looks by itself, wherever a
//! template uses a variable, a filter or a function, and wherever it writes.

use std::cell::RefCell;
use std::rc::Rc;

use minijinja::{Error, ErrorKind};

/// Whether the evaluations of a thread are to end.
type IsOver = Rc<dyn Fn() -> bool>;

thread_local! {
    static IS_OVER: RefCell<Option<IsOver>> = const { RefCell::new(None) };
}

/// Does work on this thread whose templates fail as soon as `is_over` says so.
pub fn until<T>(is_over: impl Fn() -> bool + 'static, work: impl FnOnce() -> T) -> T {
    struct Reset(Option<IsOver>);
    impl Drop for Reset {
        fn drop(&mut self) {
            IS_OVER.set(self.0.take());
        }
    }
    let _reset = Reset(IS_OVER.replace(Some(Rc::new(is_over))));
    work()
}

/// Fails when the evaluation is to end.
pub(in crate::flow) fn check() -> Result<(), Error> {
    if IS_OVER.with_borrow(|is_over| is_over.as_ref().is_some_and(|is_over| is_over())) {
        return Err(Error::new(
            ErrorKind::OutOfFuel,
            "the evaluation has taken too long",
        ));
    }
    Ok(())
}
