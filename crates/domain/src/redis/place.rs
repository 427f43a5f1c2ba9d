//! Where a Redis is, as its URL says.

use std::time::Duration;

use redis::io::tcp::TcpSettings;
use redis::sentinel::{SentinelClientBuilder, SentinelServerType};
use redis::{Client, ConnectionAddr, IntoConnectionInfo};
use socket2::TcpKeepalive;
use url::Url;

use super::link::Server;
use crate::database_url::percent_decoded;
use crate::error::{Error, Result};

const SENTINELS: &str = "redis+sentinel://";
const SENTINEL_PORT: u16 = 26_379;

/// A server, and what is put before the names of channels and keys there.
pub(super) struct Place {
    pub(super) server: Server,
    pub(super) prefix: String,
}

impl Place {
    /// Reads a URL. It may hold a password, so an error never repeats it.
    pub(super) fn parse(text: &str) -> Result<Self> {
        match text.strip_prefix(SENTINELS) {
            Some(rest) => sentinels(rest),
            None => {
                let (url, prefix) = split_prefix(text, "the Redis URL is not a URL")?;
                let server = url.into_connection_info()?.set_tcp_settings(patience());
                let server = Server::One(Client::open(server)?);
                Ok(Self { server, prefix })
            }
        }
    }
}

/// A server that has gone without a word is missed within seconds, also by who only listens.
fn patience() -> TcpSettings {
    let keepalive = TcpKeepalive::new()
        .with_time(Duration::from_secs(5))
        .with_interval(Duration::from_secs(2))
        .with_retries(3);
    TcpSettings::default()
        .set_nodelay(true)
        .set_keepalive(keepalive)
        .set_user_timeout(Duration::from_secs(5))
}

/// `user:password@host,host:port/service/db?prefix=…&sentinel_username=…&sentinel_password=…`
fn sentinels(rest: &str) -> Result<Place> {
    let wrong = |what: &str| {
        Error::Query(format!(
            "the Redis URL {what}: {SENTINELS}host,host:26379/service"
        ))
    };
    let (authority, path) = rest.split_once('/').ok_or_else(|| wrong("names no service"))?;
    let (credentials, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
    // Everything but the hosts is what a URL with one host has.
    let at = if credentials.is_empty() { "" } else { "@" };
    let (url, prefix) = split_prefix(
        &format!("redis://{credentials}{at}sentinel/{path}"),
        "the Redis URL is not a URL",
    )?;
    let mut segments = url.path_segments().into_iter().flatten();
    let service = percent_decoded(segments.next().unwrap_or_default());
    if service.is_empty() {
        return Err(wrong("names no service"));
    }
    let database = match segments.next() {
        None | Some("") => 0,
        Some(number) => number
            .parse()
            .map_err(|_| wrong("has a database that is no number"))?,
    };
    let of_sentinel = |name: &str| {
        let mut pairs = url.query_pairs();
        pairs
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned())
    };
    let clients = hosts.split(',').map(|host| {
        let address = address(host).ok_or_else(|| wrong("has a host that cannot be read"))?;
        let mut builder = SentinelClientBuilder::new([address], &service, SentinelServerType::Master)?
            .set_client_to_redis_tcp_settings(patience())
            .set_client_to_redis_db(database);
        if !url.username().is_empty() {
            builder = builder.set_client_to_redis_username(percent_decoded(url.username()));
        }
        if let Some(password) = url.password() {
            builder = builder.set_client_to_redis_password(percent_decoded(password));
        }
        if let Some(username) = of_sentinel("sentinel_username") {
            builder = builder.set_client_to_sentinel_username(username);
        }
        if let Some(password) = of_sentinel("sentinel_password") {
            builder = builder.set_client_to_sentinel_password(password);
        }
        Ok(builder.build()?)
    });
    Ok(Place {
        server: Server::watched(clients.collect::<Result<_>>()?),
        prefix,
    })
}

fn address(host: &str) -> Option<ConnectionAddr> {
    let url = Url::parse(&format!("redis://{host}")).ok()?;
    let name = url.host_str().filter(|name| !name.is_empty())?;
    let name = name.trim_start_matches('[').trim_end_matches(']');
    Some(ConnectionAddr::Tcp(
        name.to_owned(),
        url.port().unwrap_or(SENTINEL_PORT),
    ))
}

/// Takes the `prefix` out of a URL's query.
fn split_prefix(text: &str, otherwise: &str) -> Result<(Url, String)> {
    let mut url = Url::parse(text).map_err(|_| Error::Query(otherwise.to_owned()))?;
    let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    let (prefixes, others): (Vec<_>, Vec<_>) = pairs.into_iter().partition(|(name, _)| name == "prefix");
    if !prefixes.is_empty() {
        url.set_query(None);
        if !others.is_empty() {
            url.query_pairs_mut().extend_pairs(others);
        }
    }
    Ok((url, prefixes.into_iter().map(|(_, prefix)| prefix).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prefix_is_taken_out_of_the_url() {
        for (given, url, prefix) in [
            ("redis://h:1/2", "redis://h:1/2", ""),
            (
                "redis+unix:///a/b.sock?prefix=blue:",
                "redis+unix:///a/b.sock",
                "blue:",
            ),
            (
                "redis+unix:///a/b.sock?db=3&prefix=x&pass=y",
                "redis+unix:///a/b.sock?db=3&pass=y",
                "x",
            ),
        ] {
            let (left, found) = split_prefix(given, "").expect("a URL");
            assert_eq!((left.as_str(), found.as_str()), (url, prefix));
            assert!(Place::parse(given).is_ok());
        }
        assert!(Place::parse("nonsense").is_err());
    }

    #[test]
    fn sentinels_are_several_hosts_and_a_service() {
        for (url, count, prefix) in [
            ("redis+sentinel://a/main", 1, ""),
            ("redis+sentinel://a,b:1,[::1]:2/main?prefix=x:", 3, "x:"),
            ("redis+sentinel://u:p%40@a,b/main/3?sentinel_password=q", 2, ""),
        ] {
            let place = Place::parse(url).expect(url);
            let Server::Watched(sentinels) = place.server else {
                panic!("{url}")
            };
            assert_eq!((sentinels.len(), place.prefix.as_str()), (count, prefix), "{url}");
        }
        for (url, said) in [
            ("redis+sentinel://u:hush@a,b", "names no service"),
            ("redis+sentinel://u:hush@a,b/", "names no service"),
            ("redis+sentinel://u:hush@a,/main", "a host that cannot be read"),
            ("redis+sentinel://u:hush@a:x/main", "a host that cannot be read"),
            (
                "redis+sentinel://u:hush@a/main/first",
                "a database that is no number",
            ),
        ] {
            let error = Place::parse(url).err().expect(url).to_string();
            assert!(error.contains(said) && !error.contains("hush"), "{error}");
        }
    }
}
