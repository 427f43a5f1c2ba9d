//! A type for each permission, so that a handler's signature says what it demands.

use hookgate_model::access::Permission;

/// What a handler demands of its caller.
pub trait Demand {
    /// The permission.
    const PERMISSION: Permission;
}

macro_rules! demands {
    ($($name:ident),* $(,)?) => {$(
        #[doc = concat!("Demands [`Permission::", stringify!($name), "`].")]
        #[derive(Debug, Clone, Copy)]
        pub enum $name {}
        impl Demand for $name {
            const PERMISSION: Permission = Permission::$name;
        }
    )*};
}

demands!(
    TenantRead,
    TenantWrite,
    MembersRead,
    MembersWrite,
    ManagementKeysRead,
    ManagementKeysWrite,
    WebhooksRead,
    WebhooksWrite,
    KeysRead,
    KeysWrite,
    AllowlistsRead,
    AllowlistsWrite,
    DestinationsRead,
    DestinationsWrite,
    CollectionsRead,
    CollectionsWrite,
    SecretsRead,
    SecretsWrite,
    EventsRead,
    EventsWrite,
    RunsRead,
    AuditRead,
);
