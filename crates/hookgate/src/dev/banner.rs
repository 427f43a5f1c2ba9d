//! What `hookgate dev` prints when it is ready. Its commands are made to be pasted, and tested as printed.

use std::fmt::{Display, Formatter, Result};
use std::net::SocketAddr;

use super::account::Account;

/// The addresses and the account.
pub(super) struct Banner<'a> {
    pub(super) ingress: SocketAddr,
    pub(super) management: SocketAddr,
    pub(super) operator: SocketAddr,
    pub(super) admin: Option<SocketAddr>,
    pub(super) account: &'a Account,
    pub(super) moved: &'a [String],
    pub(super) data: String,
}

impl Display for Banner<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let Self {
            ingress,
            management,
            operator,
            admin,
            account,
            data,
            ..
        } = self;
        let admin = admin.map_or_else(
            || "off: admin.listen is not set".to_owned(),
            |address| format!("http://{address}/admin/v1  (its token is admin_token in {data}/dev.toml)"),
        );
        for sentence in self.moved {
            writeln!(f, "{sentence}")?;
        }
        let Account {
            email,
            password,
            tenant_id,
            management_key,
        } = account;
        write!(
            f,
            r#"
Hookgate is running. Ctrl-C stops it; the data stays in {data} (--fresh starts anew).

  public URLs       http://{ingress}/<token>/<suffix>
  management API    http://{management}/v1
  documentation     http://{management}/docs
  metrics           http://{operator}/metrics
  operator's API    {admin}

  account           {email}  password {password}
  tenant            {tenant_id}
  management key    {management_key}

Make a webhook, and keep its public URL:

  URL=$(curl -sS http://{management}/v1/webhooks -H 'Authorization: Bearer {management_key}' \
    -H 'Content-Type: application/json' -d '{{"name": "Orders", "suffix": "orders"}}' \
    | grep -o '"public_url": *"[^"]*"' | head -n 1 | cut -d '"' -f 4); echo "$URL"

Call it:

  curl -sSi "$URL" -H 'Content-Type: application/json' -d '{{"order": {{"id": 42}}}}'

See what came in:

  curl -sS 'http://{management}/v1/events?limit=5' -H 'Authorization: Bearer {management_key}'
"#
        )
    }
}
