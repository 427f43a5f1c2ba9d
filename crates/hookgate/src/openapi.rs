//! `hookgate openapi`: the contract that clients are generated from.

use anyhow::Result;

/// Prints the document as it is kept in `openapi/openapi.json`.
///
/// # Errors
/// None that a caller could cause.
pub fn print() -> Result<()> {
    println!("{}", hookgate_management::openapi::document().to_pretty_json()?);
    Ok(())
}
