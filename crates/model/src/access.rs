//! Who may do what: roles of people, scopes of management keys, the one table that gives either a permission, and the one
//! that says who may give and take which role.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A text that names nothing of the wanted list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected one of: {0}")]
pub struct Unknown(String);

macro_rules! named {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:tt,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
        pub enum $name { $($(#[$variant_doc])* #[serde(rename = $text)] $variant,)* }
        impl $name {
            /// Every one, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];
            /// As it is stored and written in JSON.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
        impl FromStr for $name {
            type Err = Unknown;
            fn from_str(text: &str) -> Result<Self, Unknown> {
                match text {
                    $($text => Ok(Self::$variant),)*
                    _ => Err(Unknown([$($text),*].join(", "))),
                }
            }
        }
    };
}

named! {
    /// A person's role in a tenant. Each can do what those before it can.
    Role {
        /// Sees.
        Viewer = "viewer",
        /// Changes webhooks and what belongs to them.
        Editor = "editor",
        /// Changes the tenant, its people and its management keys.
        Admin = "admin",
        /// Everything; a tenant has at least one.
        Owner = "owner",
    }
}

named! {
    /// What a management key may be made for. A `…:write` scope includes the reading.
    Scope {
        /// Read the tenant.
        TenantRead = "tenant:read",
        /// Change the tenant.
        TenantWrite = "tenant:write",
        /// List members and invitations.
        MembersRead = "members:read",
        /// List management keys.
        ManagementKeysRead = "management_keys:read",
        /// Make and revoke management keys, with no more scopes than one's own.
        ManagementKeysWrite = "management_keys:write",
        /// Read webhooks, their URLs, drafts and revisions.
        WebhooksRead = "webhooks:read",
        /// Change webhooks, their URLs, drafts and revisions.
        WebhooksWrite = "webhooks:write",
        /// List the API keys that senders present.
        KeysRead = "keys:read",
        /// Make and revoke the API keys that senders present.
        KeysWrite = "keys:write",
        /// Read allowlists.
        AllowlistsRead = "allowlists:read",
        /// Change allowlists.
        AllowlistsWrite = "allowlists:write",
        /// Read destinations.
        DestinationsRead = "destinations:read",
        /// Change destinations.
        DestinationsWrite = "destinations:write",
        /// Read collections and their records.
        CollectionsRead = "collections:read",
        /// Change collections and their records.
        CollectionsWrite = "collections:write",
        /// Read the names of secrets, never their values.
        SecretsRead = "secrets:read",
        /// Make, rotate and delete secrets.
        SecretsWrite = "secrets:write",
        /// Read events, their bodies, and refusals.
        EventsRead = "events:read",
        /// Replay events.
        EventsWrite = "events:write",
        /// Read runs and delivery attempts.
        RunsRead = "runs:read",
        /// Read the audit log: who changed what.
        AuditRead = "audit:read",
    }
}

named! {
    /// What an operation of the management API demands.
    Permission {
        /// Read the tenant.
        TenantRead = "tenant:read",
        /// Change the tenant.
        TenantWrite = "tenant:write",
        /// Export the tenant, delete it, and restore it.
        TenantOwn = "tenant:own",
        /// List members and invitations.
        MembersRead = "members:read",
        /// Invite people, change their roles, and take them out: for people alone, within [`check_membership`].
        MembersWrite = "members:write",
        /// List management keys.
        ManagementKeysRead = "management_keys:read",
        /// Make and revoke management keys.
        ManagementKeysWrite = "management_keys:write",
        /// Read webhooks, their URLs, drafts and revisions.
        WebhooksRead = "webhooks:read",
        /// Change webhooks, their URLs, drafts and revisions.
        WebhooksWrite = "webhooks:write",
        /// List API keys of webhooks.
        KeysRead = "keys:read",
        /// Make and revoke API keys of webhooks.
        KeysWrite = "keys:write",
        /// Read allowlists.
        AllowlistsRead = "allowlists:read",
        /// Change allowlists.
        AllowlistsWrite = "allowlists:write",
        /// Read destinations.
        DestinationsRead = "destinations:read",
        /// Change destinations.
        DestinationsWrite = "destinations:write",
        /// Read collections and their records.
        CollectionsRead = "collections:read",
        /// Change collections and their records.
        CollectionsWrite = "collections:write",
        /// Read the names of secrets, never their values.
        SecretsRead = "secrets:read",
        /// Make, rotate and delete secrets.
        SecretsWrite = "secrets:write",
        /// Read events, their bodies, and refusals.
        EventsRead = "events:read",
        /// Replay events.
        EventsWrite = "events:write",
        /// Read runs and delivery attempts.
        RunsRead = "runs:read",
        /// Read the audit log: who changed what.
        AuditRead = "audit:read",
    }
}

impl Permission {
    /// The table: the least role that gives a permission, and the scopes of which any one gives it.
    const fn granted_by(self) -> (Role, &'static [Scope]) {
        use Role::{Admin, Editor, Viewer};
        match self {
            Self::TenantRead => (Viewer, &[Scope::TenantRead, Scope::TenantWrite]),
            Self::TenantWrite => (Admin, &[Scope::TenantWrite]),
            // Of a key nobody can say that it acts for an owner.
            Self::TenantOwn => (Role::Owner, &[]),
            Self::MembersRead => (Viewer, &[Scope::MembersRead]),
            // A key could otherwise make itself an ally who may do what the key may not.
            Self::MembersWrite => (Admin, &[]),
            Self::ManagementKeysRead => (Admin, &[Scope::ManagementKeysRead, Scope::ManagementKeysWrite]),
            Self::ManagementKeysWrite => (Admin, &[Scope::ManagementKeysWrite]),
            Self::WebhooksRead => (Viewer, &[Scope::WebhooksRead, Scope::WebhooksWrite]),
            Self::WebhooksWrite => (Editor, &[Scope::WebhooksWrite]),
            Self::KeysRead => (Viewer, &[Scope::KeysRead, Scope::KeysWrite]),
            Self::KeysWrite => (Editor, &[Scope::KeysWrite]),
            Self::AllowlistsRead => (Viewer, &[Scope::AllowlistsRead, Scope::AllowlistsWrite]),
            Self::AllowlistsWrite => (Editor, &[Scope::AllowlistsWrite]),
            Self::DestinationsRead => (Viewer, &[Scope::DestinationsRead, Scope::DestinationsWrite]),
            Self::DestinationsWrite => (Editor, &[Scope::DestinationsWrite]),
            Self::CollectionsRead => (Viewer, &[Scope::CollectionsRead, Scope::CollectionsWrite]),
            Self::CollectionsWrite => (Editor, &[Scope::CollectionsWrite]),
            Self::SecretsRead => (Viewer, &[Scope::SecretsRead, Scope::SecretsWrite]),
            Self::SecretsWrite => (Editor, &[Scope::SecretsWrite]),
            Self::EventsRead => (Viewer, &[Scope::EventsRead, Scope::EventsWrite]),
            Self::EventsWrite => (Editor, &[Scope::EventsWrite]),
            Self::RunsRead => (Viewer, &[Scope::RunsRead]),
            Self::AuditRead => (Admin, &[Scope::AuditRead]),
        }
    }

    /// Whether a person of this role has the permission.
    pub fn allowed_to_role(self, role: Role) -> bool {
        role >= self.granted_by().0
    }

    /// Whether a key of these scopes has the permission.
    pub fn allowed_to_scopes(self, scopes: &[Scope]) -> bool {
        self.granted_by().1.iter().any(|scope| scopes.contains(scope))
    }
}

impl Role {
    /// The table: the highest role that a person of this role may give to somebody or take from them.
    const fn gives_and_takes(self) -> Option<Self> {
        match self {
            Self::Owner => Some(Self::Owner),
            Self::Admin => Some(Self::Admin),
            Self::Editor | Self::Viewer => None,
        }
    }
}

/// Why a change of who belongs to a tenant is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MembershipRefusal {
    /// The role of whoever wants it does not allow it.
    NotAllowed,
    /// The tenant would have no owner.
    LastOwner,
}

/// What a change makes of somebody in a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MembershipChange {
    /// Their role now; `None` for whoever is no member yet.
    pub from: Option<Role>,
    /// Their role then; `None` for whoever goes.
    pub to: Option<Role>,
    /// Whether they do it themselves.
    pub of_oneself: bool,
}

/// Whether a person of role `by` may change who belongs to a tenant that has so many owners. Everybody may leave or take a
/// lower role; a tenant keeps an owner, whoever wants otherwise.
///
/// # Errors
/// Why not.
pub fn check_membership(by: Role, change: MembershipChange, owners: u64) -> Result<(), MembershipRefusal> {
    let MembershipChange { from, to, of_oneself } = change;
    let within = |role: Option<Role>| role.is_none_or(|role| by.gives_and_takes() >= Some(role));
    let steps_down = of_oneself && to < from;
    let may = by.gives_and_takes().is_some() && within(from) && within(to);
    if !(steps_down || may) {
        return Err(MembershipRefusal::NotAllowed);
    }
    if from == Some(Role::Owner) && to != Some(Role::Owner) && owners <= 1 {
        return Err(MembershipRefusal::LastOwner);
    }
    Ok(())
}

impl Scope {
    /// The permissions that a key of this scope has.
    pub fn permissions(self) -> impl Iterator<Item = Permission> {
        Permission::ALL
            .iter()
            .copied()
            .filter(move |permission| permission.allowed_to_scopes(&[self]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        for scope in Scope::ALL {
            assert_eq!(scope.as_str().parse(), Ok(*scope));
        }
        for role in Role::ALL {
            assert_eq!(role.as_str().parse(), Ok(*role));
        }
        assert!(
            "root"
                .parse::<Role>()
                .expect_err("no such role")
                .to_string()
                .contains("viewer, editor")
        );
    }

    #[test]
    fn each_role_can_what_the_one_below_can() {
        for permission in Permission::ALL {
            for pair in Role::ALL.windows(2) {
                assert!(!permission.allowed_to_role(pair[0]) || permission.allowed_to_role(pair[1]));
            }
            assert!(permission.allowed_to_role(Role::Owner));
        }
    }

    #[test]
    fn a_viewer_changes_nothing_and_an_editor_no_access() {
        for permission in Permission::ALL
            .iter()
            .filter(|permission| permission.as_str().ends_with(":write"))
        {
            assert!(!permission.allowed_to_role(Role::Viewer), "{permission}");
        }
        assert!(Permission::WebhooksWrite.allowed_to_role(Role::Editor));
        assert!(!Permission::ManagementKeysRead.allowed_to_role(Role::Editor));
        assert!(!Permission::TenantWrite.allowed_to_role(Role::Editor));
    }

    #[test]
    fn a_scope_gives_what_its_name_says_and_writing_includes_reading() {
        for scope in Scope::ALL {
            let given: Vec<_> = scope.permissions().map(Permission::as_str).collect();
            assert!(given.contains(&scope.as_str()), "{scope}");
            let (noun, verb) = scope.as_str().split_once(':').expect("noun:verb");
            assert!(
                given.iter().all(|name| name.starts_with(noun)),
                "{scope} reaches past its noun"
            );
            assert_eq!(given.len(), if verb == "write" { 2 } else { 1 }, "{scope}");
        }
        assert!(!Permission::WebhooksRead.allowed_to_scopes(&[]));
    }

    #[test]
    fn who_may_give_and_take_which_role() {
        use Role::{Admin, Editor, Owner, Viewer};
        let may = |by, from, to| {
            let change = MembershipChange {
                from,
                to,
                of_oneself: false,
            };
            check_membership(by, change, 2) == Ok(())
        };
        let roles = || Role::ALL.iter().copied().map(Some).chain([None]);
        for from in roles() {
            for to in roles() {
                assert!(may(Owner, from, to), "{from:?} to {to:?}");
                let touches_owners = from == Some(Owner) || to == Some(Owner);
                assert_eq!(may(Admin, from, to), !touches_owners, "{from:?} to {to:?}");
                assert!(!may(Editor, from, to) && !may(Viewer, from, to));
            }
        }
    }

    #[test]
    fn everybody_may_step_down_but_the_last_owner() {
        let check = |by, to, owners| {
            let change = MembershipChange {
                from: Some(by),
                to,
                of_oneself: true,
            };
            check_membership(by, change, owners)
        };
        for role in Role::ALL {
            assert_eq!(check(*role, None, 2), Ok(()));
            for to in Role::ALL.iter().filter(|to| *to < role) {
                assert_eq!(check(*role, Some(*to), 2), Ok(()));
            }
        }
        assert_eq!(
            check(Role::Editor, Some(Role::Admin), 2),
            Err(MembershipRefusal::NotAllowed)
        );
        assert_eq!(
            check(Role::Admin, Some(Role::Owner), 2),
            Err(MembershipRefusal::NotAllowed)
        );
        for to in [None, Some(Role::Viewer), Some(Role::Admin)] {
            assert_eq!(check(Role::Owner, to, 1), Err(MembershipRefusal::LastOwner));
        }
        assert_eq!(check(Role::Owner, Some(Role::Owner), 1), Ok(()));
        assert_eq!(check(Role::Viewer, None, 1), Ok(()));
    }
}
