//! What a refused token of Entra ID means.
//!
//! <https://learn.microsoft.com/rest/api/storageservices/common-rest-api-error-codes> and
//! <https://learn.microsoft.com/azure/storage/tables/assign-azure-role-data-access>.

use super::error::Place;

/// What happened, and what to do about it.
pub(super) fn refused(who: &str, (status, code, said): (u16, &str, &str), place: &Place) -> (String, String) {
    let Place { account, table, .. } = place;
    match (status, code) {
        (403, "AuthorizationPermissionMismatch") => (
            format!("{who} may not read the table `{table}`: the role Storage Table Data Reader on the account `{account}` is missing"),
            format!(
                "portal: the storage account → Access control (IAM) → Add role assignment → Storage Table Data Reader; or \
                 az role assignment create --assignee CLIENT-ID --role \"Storage Table Data Reader\" --scope \
                 $(az storage account show --name {account} --query id -o tsv); it takes some minutes to work"
            ),
        ),
        (403, _) => (
            format!("the account `{account}` keeps {who} out ({code}){said}"),
            "portal: the storage account → Security + networking → Networking: this machine's network must be let in; a \
             role is one thing, the firewall another"
                .to_owned(),
        ),
        _ => (
            format!("the account `{account}` does not accept the token of {who} ({code}){said}"),
            "the identity must be of the tenant that the storage account's subscription trusts; look at tenant_id, at `cloud`, \
             and at this machine's clock"
                .to_owned(),
        ),
    }
}

/// As [`refused`], of a request that was to write or delete.
pub(super) fn refused_to_write(who: &str, said: String, place: &Place) -> (String, String) {
    let Place { account, table, .. } = place;
    if !said.contains("Storage Table Data Reader") {
        return (
            said,
            "reading it may still be allowed; writing needs the role Storage Table Data Contributor"
                .to_owned(),
        );
    }
    (
        format!("{who} may not write the table `{table}` or delete from it: the role Storage Table Data Contributor on the account `{account}` is missing"),
        "portal: the storage account → Access control (IAM) → Add role assignment → Storage Table Data Contributor; take it \
         away again afterwards, leadflow itself only reads"
            .to_owned(),
    )
}
