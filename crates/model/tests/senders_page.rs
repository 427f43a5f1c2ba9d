//! `docs/senders.md` is made from the presets. `UPDATE_DOCS=1 cargo test -p hookgate-model --test senders_page` writes it.

#![allow(clippy::expect_used, reason = "a test")]

use std::fmt::Write;
use std::path::Path;

use hookgate_model::senders::{self, Category, Preset};

const HEAD: &str = "\
# Senders

Hookgate knows how these systems sign their webhooks, what they call their events, and how they ask whether a URL is yours.
`{\"kind\": \"sender\", \"sender\": \"stripe\", \"secrets\": [\"sec_…\"]}` as a webhook's `authentication` is all that one takes;
`GET /v1/templates` has what is said here, and the declarative authentication behind each name, which you can copy and change.

Several secrets may be live at once, for the time of a rotation. A time of signing is bounded into the past and into the
future. What is asked before an event exists (a *handshake*) is answered by Hookgate, whatever the webhook's methods are,
and becomes no event. A *pairing* is a handshake that brings the secret: it counts only while you have it open.

A webhook of another sender takes the declarative kinds (`hmac`, `public_key`, `jwt`, `static_token`, `basic`, …) and, if
that sender asks like one of these, a `handshake` of its own, such as `{\"kind\": \"meta\", \"secrets\": [\"sec_…\"]}`.

This page is made from the presets in `crates/model/src/senders/presets/`.
";

const CATEGORIES: [(Category, &str); 10] = [
    (Category::Development, "Code and issues"),
    (Category::Payments, "Payments and banks"),
    (Category::Commerce, "Shops and subscriptions"),
    (Category::Messaging, "Chat, telephony and social networks"),
    (Category::Email, "E-mail"),
    (Category::Customers, "Customers and their questions"),
    (Category::Productivity, "Documents, forms, calendars, tasks"),
    (Category::Identity, "People and their logins"),
    (Category::Cloud, "Clouds' own events"),
    (Category::Standards, "Standards"),
];

fn page() -> String {
    let mut page = HEAD.to_owned();
    for (category, title) in CATEGORIES {
        let _ = writeln!(page, "\n## {title}");
        for preset in senders::all().iter().filter(|preset| preset.category == category) {
            section(&mut page, preset);
        }
    }
    page
}

fn section(page: &mut String, preset: &Preset) {
    let Preset {
        name,
        title,
        summary,
        documentation_url,
        ..
    } = preset;
    let _ = writeln!(
        page,
        "\n### {title}\n\n`{name}` · {summary} [Documentation]({documentation_url})\n"
    );
    let signed = if preset.delivery_id_is_signed {
        ""
    } else {
        " (not signed)"
    };
    let facts = [
        (
            "Event type",
            preset.event_type.as_ref().map(|template| format!("`{template}`")),
        ),
        (
            "Delivery id",
            preset
                .delivery_id
                .as_ref()
                .map(|template| format!("`{template}`{signed}")),
        ),
        (
            "Handshake",
            preset.handshake_kind().map(|kind| format!("`{kind}`")),
        ),
        ("Waits", preset.deadline.clone()),
        ("Retries", preset.retries.clone()),
    ];
    for (label, fact) in facts {
        if let Some(fact) = fact {
            let _ = writeln!(page, "- {label}: {fact}");
        }
    }
    let _ = writeln!(page);
    for (number, step) in preset.setup().iter().enumerate() {
        let _ = writeln!(page, "{}. {step}", number + 1);
    }
    let webhook = serde_json::to_string_pretty(&preset.webhook()).expect("JSON");
    let _ = writeln!(page, "\n```json\n{webhook}\n```");
    if !preset.limits.is_empty() {
        let _ = writeln!(page, "\nGood to know:\n");
    }
    for limit in &preset.limits {
        let _ = writeln!(page, "- {limit}");
    }
}

#[test]
fn the_page_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/senders.md");
    let page = page();
    #[allow(clippy::disallowed_methods, reason = "this is no setting of a service")]
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::create_dir_all(path.parent().expect("a directory")).expect("the directory");
        std::fs::write(&path, &page).expect("written");
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == page,
        "docs/senders.md is out of date: UPDATE_DOCS=1 cargo test -p hookgate-model --test senders_page"
    );
}
