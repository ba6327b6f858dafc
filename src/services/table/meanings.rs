//! What each refusal of the table service means, and what to do about it: a table, whose first fitting row counts.
//!
//! <https://learn.microsoft.com/rest/api/storageservices/common-rest-api-error-codes>,
//! <https://learn.microsoft.com/rest/api/storageservices/table-service-error-codes>,
//! <https://learn.microsoft.com/rest/api/storageservices/sas-error-codes> and
//! <https://learn.microsoft.com/azure/storage/tables/assign-azure-role-data-access>.

use std::ops::RangeInclusive;

use super::answer::Detail;
use super::error::TableErrorKind;
use crate::services::http;

/// A row: which refusals it is about, and what they mean.
pub(super) struct Meaning {
    pub(super) statuses: &'static [RangeInclusive<u16>],
    /// The service's codes; of any code where there is none.
    pub(super) codes: &'static [&'static str],
    /// What else is to be so.
    pub(super) only: Only,
    /// What it is, unless the status says that it passes.
    pub(super) kind: TableErrorKind,
    /// What happened. `{host}`, `{account}`, `{table}`, `{sign_in}`, `{status}`, `{code}` and `{said}` are filled in.
    pub(super) message: &'static str,
    /// What to do about it, filled in as well.
    pub(super) help: &'static str,
}

/// What else is to be so.
#[derive(Debug, Clone, Copy)]
pub(super) enum Only {
    /// Nothing.
    Always,
    /// The body is a page for people, without a code.
    Page,
    /// Who asks has an identity of Entra ID.
    Entra,
    /// It is about the key or signature itself.
    Login,
    /// As [`Only::Login`], and this is the reason.
    LoginFor(Detail),
}

const ANY: &[RangeInclusive<u16>] = &[0..=u16::MAX];
const NONE: &[&str] = &[];

const fn row(
    statuses: &'static [RangeInclusive<u16>],
    codes: &'static [&'static str],
    message: &'static str,
    help: &'static str,
) -> Meaning {
    Meaning { statuses, codes, only: Only::Always, kind: TableErrorKind::Lasting, message, help }
}

impl Meaning {
    const fn only(self, only: Only) -> Self {
        Self { only, ..self }
    }

    const fn kind(self, kind: TableErrorKind) -> Self {
        Self { kind, ..self }
    }
}

/// The groups of rows, in the order in which they are asked.
pub(super) const MEANINGS: [&[Meaning]; 6] =
    [OF_PROXIES, OF_TOKENS, OF_KEYS, OF_SIGNATURES, OF_ACCOUNTS, OF_REQUESTS];

const OF_PROXIES: &[Meaning] = &[
    row(
        &[300..=399],
        NONE,
        "{host} answered with a redirect ({status}), which a table service never does",
        "check the endpoint, and any proxy or sign-in page in between",
    ),
    row(&[407..=407], NONE, "a proxy in front of {host} requires a login (407)", http::LOGIN_FOR_PROXY),
    row(
        &[0..=499],
        NONE,
        "{host} answered {status} with a web page, which a table service never does",
        "a proxy or firewall answers in its place: let this machine through to the host, or set HTTPS_PROXY; \
         otherwise check the endpoint",
    )
    .only(Only::Page),
];

const OF_TOKENS: &[Meaning] = &[
    row(
        &[403..=403],
        &["AuthorizationPermissionMismatch"],
        "{sign_in} may not read the table `{table}`: the role Storage Table Data Reader on the account `{account}` \
         is missing",
        "portal: the storage account → Access control (IAM) → Add role assignment → Storage Table Data Reader; or \
         az role assignment create --assignee CLIENT-ID --role \"Storage Table Data Reader\" --scope \
         $(az storage account show --name {account} --query id -o tsv); it takes some minutes to take effect",
    )
    .only(Only::Entra)
    .kind(TableErrorKind::NoRole),
    row(
        &[403..=403],
        NONE,
        "the account `{account}` blocks {sign_in} ({code}){said}",
        "portal: the storage account → Security + networking → Networking: this machine's network must be allowed; a \
         role is not enough",
    )
    .only(Only::Entra),
    row(
        &[401..=401],
        NONE,
        "the account `{account}` does not accept the token of {sign_in} ({code}){said}",
        "the identity must belong to the tenant that the storage account's subscription trusts; check `tenant_id`, \
         `cloud`, and this machine's clock",
    )
    .only(Only::Entra),
];

const REFUSES_LOGIN: &[RangeInclusive<u16>] = &[400..=401, 403..=403];

const OF_KEYS: &[Meaning] = &[
    row(
        ANY,
        &["KeyBasedAuthenticationNotPermitted"],
        "the account `{account}` does not accept keys: access by key is turned off",
        "sign in with `entra`, see docs/entra.md; or portal: the storage account → Settings → \
         Configuration → Allow storage account key access → Enabled; signatures made with a key need it, too",
    ),
    row(
        REFUSES_LOGIN,
        NONE,
        "the signature from {sign_in} has expired, or is not valid yet",
        "make a new one, see docs/azure.md; if it should be valid now, check this machine's clock",
    )
    .only(Only::LoginFor(Detail::TimeFrame)),
    row(
        REFUSES_LOGIN,
        NONE,
        "the account `{account}` does not accept the key or signature from {sign_in}: it was made with \
         another key",
        "copy it again from the portal (Security + networking → Access keys): the key was rotated, or is \
         that of another account",
    )
    .only(Only::LoginFor(Detail::OtherKey)),
    row(
        REFUSES_LOGIN,
        NONE,
        "the account `{account}` does not accept the key or signature from {sign_in}: the request's time is too far from \
         the service's",
        "set this machine's clock (timedatectl set-ntp true): it may be at most 15 minutes off",
    )
    .only(Only::LoginFor(Detail::Date)),
    row(
        REFUSES_LOGIN,
        NONE,
        "the account `{account}` does not accept the key or signature from {sign_in}: it is not complete",
        "copy it again as a whole: a missing end, a line break or a changed & makes it invalid",
    )
    .only(Only::LoginFor(Detail::Malformed)),
    row(
        REFUSES_LOGIN,
        NONE,
        "the account `{account}` does not accept the key or signature from {sign_in}",
        "copy the key again from the portal (Security + networking → Access keys), or make a new signature \
         (docs/azure.md): keys are rotated, signatures expire; this machine's clock may be at most 15 minutes off",
    )
    .only(Only::Login),
];

/// A shared access signature that is valid, for something else.
const OF_SIGNATURES: &[Meaning] = &[
    row(
        &[403..=404],
        &["AuthorizationPermissionMismatch"],
        "the signature from {sign_in} lacks a permission (reading needs `r`, adding rows `a`, deleting them `d`): it \
         gives no access to the table `{table}` in `{account}`",
        "make one with it, see docs/azure.md",
    ),
    row(
        &[403..=403],
        &["AuthorizationServiceMismatch"],
        "the signature from {sign_in} is for another service, such as blobs: it gives no access to the table `{table}` in \
         `{account}`",
        "make one for tables (Allowed services: Table), see docs/azure.md",
    ),
    row(
        &[403..=403],
        &["AuthorizationResourceTypeMismatch"],
        "the signature from {sign_in} is not for rows: it gives no access to the table `{table}` in \
         `{account}`",
        "make one with Allowed resource types: Object (and Container), see docs/azure.md",
    ),
    row(
        &[403..=403],
        &["AuthorizationSourceIPMismatch"],
        "the signature from {sign_in} is for other addresses than this machine's: it gives no access to the table `{table}` \
         in `{account}`",
        "make one without Allowed IP addresses, or with this machine's public address",
    ),
    row(
        &[403..=403],
        &["AuthorizationProtocolMismatch"],
        "the signature from {sign_in} is for HTTPS only: it gives no access to the table `{table}` in \
         `{account}`",
        "write https in the endpoint",
    ),
];

const OF_ACCOUNTS: &[Meaning] = &[
    row(
        &[403..=403],
        &["AccountIsDisabled"],
        "the account `{account}` is disabled",
        "portal: check that the subscription is active and paid; then enable the account",
    ),
    row(
        &[403..=403],
        &["InsufficientAccountPermissions"],
        "the account `{account}` does not allow this now ({code}){said}",
        "portal: check the account's status; a failover or a move may be under way",
    ),
    row(
        &[404..=404, 409..=409],
        &["AccountBeingCreated"],
        "the account `{account}` is still being created",
        "wait a few minutes",
    ),
    row(
        &[409..=409],
        &["TableBeingDeleted"],
        "the table `{table}` in the account `{account}` is being deleted",
        "wait a few minutes, or name another table in the flow's [table]",
    ),
    row(
        ANY,
        &["ContainerNotFound", "BlobNotFound", "QueueNotFound", "UnsupportedHttpVerb", "InvalidUri"],
        "{host} is not a table endpoint ({code})",
        "write the table endpoint of the account, such as https://ACCOUNT.table.core.windows.net; blobs and queues \
         have others",
    ),
    row(
        &[403..=403],
        NONE,
        "the account `{account}` denies this machine access to the table `{table}` ({code}){said}",
        "portal: the storage account → Security + networking → Networking: allow this machine's public address or \
         network; a signature also needs the permission `r` for tables",
    ),
];

const OF_REQUESTS: &[Meaning] = &[
    row(
        &[404..=404],
        &["TableNotFound", "ResourceNotFound", ""],
        "there is no table `{table}` in the account `{account}`",
        "check `name` in the flow's [table]; the portal lists the account's tables under Storage browser",
    )
    .kind(TableErrorKind::NoTable),
    row(
        &[409..=409],
        &["TableAlreadyExists"],
        "there is a table `{table}` in the account `{account}` already",
        "there is nothing to do, or choose another name",
    ),
    row(
        &[409..=409],
        NONE,
        "the table `{table}` has a row with these keys already ({code}){said}",
        "nothing was written",
    ),
    row(
        &[400..=400],
        &["InvalidResourceName", "OutOfRangeInput"],
        "`{table}` is not a valid table name{said}",
        "use 3 to 63 letters and digits, starting with a letter",
    ),
    row(
        &[400..=400],
        NONE,
        "the service does not accept the query ({code}){said}",
        "check the flow's `filter` and `select`; constants must have the type of their property",
    ),
    row(
        &[501..=501, 505..=505],
        NONE,
        "{host} has no tables ({status} {code}){said}",
        "a premium or data lake account has none: use a general-purpose v2 account, or check the endpoint",
    ),
    row(
        ANY,
        NONE,
        "{host} answered {status} {code}{said}",
        "leadflow tries again; if it persists, check the account's health in the portal",
    ),
];
