//! The addresses to listen on: free, or taken by the services that these settings are for.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener};

use super::finding::Report;
use crate::ready;
use crate::services::Role;
use crate::settings::Settings;

pub(super) async fn look(settings: &Settings, roles: &[Role], report: &mut Report) {
    let mut addresses = vec![("operator.listen", settings.operator.listen)];
    if roles.contains(&Role::Ingress) {
        addresses.push(("ingress.listen", settings.ingress.listen));
        let proxied = settings.ingress.proxy_protocol_listen;
        addresses.extend(proxied.map(|address| ("ingress.proxy_protocol_listen", address)));
    }
    if roles.contains(&Role::Management) {
        addresses.push(("management.listen", settings.management.listen));
        addresses.extend(settings.admin.listen.map(|address| ("admin.listen", address)));
    }
    let is_running = ready::ask(&settings.operator).is_ok();
    for (check, address) in addresses {
        judge(check, address, is_running, report);
    }
}

fn judge(check: &str, address: SocketAddr, is_running: bool, report: &mut Report) {
    match TcpListener::bind(address) {
        Ok(_) => report.ok(check, format!("{address} is free")),
        Err(error) if error.kind() == ErrorKind::AddrInUse && is_running => {
            report.ok(check, format!("{address} is in use, and Hookgate is running"));
        }
        Err(error) if error.kind() == ErrorKind::AddrInUse => report.error(
            check,
            format!("{address} is taken, and no Hookgate answers at operator.listen"),
            format!("stop what listens there (`ss -ltnp`), or set {check} to another address"),
        ),
        Err(error) => report.error(
            check,
            format!("cannot listen on {address}: {error}"),
            format!("set {check} to an address of this machine and a port that this user may listen on"),
        ),
    }
}
