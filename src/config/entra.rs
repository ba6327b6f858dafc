//! `entra = { … }` and `oauth = { … }`: who signs in to Microsoft Entra ID; `cloud`.

use super::reader::Section;
use super::values::Folders;
use crate::flow::{Cloud, Entra, Identity};

const HELP: &str = "write { managed_identity = true }, or { tenant_id = \"…\", client_id = \"…\", client_secret = { \
                    credential = \"…\" } }";

/// The key with its value, for a connection that has none.
pub(super) const HELP_WHOLE: &str = "write entra = { managed_identity = true }, or entra = { tenant_id = \"…\", \
                                     client_id = \"…\", client_secret = { credential = \"…\" } }";

pub(super) fn cloud(section: &Section<'_>) -> Cloud {
    let choices = [("public", Cloud::Public), ("china", Cloud::China), ("usgovernment", Cloud::UsGovernment)];
    section.choice("cloud", &choices).unwrap_or_default()
}

/// The sign-in under that key; `None` where it is missing or has a problem, which is then reported.
pub(super) fn read(outer: &Section<'_>, key: &'static str, cloud: Cloud, folders: &Folders) -> Option<Entra> {
    let section = outer.section(key)?;
    let managed = section.boolean("managed_identity");
    let tenant_id = name(&section, "tenant_id");
    let client_id = name(&section, "client_id");
    let secret = section.secret("client_secret", folders);
    let has = |key: &str| section.has(key);
    if managed == Some(false) {
        let span = section.span_of("managed_identity").unwrap_or_else(|| section.span());
        section.problems.error(span, "managed_identity = false names no identity", HELP);
    } else if managed == Some(true) && (has("tenant_id") || has("client_secret")) {
        let message = "a managed identity takes no `tenant_id` or `client_secret`";
        section.problems.error(
            section.span(),
            message,
            "remove them; `client_id` names a user-assigned identity",
        );
    } else if !has("managed_identity") {
        for key in ["tenant_id", "client_id", "client_secret"] {
            if !has(key) {
                section.missing(key, HELP);
            }
        }
    }
    let is_wrong = has("client_id") && client_id.is_none();
    section.finish();
    let identity = match managed {
        Some(true) if !is_wrong => Identity::Managed { client_id },
        Some(_) => return None,
        None => Identity::Application { tenant_id: tenant_id?, client_id: client_id?, secret: secret? },
    };
    Some(Entra::new(identity, cloud))
}

/// An ID, or a domain of the tenant; it becomes a part of an address.
fn name(section: &Section<'_>, key: &'static str) -> Option<String> {
    let text = section.text(key)?;
    let fits = text.get_ref().chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '.');
    if !fits {
        let help = "copy it from entra.microsoft.com: App registrations → the application → Overview";
        section.problems.error(text.span(), format!("`{}` is not valid for `{key}`", text.get_ref()), help);
    }
    fits.then(|| text.into_inner())
}
