//! `hookgate openapi`: the contracts that clients are generated from.

use anyhow::Result;
use hookgate_management::openapi;

/// Prints a document as it is kept in `openapi/`: that of the management API, or of the operator's.
///
/// # Errors
/// None that a caller could cause.
pub fn print(is_operators: bool) -> Result<()> {
    let document = if is_operators {
        openapi::admin_document()
    } else {
        openapi::document()
    };
    print!("{}", openapi::text(&document)?);
    Ok(())
}
