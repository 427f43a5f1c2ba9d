//! URLs of PostgreSQL as libpq reads them. They can name several hosts (`postgres://user:password@a,b:5433/hookgate`), which other
//! readers of URLs do not understand.

/// What is added where the URL says nothing else: a host that is silent is given up soon, and so is one that has gone.
const TIMEOUTS: [(&str, &str); 5] = [
    ("connect_timeout", "2"),
    ("keepalives_idle", "5"),
    ("keepalives_interval", "2"),
    ("keepalives_count", "3"),
    ("tcp_user_timeout", "5000"),
];

/// The URL with bounds for how long the network may be silent, and with the name that PostgreSQL shows for its connections.
pub fn with_timeouts(url: &str, application: &str) -> String {
    let mut bounded = url.to_owned();
    for (name, value) in TIMEOUTS.into_iter().chain([("application_name", application)]) {
        if !url.contains(&format!("{name}=")) {
            bounded.push(if bounded.contains('?') { '&' } else { '?' });
            bounded.push_str(&format!("{name}={value}"));
        }
    }
    bounded
}

/// The user and the password of a URL; `None` when it has not both.
pub fn credentials(url: &str) -> Option<(String, String)> {
    let (_, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let (credentials, _) = authority.rsplit_once('@')?;
    let (user, password) = credentials.split_once(':')?;
    Some((percent_decoded(user), percent_decoded(password)))
}

/// A part of a URL, as it is meant.
pub fn percent_decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(text)
        .decode_utf8_lossy()
        .into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_read_whatever_hosts_follow() {
        let known = Some(("u".to_owned(), "p+@/".to_owned()));
        for (url, expected) in [
            ("postgres://u:p+%40%2F@db/hookgate", known.clone()),
            (
                "postgres://u:p+%40%2F@a:5432,b:5433/hookgate?target_session_attrs=read-write",
                known.clone(),
            ),
            (
                "postgresql://u:p+%40%2F@%2Frun%2Fpostgresql:5432/hookgate",
                known.clone(),
            ),
            ("postgres://u:p+%40%2F@/hookgate?host=a,b", known),
            ("postgres://u@db/hookgate", None),
            (
                "postgres://u:a&b+c@db/hookgate",
                Some(("u".to_owned(), "a&b+c".to_owned())),
            ),
            ("postgres://db/hookgate?user=u&password=p", None),
            ("hookgate", None),
        ] {
            assert_eq!(credentials(url), expected, "{url}");
        }
    }

    #[test]
    fn what_a_url_says_stays() {
        let url = with_timeouts("postgres://a,b/hookgate?connect_timeout=9", "worker");
        assert!(
            url.starts_with("postgres://a,b/hookgate?connect_timeout=9&keepalives_idle=5&"),
            "{url}"
        );
        assert!(url.ends_with("&application_name=worker") && !url.contains("connect_timeout=2"));
        assert!(with_timeouts("postgres://a/b", "x").starts_with("postgres://a/b?connect_timeout=2&"));
    }
}
