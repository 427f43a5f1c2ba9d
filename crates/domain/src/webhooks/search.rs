//! What a person types to find a webhook: a piece of its name, system or suffix, an id, or a whole pasted URL.

use hookgate_model::ids::{UrlId, WebhookId};
use hookgate_model::token::UrlToken;

/// What to look for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Search {
    /// The webhook with this id.
    Webhook(WebhookId),
    /// The webhook that has this URL.
    Url(UrlId),
    /// The webhook that has, or recently had, a URL with this token.
    Token(UrlToken),
    /// Webhooks of which the name, the system or the suffix is like this `LIKE` pattern.
    Text(String),
}

impl Search {
    /// Reads what was typed; `None` when nothing was.
    pub fn parse(typed: &str) -> Option<Self> {
        let typed = typed.trim();
        if typed.is_empty() {
            return None;
        }
        if let Ok(id) = typed.parse() {
            return Some(Self::Webhook(id));
        }
        if let Ok(id) = typed.parse() {
            return Some(Self::Url(id));
        }
        let pieces = typed.split(|c: char| !c.is_ascii_alphanumeric());
        if let Some(token) = pieces
            .filter_map(|piece| UrlToken::parse(piece.as_bytes()))
            .next()
        {
            return Some(Self::Token(token));
        }
        Some(Self::Text(containing(typed)))
    }
}

/// The pattern of LIKE for what contains a text.
pub(crate) fn containing(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
    format!("%{escaped}%")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_typed_is_understood() {
        let token = UrlToken::from_bytes([9; 16]);
        let id: WebhookId = crate::clock::new_id();
        assert_eq!(Search::parse(&format!(" {id}\n")), Some(Search::Webhook(id)));
        for text in [
            token.to_string(),
            format!("https://hooks.example.com/{token}/orders/7?x=1"),
            format!("hooks.example.com/{token}"),
        ] {
            assert_eq!(Search::parse(&text), Some(Search::Token(token)), "{text}");
        }
        assert_eq!(
            Search::parse("50%_off\\"),
            Some(Search::Text("%50\\%\\_off\\\\%".into()))
        );
        assert_eq!(Search::parse("  "), None);
    }
}
